"""What must hold on a CUDA device; all but the end of its memory is run on the CPU as well.

pytest -m gpu tests/gpu
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from one_run import finetune_one

from primum.backends import open_backend
from primum.backends.base import Recipe
from primum.config import ModelConfig, StackConfig
from primum.errors import PrimumError
from primum.records import Example

LABELS = ("yes", "no")
RECIPE = Recipe(ranks=(4,), epochs=2, batch_size=8, learning_rate=2e-3)
ROWS = [
    Example(
        record_id=str(i),
        prompt=f"Ill?\nage: {'+-'[i % 2]}{i % 30:02d}" + "; sex: male" * (i % 5),
        answer=LABELS[i % 2],
    )
    for i in range(40)
]
PROMPTS = [row.prompt for row in ROWS]
cuda = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible"),
    ],
)


@pytest.fixture(params=["cpu", cuda])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(device: str, **model: Any) -> Any:
    stack = StackConfig(backend=device, threads=1 if device == "cpu" else None)
    return open_backend(ModelConfig(name="x", **model), stack, Path("/"))


@pytest.mark.parametrize(
    ("model", "numerics", "tolerance"),
    [
        ({"dtype": "float32"}, "float32", 1e-3),
        ({"dtype": "bfloat16"}, "bfloat16", 0.03),
        ({"dtype": "bfloat16", "quantisation": "nf4"}, "bfloat16+nf4", 0.15),
    ],
)
@pytest.mark.parametrize("labels", [LABELS, ("benign mass", "malignant mass")])
def test_scores_are_near_those_of_float32_on_the_cpu(
    device: str, model: dict, numerics: str, tolerance: float, labels: tuple[str, ...]
) -> None:
    """Greatest difference of a probability."""
    backend = opened(device, **model)
    assert backend.numerics.removesuffix("+flash") == f"{device}/{numerics}"
    here, there = np.exp(backend.score(PROMPTS, labels)), np.exp(opened("cpu").score(PROMPTS, labels))
    assert np.abs(here - there).max() < tolerance


def test_a_row_has_the_same_bits_whatever_it_is_batched_with(device: str) -> None:
    backend = opened(device, dtype="bfloat16")
    together = backend.score(PROMPTS, LABELS)
    order = np.random.default_rng(0).permutation(40)[:13]
    np.testing.assert_array_equal(backend.score([PROMPTS[i] for i in order], LABELS), together[order])


@pytest.mark.parametrize("model", [{"dtype": "bfloat16"}, {"quantisation": "nf4"}])
def test_an_interrupted_training_ends_with_the_same_bits(device: str, model: dict, tmp_path: Path) -> None:
    backend = opened(device, **model)
    arguments: dict = {"labels": LABELS, "recipe": RECIPE, "rank": 4, "seed": 7}

    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("epoch 2"):
            raise KeyboardInterrupt

    whole = finetune_one(backend, ROWS[:32], ROWS[32:], out_dir=tmp_path / "a", **arguments)
    with pytest.raises(KeyboardInterrupt):
        finetune_one(backend, ROWS[:32], ROWS[32:], out_dir=tmp_path / "b", progress=interrupt, **arguments)
    again = finetune_one(backend, ROWS[:32], ROWS[32:], out_dir=tmp_path / "b", **arguments)
    assert again.adapter_sha256 == whole.adapter_sha256


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible")
def test_the_end_of_the_devices_memory_is_one_line_with_the_mend(tmp_path: Path) -> None:
    backend = opened("cuda")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + 2**24) / total))
    recipe = RECIPE.model_copy(update={"batch_size": 4096})
    try:
        with pytest.raises(PrimumError, match=r"out of memory in training: .*micro_batch_size") as caught:
            finetune_one(
                backend,
                ROWS * 100,
                ROWS,
                labels=LABELS,
                recipe=recipe,
                rank=4,
                seed=7,
                out_dir=tmp_path / "r",
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "\n" not in str(caught.value)
    assert np.isfinite(backend.score(PROMPTS, LABELS)).all()


def test_the_benchmark_runs_its_parts(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a base of two small layers: random weights through a folder, records of the right length, both trainers."""
    import cuda as benchmark
    from architectures import Shape

    small = Shape("small", 64, 96, 2, 4, 2, 1536, head=16, context=512)
    with benchmark.opened(small, device) as backend:
        assert backend._model.num_parameters() == small.parameters()
        rows = benchmark.records(backend, 16, 96)
        longest = backend.measure([r.prompt for r in rows], LABELS).longest
        assert 80 < longest <= 94
        made, steps, tokens = benchmark.trained(backend, rows, batch_size=4)
        assert made.trainable_parameters == small.adapter_parameters(8)
        assert (len(steps), tokens) == (3, 4 * longest)
        assert benchmark.plain_sft(backend, rows, 4) > 0
