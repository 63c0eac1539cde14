"""The sweep {8, 16} x 2 seeds trained together, against its four runs one after another, on the embedded base.

    python benchmarks/sweep.py [--repetitions 3] [--epochs 2] [--out benchmarks/results]

Both by Primum's own trainer in one process on the loaded base, alternating; the shipped recipe but for the epochs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import record
import torch
from finetune import BASE, LIBRARIES, prepared

from primum.backends import open_backend
from primum.backends.base import Recipe, Run
from primum.config import ModelConfig, StackConfig
from primum.records import Example

PAIRS = ((8, 42), (16, 42), (8, 43), (16, 43))


def seconds(backend: Any, data: dict[str, Any], groups: list[list[tuple[int, int]]]) -> float:
    """Wall time of the runs of each group together, one group after another."""
    rows = [Example(**row) for row in data["examples"]]
    recipe = Recipe(**data["recipe"])
    kept = len(rows) * 3 // 4
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        for group in groups:
            runs = [Run(rank=r, seed=s, out_dir=f"{out}/r{r}s{s}") for r, s in group]
            backend.finetune(rows[:kept], rows[kept:], labels=data["labels"], recipe=recipe, runs=runs)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = json.loads(prepared(Path(folder), options.epochs).read_text())
    backend = open_backend(ModelConfig(name="base", source=str(BASE)), StackConfig(), Path(folder))
    seconds(backend, {**data, "recipe": {**data["recipe"], "epochs": 1}}, [[PAIRS[0]]])  # warm up
    together, apart = [], []
    for _ in range(options.repetitions):
        together.append(seconds(backend, data, [list(PAIRS)]))
        apart.append(seconds(backend, data, [[pair] for pair in PAIRS]))
        print(f"together {together[-1]:.1f} s, one after another {apart[-1]:.1f} s", flush=True)
    ratios = [b / a for a, b in zip(together, apart, strict=True)]
    line = record.row(
        "candidates a minute, sweep {8, 16} x 2 seeds together against one after another",
        60 * len(PAIRS) / median(together),
        60 * len(PAIRS) / median(apart),
        ">= 1.5",
        median(ratios) >= 1.5,
    )
    record.write(
        "sweep",
        [line | {"ratios": [round(r, 2) for r in ratios]}],
        LIBRARIES,
        options.out,
        repetitions=options.repetitions,
        threads=torch.get_num_threads(),
        together=together,
        one_after_another=apart,
    )


if __name__ == "__main__":
    main()
