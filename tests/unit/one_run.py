"""A sweep of one candidate, as most tests train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from primum.backends.base import Backend, Run
from primum.records import Candidate, Example


def finetune_one(
    backend: Backend,
    examples: Sequence[Example],
    validation: Sequence[Example],
    *,
    rank: int,
    seed: int,
    out_dir: Path,
    **more: Any,
) -> Candidate:
    """`Backend.finetune` with one run."""
    run = Run(rank=rank, seed=seed, out_dir=str(out_dir))
    return backend.finetune(examples, validation, runs=(run,), **more)[0]
