"""Trainings that start from an adapter, in processes of their own and on another machine."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import sshd
import tiny_base
from job_samples import LABELS, rows
from safetensors.numpy import load_file, save_file

from primum.backends import open_backend
from primum.backends.base import Backend, Progress, Recipe, Run
from primum.backends.fake import FakeBackend
from primum.backends.training import ADAPTER_WEIGHTS, sha256
from primum.config import ModelConfig, Remote, StackConfig
from primum.errors import BadInput, Unavailable
from primum.jobs.remote import RemoteBackend
from primum.records import Candidate

RECIPE = Recipe(ranks=(4,), epochs=2, patience=2, batch_size=8, micro_batch_size=2, learning_rate=2e-3)
NOTHING = RECIPE.model_copy(update={"learning_rate": 1e-30})
ZERO3 = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
SSH = pytest.mark.skipif(not Path(sshd.SSHD).is_file(), reason="no sshd on this machine")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base.build(tmp_path_factory.mktemp("base") / "tiny", hidden=128)


def opened(base: Path, **stack: object) -> Backend:
    return open_backend(
        ModelConfig(name="tiny", source=str(base)), StackConfig.model_validate({"threads": 1, **stack}), base
    )


def train(
    backend: Backend,
    out: Path,
    start: Path | str | None,
    recipe: Recipe = RECIPE,
    progress: Progress | None = None,
    alone: bool = False,
) -> tuple[Candidate, ...]:
    """One from the start and, unless `alone`, a fresh one of the same rank and seed."""
    runs = [
        Run(rank=4, seed=1, out_dir=str(out / "started"), start=None if start is None else str(start)),
        Run(rank=4, seed=1, out_dir=str(out / "fresh")),
    ]
    return backend.finetune(
        rows(35),
        rows(15),
        labels=LABELS,
        recipe=recipe,
        runs=runs[:1] if alone else runs,
        progress=progress,
    )


@pytest.fixture(scope="module")
def start(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start")
    return Path(train(opened(base), out, None, alone=True)[0].path)


@pytest.fixture(scope="module")
def here(base: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, ...]:
    return train(opened(base), tmp_path_factory.mktemp("here"), start)


@pytest.mark.parametrize(
    ("launcher", "processes", "sharding"),
    [
        ("accelerate", 1, "ddp"),
        ("torchrun", 2, "ddp"),
        ("torchrun", 2, "fsdp"),
        pytest.param("torchrun", 2, "zero3", marks=ZERO3),
    ],
)
def test_several_processes_start_where_one_does(
    base: Path,
    start: Path,
    here: tuple[Candidate, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    launcher: str,
    processes: int,
    sharding: str,
) -> None:
    monkeypatch.chdir(start.parent)  # a relative folder is one of the caller's
    backend = opened(base, launcher=launcher, processes=processes, sharding=sharding)
    made = train(backend, tmp_path, start.name)
    assert [[e.epoch for e in c.log] for c in made] == [[0, 1, 2], [1, 2]]
    for ours, theirs in zip(made, here, strict=True):
        assert ours.best_epoch == theirs.best_epoch > 0
        for a, b in zip(ours.log, theirs.log, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=2e-5)
            assert a.validation_loss == pytest.approx(b.validation_loss, abs=2e-5)
        weights, expected = (load_file(Path(c.path) / ADAPTER_WEIGHTS) for c in (ours, theirs))
        for name, tensor in weights.items():
            np.testing.assert_allclose(tensor, expected[name], rtol=0, atol=1e-4, err_msg=name)
    if sharding != "ddp":  # nothing learned: the start itself comes back
        kept = train(backend, tmp_path / "kept", start.name, NOTHING, alone=True)[0]
        assert (kept.best_epoch, kept.adapter_sha256) == (0, sha256(start / ADAPTER_WEIGHTS))


def test_a_killed_rank_of_a_started_training_and_the_same_bits(
    base: Path, start: Path, tmp_path: Path
) -> None:
    backend = opened(base, launcher="torchrun", processes=2)
    noisy = RECIPE.model_copy(update={"dropout": 0.1})
    steps: list[str] = []

    def kill(what: str, done: int, total: int) -> None:
        if (what, done) == ("epoch 2 of 2", 2):
            below = psutil.Process().children(recursive=True)
            next(p for p in below if p.environ().get("RANK") == "1").kill()

    with pytest.raises(Unavailable, match="a process was killed"):
        train(backend, tmp_path / "a", start, noisy, kill)
    resumed = train(backend, tmp_path / "a", start, noisy, lambda what, *_: steps.append(what))
    whole = train(backend, tmp_path / "b", start, noisy)
    assert set(steps) == {"epoch 2 of 2"}
    assert [c.adapter_sha256 for c in resumed] == [c.adapter_sha256 for c in whole]


def test_a_refusal_of_a_launched_training_is_one_line(base: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"^{start}: rank 4 cannot start from it: it is lora, and") as caught:
        train(
            opened(base, launcher="torchrun", processes=2),
            tmp_path,
            start,
            RECIPE.model_copy(update={"variant": "rslora"}),
        )
    assert "\n" not in str(caught.value)


# --- over SSH ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    with sshd.serving(tmp_path_factory.mktemp("ssh") / "server") as running:
        yield running


@pytest.fixture
def remote(server: sshd.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setenv("PRIMUM_SSH_CONFIG", str(server.config))
    return Remote(
        host=server.host,
        port=server.port,
        user=server.user,
        key=str(server.key),
        python=sys.executable,
        folder=str(tmp_path / "far"),
    )


def fake(remote: Remote, tmp_path: Path) -> RemoteBackend:
    stack = StackConfig(backend="cpu", remote=remote).model_copy(update={"backend": "fake"})
    return RemoteBackend(ModelConfig(name="fake"), stack, tmp_path)


@SSH
def test_a_start_travels_by_its_content(remote: Remote, tmp_path: Path) -> None:
    away, near = fake(remote, tmp_path), FakeBackend("fake")
    start = Path(train(near, tmp_path / "first", None, alone=True)[0].path)
    said: list[str] = []
    made = train(away, tmp_path / "away", start, progress=lambda what, *_: said.append(what))
    expected = train(near, tmp_path / "near", start)
    assert [c.adapter_sha256 for c in made] == [c.adapter_sha256 for c in expected]
    assert [c.log for c in made] == [c.log for c in expected]
    assert made[0].path == str(tmp_path / "away" / "started")
    said.clear()
    moved = Path(shutil.copytree(start, tmp_path / "moved"))
    again = train(away, tmp_path / "again", moved, progress=lambda what, *_: said.append(what))
    assert said == []  # the same content: nothing is sent, and the finished training answers
    assert [c.adapter_sha256 for c in again] == [c.adapter_sha256 for c in made]
    weights = load_file(moved / ADAPTER_WEIGHTS)
    save_file({name: 1.5 * tensor for name, tensor in weights.items()}, moved / ADAPTER_WEIGHTS)
    other = train(away, tmp_path / "again", moved, progress=lambda what, *_: said.append(what))
    assert said.count("files to 127.0.0.1") == 1  # the weights
    assert other[0].adapter_sha256 != made[0].adapter_sha256
    assert other[1].adapter_sha256 == made[1].adapter_sha256


@SSH
def test_a_start_that_is_not_whole_does_not_travel(remote: Remote, tmp_path: Path) -> None:
    away = fake(remote.model_copy(update={"port": sshd.free_port()}), tmp_path)
    start = Path(train(FakeBackend("fake"), tmp_path / "first", None, alone=True)[0].path)
    (start / ADAPTER_WEIGHTS).unlink()
    with pytest.raises(
        BadInput, match=f"^{start}: rank 4 cannot start from it: it holds no {ADAPTER_WEIGHTS}"
    ):
        train(away, tmp_path / "away", start)


@SSH
def test_what_does_not_fit_the_base_over_there_is_named_as_it_lies_here(
    remote: Remote, base: Path, start: Path, here: tuple[Candidate, ...], tmp_path: Path
) -> None:
    away = opened(base, backend="cpu", remote=remote)
    few = RECIPE.model_copy(update={"target_modules": ("q_proj",)})
    words = f"^on 127.0.0.1: {start}: rank 4 cannot start from it: its modules are "
    with pytest.raises(BadInput, match=words):
        train(away, tmp_path / "few", start, few)
    made = train(away, tmp_path / "whole", start)
    assert [c.adapter_sha256 for c in made] == [c.adapter_sha256 for c in here]
    kept = train(away, tmp_path / "kept", start, NOTHING, alone=True)[0]
    assert (kept.best_epoch, kept.adapter_sha256) == (0, sha256(start / ADAPTER_WEIGHTS))
    assert sha256(tmp_path / "kept" / "started" / ADAPTER_WEIGHTS) == kept.adapter_sha256
