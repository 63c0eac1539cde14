"""A training in several processes, under real launchers, against the same training in one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_base
from safetensors.numpy import load_file

from primum.backends import open_backend
from primum.backends.base import Progress, Recipe, Run
from primum.config import ModelConfig, StackConfig
from primum.errors import Unavailable
from primum.jobs.launchers import command, environment
from primum.records import Candidate, Example

LABELS = ("no", "yes")
ROWS = [
    Example(
        record_id=str(i),
        prompt=f"kind: {'round' if i % 2 else 'flat'} {i * i}\nAnswer no or yes.",
        answer=LABELS[i % 2],
    )
    for i in range(50)
]
RECIPE = Recipe(
    ranks=(4,), epochs=3, patience=3, batch_size=8, micro_batch_size=2, learning_rate=2e-3, max_grad_norm=0.5
)
ZERO3 = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base.build(tmp_path_factory.mktemp("base") / "tiny", hidden=128)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path / "home"))


def train(
    base: Path, out: Path, recipe: Recipe, progress: Progress | None = None, **stack: object
) -> tuple[Candidate, ...]:
    """Two candidates on 35 records: the last step of an epoch has 3 of them."""
    backend = open_backend(
        ModelConfig(name="tiny", source=str(base)), StackConfig.model_validate({"threads": 1, **stack}), base
    )
    runs = [Run(rank=rank, seed=rank, out_dir=str(out / str(rank))) for rank in (4, 2)]
    return backend.finetune(ROWS[:35], ROWS[35:], labels=LABELS, recipe=recipe, runs=runs, progress=progress)


@pytest.fixture(scope="module")
def alone(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, ...]:
    return train(base, tmp_path_factory.mktemp("alone"), RECIPE)


@pytest.mark.parametrize(
    ("launcher", "processes", "sharding"),
    [
        ("accelerate", 2, "ddp"),
        ("torchrun", 3, "ddp"),
        ("torchrun", 2, "fsdp"),
        pytest.param("torchrun", 2, "zero3", marks=ZERO3),
    ],
)
def test_several_processes_give_the_adapters_of_one(
    base: Path,
    alone: tuple[Candidate, ...],
    left_over: Callable[[], list[str]],
    tmp_path: Path,
    launcher: str,
    processes: int,
    sharding: str,
) -> None:
    """To 1e-4 in weights of up to 0.1 (measured: 5e-8 to 3e-5); AdamW makes much of a gradient's last digits."""
    said: list[tuple[str, int]] = []
    made = train(
        base,
        tmp_path,
        RECIPE,
        lambda what, done, total: said.append((what, done)),
        launcher=launcher,
        processes=processes,
        sharding=sharding,
    )
    assert left_over() == []
    assert [done for _, done in said] == [1, 2, 3, 4, 5] * 3  # of one rank only
    for ours, theirs in zip(made, alone, strict=True):
        assert ours.best_epoch == theirs.best_epoch > 1
        for a, b in zip(ours.log, theirs.log, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=2e-5)
            assert a.validation_loss == pytest.approx(b.validation_loss, abs=2e-5)
        weights, expected = (load_file(Path(c.path) / "adapter_model.safetensors") for c in (ours, theirs))
        assert weights.keys() == expected.keys()
        for name, tensor in weights.items():
            np.testing.assert_allclose(tensor, expected[name], rtol=0, atol=1e-4, err_msg=name)


def test_a_killed_rank_ends_all_and_the_training_continues_with_the_same_bits(
    base: Path, left_over: Callable[[], list[str]], tmp_path: Path
) -> None:
    noisy = RECIPE.model_copy(update={"dropout": 0.1, "neftune_alpha": 5.0})
    stack: dict[str, object] = {"launcher": "torchrun", "processes": 2}
    steps: list[str] = []

    def kill(what: str, done: int, total: int) -> None:
        if (what, done) == ("epoch 3 of 3", 2):
            below = psutil.Process().children(recursive=True)
            next(p for p in below if p.environ().get("RANK") == "1").kill()

    with pytest.raises(Unavailable, match="a process was killed"):
        train(base, tmp_path / "a", noisy, kill, **stack)
    assert left_over() == []
    resumed = train(base, tmp_path / "a", noisy, lambda what, *_: steps.append(what), **stack)
    whole = train(base, tmp_path / "b", noisy, **stack)
    assert set(steps) == {"epoch 3 of 3"}
    assert [c.adapter_sha256 for c in resumed] == [c.adapter_sha256 for c in whole]


HELD = """
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from primum.backends import open_in_process
from primum.backends.torch.ranks import ranks_here
from primum.backends.torch.sharding import divide_under, tree_for
from primum.config import ModelConfig, StackConfig

base = open_in_process(ModelConfig(name="tiny", source=sys.argv[1]), StackConfig(), Path("/"))._base
whole = sum(p.numel() for p in base.model.parameters())
tree = tree_for(base, ranks_here())
model = get_peft_model(tree, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
divide_under(model, ranks_here())
model(input_ids=torch.arange(8)[None]).logits.sum().backward()
held = [getattr(p, "ds_tensor", p) for n, p in model.named_parameters() if "lora_" not in n]
parts = [(p.to_local() if hasattr(p, "to_local") else p).numel() for p in held]
Path(sys.argv[1], f"held-{ranks_here().sharding}-{ranks_here().rank}").write_text(f"{sum(parts)} {whole}")
"""


@pytest.mark.parametrize("sharding", ["fsdp", pytest.param("zero3", marks=ZERO3)])
def test_each_rank_holds_its_part_of_the_base_only(base: Path, tmp_path: Path, sharding: str) -> None:
    (tmp_path / "held.py").write_text(HELD)
    stack = StackConfig.model_validate({"launcher": "torchrun", "processes": 2, "sharding": sharding})
    words = [w.replace("primum.jobs.worker", "held") for w in command(stack, base, training=True)]
    outer = environment(stack, os.environ)
    outer["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for rank in "01":
        held, whole = map(int, (base / f"held-{sharding}-{rank}").read_text().split())
        assert held <= 0.51 * whole
