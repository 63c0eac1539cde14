"""Records, a training and waiting, for the tests of jobs here and over SSH."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from primum.backends.base import Recipe, Run
from primum.jobs.job import Finetune
from primum.records import Example

LABELS = ("no", "yes")


def rows(n: int = 20) -> tuple[Example, ...]:
    return tuple(
        Example(
            record_id=str(i),
            prompt=f"kind: {'round' if i % 2 else 'flat'}; patient Doe\nAnswer no or yes.",
            answer=LABELS[i % 2],
        )
        for i in range(n)
    )


def training(out: Path, **recipe: object) -> Finetune:
    return Finetune(
        examples=rows(),
        validation=rows(6),
        labels=LABELS,
        recipe=Recipe.model_validate({"ranks": (4,), "epochs": 2, **recipe}),
        runs=(Run(rank=4, seed=1, out_dir=str(out)),),
    )


def until(true: Callable[[], bool], log: Path | None = None, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log.read_text() if log and log.exists() else "waited in vain"
        time.sleep(0.05)


def gone_soon(processes: list[psutil.Process]) -> None:
    def gone(p: psutil.Process) -> bool:
        try:
            return not p.is_running() or p.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(lambda: all(map(gone, processes)))
