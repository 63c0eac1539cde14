"""Bases for the contract suite: random and tiny, so that the suite says nothing about quality and is fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_base
from one_run import finetune_one

from primum.backends import open_backend
from primum.backends.base import Backend, Recipe
from primum.config import ModelConfig, StackConfig
from primum.records import Candidate, Example

LABELS = ("yes", "no")
RECIPE = Recipe(ranks=(4,), epochs=3, batch_size=8, learning_rate=2e-2, patience=3)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base's folder."""
    return tiny_base.build(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def torch_backend(base_folder: Path) -> Backend:
    return open_backend(
        ModelConfig(name="tiny", source=str(base_folder)), StackConfig(threads=1), base_folder.parent
    )


@pytest.fixture(scope="session")
def mlx_backend(base_folder: Path) -> Backend:
    return open_backend(
        ModelConfig(name="tiny", source=str(base_folder)), StackConfig(backend="mlx"), base_folder.parent
    )


@pytest.fixture(scope="session", params=["fake", "torch", "mlx"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend in turn."""
    if request.param != "fake":
        return request.getfixturevalue(f"{request.param}_backend")
    return open_backend(ModelConfig(name="toy"), StackConfig(backend="fake"), Path())


def record(i: int, rng: np.random.Generator) -> Example:
    """A record whose label is the sign of its first feature."""
    x = rng.normal(size=3)
    pairs = "; ".join(
        f"{n}: {'-' if v < 0 else '+'}{abs(v) * 10:02.0f}" for n, v in zip("abc", x, strict=True)
    )
    return Example(
        record_id=str(i), prompt=f"Ill?\n{pairs}\nAnswer yes or no.", answer="yes" if x[0] > 0 else "no"
    )


@pytest.fixture(scope="session")
def parts() -> tuple[list[Example], list[Example]]:
    """Forty training and sixteen validation records."""
    rng = np.random.default_rng(3)
    rows = [record(i, rng) for i in range(56)]
    return rows[:40], rows[40:]


Train = Callable[..., Candidate]


@pytest.fixture(scope="session")
def train(backend: Backend, parts: tuple[list[Example], list[Example]]) -> Train:
    """Fine-tune the backend on the parts; keywords replace the usual arguments."""

    def run(out_dir: Path, **changes: object) -> Candidate:
        arguments: dict = {"labels": LABELS, "recipe": RECIPE, "rank": 4, "seed": 7, **changes}
        return finetune_one(backend, *parts, out_dir=out_dir, **arguments)

    return run


@pytest.fixture(scope="session")
def trained(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """One finished candidate of each backend."""
    return train(tmp_path_factory.mktemp("candidate") / "r4")
