"""Drift reports against Evidently alone: seconds and memory at 1,000,000 records, and many small sites.

    python benchmarks/drift.py [--rows 1000000] [--sites 10 25 50] [--out benchmarks/results]

Both sides of the large comparison run in a process of their own, on the same made-up records of 20 columns (15
numbers, 5 categories): ours is `primum.drift.compare`, whole; theirs Evidently's DataDriftPreset with the same
test of numbers and its own of categories, without a page. Each starts from the frames in memory; imports are
not in the seconds, and are in the memory. Result: drift.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import record

NUMBERS, CATEGORIES = [f"x{i}" for i in range(15)], [f"c{i}" for i in range(5)]


class Took(NamedTuple):
    """Seconds on the clock, and of the processor: the first say what one waits, the second what it costs."""

    seconds: float
    cpu: float

    @classmethod
    def now(cls) -> Took:
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> Took:
        seconds, cpu = self.now()
        return Took(seconds - self.seconds, cpu - self.cpu)


def records(n: int, seed: int) -> pd.DataFrame:
    """Canonical records of n patients: correlated numbers, a tenth of each not recorded, four categories."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    frame = pd.DataFrame({
        "record_id": np.char.add(f"r{seed}-", np.arange(n).astype(str)),
        "patient_id": np.char.add(f"p{seed}-", np.arange(n).astype(str)),
        "site": "all",
        "time": "2025-01-01",
        "label": np.where(rng.random(n) < 0.3, "yes", "no"),
    })  # fmt: skip
    for column in NUMBERS:
        values = common + rng.normal(size=n)
        values[rng.random(n) < 0.1] = np.nan
        frame[column] = values
    for column in CATEGORIES:
        frame[column] = rng.choice(["a", "b", "c", "d"], n, p=[0.4, 0.3, 0.2, 0.1])
    return frame


def ours(n: int) -> Took:
    from primum.drift import About, compare
    from primum.drift.evidently_tests import ks_p

    ks_p(np.arange(3.0), np.arange(3.0))  # the import
    task, config = task_and_config()
    reference, current = records(n, 1), records(n, 2)
    about = About("all", "champion", "split", "site", None, "2026-01-01")
    started = Took.now()
    compare(
        task, config, about=about, reference=reference, current=current,
        scored_reference=None, scored_current=None, outcomes=None,
    )  # fmt: skip
    return started.since()


def theirs(n: int) -> Took:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    reference, current = (records(n, seed)[[*NUMBERS, *CATEGORIES]] for seed in (1, 2))
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=CATEGORIES)
    started = Took.now()
    sides = [Dataset.from_pandas(side, data_definition=definition) for side in (reference, current)]
    Report([DataDriftPreset(num_method="ks", cat_method="chisquare")]).run(sides[1], sides[0])
    return started.since()


def sites(count: int, n: int = 500) -> Took:
    """Seconds that one process takes for so many sites with scores and outcomes, n records each."""
    from drift_simulation import scored

    from primum.drift import About, compare

    task, config = task_and_config()
    reference = records(2000, 1)
    validation = scored(records(600, 2), np.random.default_rng(0))
    windows = [records(n, 10 + number) for number in range(count)]
    seen = [scored(window, np.random.default_rng(number)) for number, window in enumerate(windows)]
    about = About("s", "champion", "split", "pooled", None, "2026-01-01")

    def report(number: int) -> None:
        compare(
            task, config, about=about, reference=reference, current=windows[number],
            scored_reference=validation, scored_current=seen[number], outcomes=seen[number],
        )  # fmt: skip

    report(0)  # imports
    started = Took.now()
    for number in range(count):
        report(number)
    return started.since()


def task_and_config():
    from primum.config import DriftConfig, Label, PromptConfig, Source, TaskConfig

    task = TaskConfig(
        name="drift",
        source=Source(path="none.csv"),
        keys={"record_id": "record_id", "patient_id": "patient_id", "time": "time"},
        label=Label(column="label", classes={"no": ("no",), "yes": ("yes",)}),
        features=(*NUMBERS, *({"column": c, "kind": "category"} for c in CATEGORIES)),
        prompt=PromptConfig(question="?"),
    )
    return task, DriftConfig()


def apart(what: str, size: int) -> dict[str, float]:
    """Seconds and peak memory (MiB) of one side in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", what, "--size", str(size)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    parser.add_argument("--one", choices=["ours", "theirs", "sites"])
    parser.add_argument("--size", type=int)
    asked = parser.parse_args()
    if asked.one:
        took = {"ours": ours, "theirs": theirs, "sites": sites}[asked.one](asked.size)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**took._asdict(), "peak_mib": peak}))
        return
    a, b = apart("ours", asked.rows), apart("theirs", asked.rows)
    what = f"{asked.rows:,} records x 20 columns on either side"
    rows = [
        record.row(f"{what}: seconds", a["seconds"], b["seconds"], "<= 1.0x", a["seconds"] <= b["seconds"]),
        record.row(f"{what}: processor seconds", a["cpu"], b["cpu"], "<= 1.0x", a["cpu"] <= b["cpu"]),
        record.row(f"{what}: peak MiB", a["peak_mib"], b["peak_mib"], "< 2048", a["peak_mib"] < 2048),
    ]
    loops = {count: apart("sites", count) for count in asked.sites}
    for count, took in loops.items():
        for kind, unit in (("seconds", "seconds"), ("cpu", "processor seconds")):
            what, each = f"{unit} a site of 500 records, {count} in a loop", took[kind] / count
            rows.append(record.row(what, each, None, "< 1", each < 1))
    costs = [took["cpu"] / count for count, took in loops.items()]
    growth = max(costs) / min(costs)
    what = "processor seconds a site, dearest over cheapest of these loops"
    rows.append(record.row(what, growth, None, "<= 1.25", growth <= 1.25))
    record.write(
        "drift",
        rows,
        ["evidently", "numpy", "pandas", "scipy"],
        asked.out,
        loops=loops,
        load_average=os.getloadavg(),
    )
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
