"""Trainings that start from an adapter (`Run.start`), on every backend."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_base
from conftest import LABELS, RECIPE
from safetensors.numpy import load_file, save_file

from primum.backends import open_backend
from primum.backends.base import Backend, Recipe, Run
from primum.backends.epochs import best_epoch, judge
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CHECKPOINTS, sha256
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]
ONE = RECIPE.model_copy(update={"epochs": 1})
NOTHING = RECIPE.model_copy(update={"learning_rate": 1e-30})
"""So small that no float32 weight but zero changes."""


def from_start(
    backend: Backend, parts: Parts, out: Path, start: Path | None, recipe: Recipe = RECIPE, **more: Any
) -> Candidate:
    run = Run(rank=4, seed=9, out_dir=str(out), start=None if start is None else str(start))
    return backend.finetune(*parts, labels=LABELS, recipe=recipe, runs=(run,), **more)[0]


def scores(backend: Backend, folder: Path, parts: Parts) -> np.ndarray:
    return backend.with_adapter(folder).score([e.prompt for e in parts[1]], LABELS)


def figures(candidate: Candidate) -> list[tuple[Any, ...]]:
    return [(e.epoch, e.train_loss, e.validation_macro_f1, e.validation_loss) for e in candidate.log]


def against(backend: Backend, start: Path, parts: Parts) -> Parts:
    """Records that can only make the start worse: it is always right in validation, always wrong in training."""
    said = backend.with_adapter(start)

    def answered(rows: list[Example], sign: int) -> list[Example]:
        best = (sign * said.score([e.prompt for e in rows], LABELS)).argmax(axis=1)
        return [e.model_copy(update={"answer": LABELS[k]}) for e, k in zip(rows, best, strict=True)]

    return answered(parts[0], -1), answered(parts[1], 1)


@pytest.fixture(scope="module")
def start(trained: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished adapter of rank 4, moved to a folder of its own."""
    folder = tmp_path_factory.mktemp("start") / "adapter"
    return Path(shutil.copytree(trained.path, folder))


@pytest.fixture(scope="module")
def wrong(backend: Backend, start: Path, parts: Parts) -> Parts:
    return against(backend, start, parts)


def test_epoch_0_is_the_start_judged(backend: Backend, parts: Parts, start: Path, tmp_path: Path) -> None:
    made = from_start(backend, parts, tmp_path / "r", start)
    first = made.log[0]
    assert (first.epoch, first.train_loss) == (0, None)
    gold = [LABELS.index(str(e.answer)) for e in parts[1]]
    assert (first.validation_macro_f1, first.validation_loss) == judge(gold, scores(backend, start, parts))
    assert [e.epoch for e in made.log] == [0, 1, 2, 3]
    assert all(e.train_loss is not None for e in made.log[1:])
    best = best_epoch(made.log)
    assert (made.best_epoch, made.validation_loss) == (best.epoch, best.validation_loss)


def test_where_no_epoch_is_better_the_start_is_the_best(
    backend: Backend, wrong: Parts, start: Path, tmp_path: Path
) -> None:
    made = from_start(backend, wrong, tmp_path / "r", start)
    assert made.best_epoch == 0
    assert made.adapter_sha256 == sha256(start / ADAPTER_WEIGHTS) == sha256(tmp_path / "r" / ADAPTER_WEIGHTS)
    assert made.validation_loss == made.log[0].validation_loss
    np.testing.assert_array_equal(
        scores(backend, tmp_path / "r", wrong), scores(backend, start, wrong), strict=True
    )
    assert len(list((tmp_path / "r").iterdir())) == 3
    again = from_start(backend, wrong, tmp_path / "r", start)
    assert again == made
    assert json.loads((tmp_path / "r" / "candidate.json").read_text())["candidate"]["best_epoch"] == 0


def test_patience_counts_from_the_start(backend: Backend, wrong: Parts, start: Path, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"patience": 1})
    assert [e.epoch for e in from_start(backend, wrong, tmp_path / "r", start, recipe).log] == [0, 1]


@pytest.mark.parametrize("name", ["torch", "mlx"])
@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_with_nothing_learned_the_scores_stay(
    request: pytest.FixtureRequest, parts: Parts, tmp_path: Path, name: str, variant: str
) -> None:
    backend = request.getfixturevalue(f"{name}_backend")
    from_start(backend, parts, tmp_path / "a", None, ONE.model_copy(update={"variant": variant}))
    made = from_start(
        backend, parts, tmp_path / "b", tmp_path / "a", NOTHING.model_copy(update={"variant": variant})
    )
    assert [e.validation_loss for e in made.log] == [made.log[0].validation_loss] * len(made.log)
    assert made.best_epoch == 0
    np.testing.assert_array_equal(
        scores(backend, tmp_path / "a", parts), scores(backend, tmp_path / "b", parts)
    )


def test_a_start_goes_on_where_a_fresh_adapter_begins(backend: Backend, parts: Parts, tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"epochs": 2, "learning_rate": 5e-3})
    first = from_start(backend, parts, tmp_path / "first", None, short)
    fresh = from_start(backend, parts, tmp_path / "fresh", None, short)
    assert first.adapter_sha256 == fresh.adapter_sha256
    further = from_start(backend, parts, tmp_path / "further", tmp_path / "first", short)
    assert further.adapter_sha256 != fresh.adapter_sha256
    assert further.best_epoch > 0
    assert further.validation_loss < fresh.validation_loss
    assert further.log[1].train_loss < fresh.log[0].train_loss
    assert (fresh.name, further.name) == ("r4", f"r4-from-{first.adapter_sha256[:8]}")
    assert sha256(tmp_path / "first" / ADAPTER_WEIGHTS) == first.adapter_sha256


def test_a_folder_belongs_to_its_start(backend: Backend, parts: Parts, start: Path, tmp_path: Path) -> None:
    other = from_start(backend, parts, tmp_path / "other", None, ONE)
    fresh = from_start(backend, parts, tmp_path / "r", None, ONE)
    begun = from_start(backend, parts, tmp_path / "r", start, ONE)
    another = from_start(backend, parts, tmp_path / "r", Path(other.path), ONE)
    assert len({c.adapter_sha256 for c in (fresh, begun, another)}) == 3
    moved = Path(shutil.copytree(start, tmp_path / "moved"))
    assert from_start(backend, parts, tmp_path / "r", start, ONE).adapter_sha256 == begun.adapter_sha256
    seen: list[object] = []
    same = from_start(backend, parts, tmp_path / "r", moved, ONE, progress=lambda *call: seen.append(call))
    assert (same.adapter_sha256, seen) == (begun.adapter_sha256, [])  # where it lies does not matter


# --- after a kill -------------------------------------------------------------------------------------------

KILLED = """
import json, os, signal, sys
from pathlib import Path
from primum.backends import open_backend
from primum.backends.base import Recipe, Run
from primum.config import ModelConfig, StackConfig
from primum.records import Example

base, kind, data, recipe, last, *folders = sys.argv[1:]
rows = [Example(**r) for r in json.loads(Path(data).read_text())]

def progress(what, done, total):
    if what.startswith(last) and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

stack = StackConfig(backend="mlx") if kind == "mlx" else StackConfig(threads=1)
open_backend(ModelConfig(name="tiny", source=base), stack, Path("/")).finetune(
    rows[:40], rows[40:], labels=("yes", "no"), recipe=Recipe(**json.loads(recipe)), progress=progress,
    runs=[Run(rank=4, seed=9, out_dir=folders[0], start=folders[1])])
"""
NOISY = RECIPE.model_copy(update={"dropout": 0.2})
"""Dropout draws random numbers, which a resumed training must draw again."""


@pytest.mark.parametrize("kind", ["torch", "mlx"])
@pytest.mark.parametrize("case", ["better, epoch 1", "better, epoch 3", "worse, epoch 3"])
def test_a_killed_training_continues_and_ends_with_the_same_bits(
    request: pytest.FixtureRequest,
    parts: Parts,
    base_folder: Path,
    tmp_path: Path,
    kind: str,
    case: str,
) -> None:
    backend = request.getfixturevalue(f"{kind}_backend")
    what, last = case.split(", ")
    from_start(backend, parts, tmp_path / "start", None, ONE)
    part = against(backend, tmp_path / "start", parts) if what == "worse" else parts
    whole = from_start(backend, part, tmp_path / "whole", tmp_path / "start", NOISY)
    assert (whole.best_epoch == 0) == (what == "worse")
    data = tmp_path / "data.json"
    data.write_text(json.dumps([e.model_dump() for e in (*part[0], *part[1])]))
    folders = [str(tmp_path / "r"), str(tmp_path / "start")]
    words = [str(base_folder), kind, str(data), NOISY.model_dump_json(), last, *folders]
    cut = subprocess.run(
        [sys.executable, "-c", KILLED, *words], env=dict(os.environ), capture_output=True, check=False
    )
    assert cut.returncode == -signal.SIGKILL, cut.stderr[-2000:]
    steps: list[str] = []
    made = from_start(
        backend, part, tmp_path / "r", tmp_path / "start", NOISY, progress=lambda what, *_: steps.append(what)
    )
    assert len(steps) == {"epoch 1": 15, "epoch 3": 5}[last]
    assert made.adapter_sha256 == whole.adapter_sha256
    assert figures(made) == figures(whole)


@pytest.mark.parametrize("kind", ["torch", "mlx"])
def test_another_start_continues_no_checkpoint(
    request: pytest.FixtureRequest, parts: Parts, tmp_path: Path, kind: str
) -> None:
    backend = request.getfixturevalue(f"{kind}_backend")
    for name, epochs in (("one", 1), ("two", 2)):
        from_start(backend, parts, tmp_path / name, None, RECIPE.model_copy(update={"epochs": epochs}))

    class Killed(BaseException):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("epoch 2"):
            raise Killed

    steps: list[str] = []
    with pytest.raises(Killed):
        from_start(backend, parts, tmp_path / "r", tmp_path / "one", progress=stop)
    assert list((tmp_path / "r" / CHECKPOINTS).glob("checkpoint-*"))
    made = from_start(
        backend, parts, tmp_path / "r", tmp_path / "two", progress=lambda what, *_: steps.append(what)
    )
    assert steps.count("epoch 1 of 3") == 5
    expected = from_start(backend, parts, tmp_path / "expected", tmp_path / "two")
    assert made.adapter_sha256 == expected.adapter_sha256


# --- several candidates ---------------------------------------------------------------------------------------


def sweep(backend: Backend, parts: Parts, out: Path, start: Path, chosen: slice) -> tuple[Candidate, ...]:
    runs = [
        Run(rank=4, seed=7, out_dir=str(out / "a")),
        Run(rank=4, seed=7, out_dir=str(out / "b"), start=str(start)),
        Run(rank=2, seed=7, out_dir=str(out / "c")),
    ]
    recipe = RECIPE.model_copy(update={"learning_rate": 5e-3})
    return backend.finetune(*parts, labels=LABELS, recipe=recipe, runs=runs[chosen])


def test_some_of_several_candidates_have_a_start(
    backend: Backend, parts: Parts, start: Path, tmp_path: Path
) -> None:
    together = sweep(backend, parts, tmp_path / "together", start, slice(None))
    apart = [sweep(backend, parts, tmp_path / f"{i}", start, slice(i, i + 1))[0] for i in range(3)]
    assert [[e.epoch for e in c.log] for c in together] == [[1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
    assert len({c.name for c in together}) == 3
    for made, alone in zip(together, apart, strict=True):
        assert made.best_epoch == alone.best_epoch
        ours, theirs = (load_file(Path(c.path) / ADAPTER_WEIGHTS) for c in (made, alone))
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            np.testing.assert_allclose(value, theirs[key], atol=1e-4, err_msg=key)


def test_one_batch_of_candidates_with_and_without_a_start(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where all rows are one tensor; the started one has one epoch more in its log."""
    from primum.backends.torch.feed import Feed

    from_start(torch_backend, parts, tmp_path / "start", None, ONE)
    apart = sweep(torch_backend, parts, tmp_path / "apart", tmp_path / "start", slice(None))
    honest = Feed.__init__
    monkeypatch.setattr(Feed, "__init__", lambda self, *a, **k: honest(self, *a, **{**k, "apart": False}))
    made = sweep(torch_backend, parts, tmp_path / "one", tmp_path / "start", slice(None))
    for a, b in zip(made, apart, strict=True):
        assert [e.epoch for e in a.log] == [e.epoch for e in b.log]
        np.testing.assert_allclose(a.validation_loss, b.validation_loss, atol=1e-4)


def test_lower_layers_are_computed_once_as_before(
    torch_backend: Backend,
    mlx_backend: Backend,
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from primum.backends.torch import lower

    upper = RECIPE.model_copy(update={"layers": 1, "learning_rate": 5e-3})
    from_start(torch_backend, parts, tmp_path / "start", None, upper)
    made = []
    for most in (lower._MOST, 0):
        monkeypatch.setattr(lower, "_MOST", most)
        made.append(from_start(torch_backend, parts, tmp_path / str(most), tmp_path / "start", upper))
    assert made[0].adapter_sha256 == made[1].adapter_sha256
    assert figures(made[0]) == figures(made[1])
    there = from_start(mlx_backend, parts, tmp_path / "mlx", tmp_path / "start", upper)
    assert there.log[0].validation_loss == pytest.approx(made[0].log[0].validation_loss, abs=1e-3)


# --- from one backend to the other, and other numbers -----------------------------------------------------------


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_an_adapter_of_one_backend_starts_a_training_of_the_other(
    torch_backend: Backend, mlx_backend: Backend, parts: Parts, tmp_path: Path, variant: str
) -> None:
    recipe = RECIPE.model_copy(update={"variant": variant, "epochs": 2})
    both = {"torch": torch_backend, "mlx": mlx_backend}
    for name, backend in both.items():
        from_start(backend, parts, tmp_path / name, None, recipe)
    for begun in both:
        made = {
            name: from_start(backend, parts, tmp_path / f"{begun}-{name}", tmp_path / begun, recipe)
            for name, backend in both.items()
        }
        losses = [made[name].log[0].validation_loss for name in both]
        assert losses[0] == pytest.approx(losses[1], abs=1e-3)
        for name, backend in both.items():  # the very same weights, whoever reads them
            kept = from_start(
                backend,
                parts,
                tmp_path / f"{begun}-{name}-0",
                tmp_path / begun,
                NOTHING.model_copy(update={"variant": variant}),
            )
            assert kept.adapter_sha256 == sha256(tmp_path / begun / ADAPTER_WEIGHTS)
            read = [scores(reader, Path(kept.path), parts) for reader in both.values()]
            np.testing.assert_allclose(read[0], read[1], atol=1e-3)


@pytest.mark.parametrize("kind", ["torch", "mlx"])
def test_a_start_in_half_precision_is_trained_in_float32(
    request: pytest.FixtureRequest, parts: Parts, tmp_path: Path, kind: str
) -> None:
    backend = request.getfixturevalue(f"{kind}_backend")
    from_start(backend, parts, tmp_path / "start", None, ONE)
    rewrite(tmp_path / "start", lambda name, tensor: tensor.astype(np.float16))
    made = from_start(backend, parts, tmp_path / "r", tmp_path / "start")
    assert made.log[0].validation_loss == pytest.approx(
        -scores(backend, tmp_path / "start", parts)[
            np.arange(16), [LABELS.index(str(e.answer)) for e in parts[1]]
        ].mean(),
        abs=1e-4,
    )
    assert made.best_epoch > 0
    assert {t.dtype for t in load_file(tmp_path / "r" / ADAPTER_WEIGHTS).values()} == {np.dtype(np.float32)}


# --- what is refused ----------------------------------------------------------------------------------------------


def rewrite(folder: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: change(name, t) for name, t in tensors.items()}, folder / ADAPTER_WEIGHTS)


def configure(folder: Path, **changes: object) -> None:
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**config, **changes}))


def spoil(name: str, tensor: np.ndarray) -> np.ndarray:
    tensor.flat[3] = np.nan if tensor.ndim == 1 or tensor.shape[0] == 4 else np.inf
    return tensor


def refused(backend: Backend, parts: Parts, out: Path, start: Path, recipe: Recipe = RECIPE) -> str:
    """The line, from a training whose folder is left as if it had never begun."""
    steps: list[object] = []
    with pytest.raises(BadInput) as caught:
        from_start(backend, parts, out, start, recipe, progress=lambda *call: steps.append(call))
    assert steps == []
    assert not [p for p in out.rglob("*") if p.name.startswith(("candidate", "adapter"))]
    line = str(caught.value)
    assert "\n" not in line
    assert str(start) in line
    return line


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / ADAPTER_WEIGHTS).unlink(), f"it holds no {ADAPTER_WEIGHTS}; give"),
    "pickled": (
        lambda f: (f / ADAPTER_WEIGHTS).rename(f / "adapter_model.bin"),
        "with its weights in safetensors",
    ),
    "no config": (lambda f: (f / ADAPTER_CONFIG).unlink(), f"it holds no {ADAPTER_CONFIG}; give"),
    "no folder": (shutil.rmtree, "it holds no "),
    "garbled": (lambda f: (f / ADAPTER_CONFIG).write_text("{"), "its adapter_config.json cannot be read"),
    "a list": (lambda f: (f / ADAPTER_CONFIG).write_text("[1]"), "its adapter_config.json cannot be read"),
    "cut": (lambda f: os.truncate(f / ADAPTER_WEIGHTS, 100), "its weights cannot be read"),
    "nothing": (lambda f: (f / ADAPTER_WEIGHTS).write_bytes(b""), "its weights cannot be read"),
    "empty": (lambda f: save_file({}, f / ADAPTER_WEIGHTS), "its file holds no weights"),
    "rank": (lambda f: configure(f, r=8), "rank 4 cannot start from it: its rank is 8; start from"),
    "alpha": (
        lambda f: configure(f, lora_alpha=5),
        r"its lora_alpha is 5, and model.recipe.alpha_ratio makes it 8",
    ),
    "no alpha": (lambda f: configure(f, lora_alpha=None), "its lora_alpha is None"),
    "dora": (lambda f: configure(f, use_dora=True), "it is dora, and model.recipe.variant is lora"),
    "rslora": (lambda f: configure(f, use_rslora=True), "it is rslora, and model.recipe.variant is lora"),
    "kind": (lambda f: configure(f, peft_type="LOHA"), "its peft_type is LOHA"),
    "pissa": (lambda f: configure(f, init_lora_weights="pissa"), "pissa, changes the base"),
    "patterns": (lambda f: configure(f, alpha_pattern={"q_proj": 1}), "its alpha_pattern is set"),
    "unheard of": (lambda f: configure(f, unheard_of=1), "its unheard_of is set"),
    "not finite": (lambda f: rewrite(f, spoil), "has numbers that are not finite"),
    "integers": (lambda f: rewrite(f, lambda _, t: t.astype(np.int32)), "is of type I32"),
    "wider": (lambda f: rewrite(f, lambda _, t: np.repeat(t, 2, axis=-1)), "of another base than"),
    "named otherwise": (
        lambda f: save_file(
            {
                n.replace("proj", "x").replace("fake", "x"): t
                for n, t in load_file(f / ADAPTER_WEIGHTS).items()
            },
            f / ADAPTER_WEIGHTS,
        ),
        "of another base than .*, which has no ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_start_that_does_not_fit_is_refused_in_one_line(
    backend: Backend, parts: Parts, start: Path, tmp_path: Path, damage: str
) -> None:
    spoiled = Path(shutil.copytree(start, tmp_path / "start"))
    change, words = DAMAGES[damage]
    change(spoiled)
    line = refused(backend, parts, tmp_path / "r", spoiled)
    assert re.search(words, line), line


def test_a_recipe_of_another_shape_is_refused(
    backend: Backend, parts: Parts, start: Path, tmp_path: Path
) -> None:
    for changes, words in (
        ({"alpha_ratio": 4.0}, "its lora_alpha is 8.*, and model.recipe.alpha_ratio makes it 16"),
        ({"variant": "dora"}, "it is lora, and model.recipe.variant is dora"),
        ({"variant": "rslora"}, "it is lora, and model.recipe.variant is rslora"),
    ):
        with pytest.raises(BadInput, match=words):
            from_start(backend, parts, tmp_path / "r", start, RECIPE.model_copy(update=changes))
    run = Run(rank=2, seed=9, out_dir=str(tmp_path / "r"), start=str(start))
    with pytest.raises(BadInput, match="rank 2 cannot start from it: its rank is 4"):
        backend.finetune(*parts, labels=LABELS, recipe=RECIPE, runs=(run,))


@pytest.mark.parametrize("kind", ["torch", "mlx"])
def test_other_modules_and_layers_are_refused(
    request: pytest.FixtureRequest, parts: Parts, tmp_path: Path, kind: str
) -> None:
    backend = request.getfixturevalue(f"{kind}_backend")
    from_start(backend, parts, tmp_path / "all", None, ONE)
    few = ONE.model_copy(update={"target_modules": ("q_proj", "v_proj")})
    line = refused(backend, parts, tmp_path / "r", tmp_path / "all", few)
    assert "those of model.recipe.target_modules q_proj, v_proj; start from an adapter of this recipe" in line
    line = refused(backend, parts, tmp_path / "r", tmp_path / "all", ONE.model_copy(update={"layers": 1}))
    assert "it adapts 14 modules, model.recipe.layers and target_modules make it 7" in line


@pytest.mark.parametrize("kind", ["torch", "mlx"])
def test_another_base_is_refused(
    request: pytest.FixtureRequest, parts: Parts, tmp_path: Path, kind: str
) -> None:
    backend = request.getfixturevalue(f"{kind}_backend")
    from_start(backend, parts, tmp_path / "start", None, ONE)
    for name, shape, words in (
        ("wide", {"hidden": 64}, "it is of another base than 'wide', or of another rank"),
        ("flat", {"layers": 1}, "it is of another base than 'flat', which has no model.layers.1."),
    ):
        stack = StackConfig(backend="mlx") if kind == "mlx" else StackConfig(threads=1)
        folder = tiny_base.build(tmp_path / name, **shape)
        other = open_backend(ModelConfig(name=name, source=str(folder)), stack, tmp_path)
        assert words in refused(other, parts, tmp_path / "r", tmp_path / "start")


def test_a_folder_that_is_written_is_no_start(
    backend: Backend, parts: Parts, start: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copytree(start, tmp_path / "mine"))
    before = {p.name: p.read_bytes() for p in mine.iterdir()}
    with pytest.raises(BadInput, match="a training of this call writes there; give another folder"):
        from_start(backend, parts, mine, mine)
    runs = [
        Run(rank=4, seed=1, out_dir=str(mine)),
        Run(rank=4, seed=2, out_dir=str(tmp_path / "r"), start=str(tmp_path / "r" / ".." / "mine")),
    ]
    with pytest.raises(BadInput, match="a training of this call writes there; give another folder"):
        backend.finetune(*parts, labels=LABELS, recipe=RECIPE, runs=runs)
    assert {p.name: p.read_bytes() for p in mine.iterdir()} == before


def test_a_start_that_changes_meanwhile_is_not_taken_for_the_best(
    backend: Backend, wrong: Parts, start: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copytree(start, tmp_path / "mine"))
    good = (mine / ADAPTER_WEIGHTS).read_bytes()

    def swap(what: str, done: int, total: int) -> None:
        if what.startswith("epoch 3"):
            rewrite(mine, lambda _, t: 2 * t)

    with pytest.raises(BadInput, match="it changed while a training started from it; put it back"):
        from_start(backend, wrong, tmp_path / "r", mine, progress=swap)
    assert not [p for p in (tmp_path / "r").iterdir() if p.is_file()]
    (mine / ADAPTER_WEIGHTS).write_bytes(good)
    assert from_start(backend, wrong, tmp_path / "r", mine).best_epoch == 0
