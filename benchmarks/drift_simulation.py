"""How often a drift report alarms on nothing, and how often it finds a shift: known truth, fixed seeds.

    python benchmarks/drift_simulation.py [--quick] [--out benchmarks/results]

Windows are drawn from one pool of made-up patients (six numbers, one of them skewed and one of few values,
four categories, values not recorded), and what is left of the pool is the reference: whatever alarms then is
false. Scores are calibrated and outcomes drawn from them. For the power one number is moved by half a standard
deviation. Result: drift_simulation.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import record

from primum.config import DriftConfig, Label, PromptConfig, Source, TaskConfig
from primum.drift import About, Scored, compare
from primum.records import DriftReport, Predictions
from primum.stats.power import wilson

NUMBERS, CATEGORIES = [f"x{i}" for i in range(6)], [f"c{i}" for i in range(4)]
TASK = TaskConfig(
    name="simulation",
    source=Source(path="none.csv"),
    keys={"record_id": "record_id", "patient_id": "patient_id", "time": "time"},
    label=Label(column="label", classes={"no": ("no",), "yes": ("yes",)}),
    features=(*NUMBERS, *({"column": c, "kind": "category"} for c in CATEGORIES)),
    prompt=PromptConfig(question="?"),
)
ABOUT = About("site", "champion", "split", "site", None, "2026-01-01")
POOL, VALIDATION = 6_000, 600


def pool(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Canonical records of n patients."""
    common = rng.normal(size=n)
    ids = np.arange(n).astype(str)
    frame = pd.DataFrame(
        {"record_id": ids, "patient_id": ids, "site": "site", "time": "2025-01-01", "label": "no"}
    )
    for number, column in enumerate(NUMBERS):
        frame[column] = 0.6 * common + 0.8 * rng.normal(size=n)
        frame.loc[rng.random(n) < 0.04 * number, column] = np.nan
    frame["x4"] = np.exp(frame["x4"])
    frame["x5"] = frame["x5"].round()
    for number, column in enumerate(CATEGORIES, start=2):
        share = 0.5 ** np.arange(number)
        frame[column] = rng.choice([f"v{k}" for k in range(number)], n, p=share / share.sum())
        frame.loc[rng.random(n) < 0.05, column] = None
    return frame


def scored(records: pd.DataFrame, rng: np.random.Generator) -> Scored:
    """Calibrated probabilities from the first number, and outcomes drawn from them."""
    p = 1 / (1 + np.exp(0.8 - 1.5 * records["x0"].fillna(0).to_numpy()))
    labels = np.where(rng.random(len(records)) < p, "yes", "no")
    said = Predictions(
        system="champion",
        labels=("no", "yes"),
        record_ids=tuple(records["record_id"]),
        log_probs=tuple(zip(np.log1p(-p).tolist(), np.log(p).tolist(), strict=True)),
        predicted=tuple(np.where(p >= 0.5, "yes", "no").tolist()),
    )
    return Scored(records.assign(label=labels), said)


def window(everyone: Scored, n: int, rng: np.random.Generator, shift: float = 0.0) -> DriftReport:
    """The report of a window of n patients of the pool; the others are reference and validation part."""
    order = rng.permutation(len(everyone.records))
    chosen, validation, reference = np.split(order, [n, n + VALIDATION])
    now = rows(everyone, chosen)
    if shift:
        now = Scored(now.records.assign(x1=now.records["x1"] + shift), now.predictions)
    return compare(
        TASK, DriftConfig(), about=ABOUT, reference=everyone.records.iloc[reference], current=now.records,
        scored_reference=rows(everyone, validation), scored_current=now, outcomes=now, resamples=100,
    )  # fmt: skip


def rows(everyone: Scored, chosen: np.ndarray) -> Scored:
    said = everyone.predictions
    parts = {
        name: tuple(getattr(said, name)[i] for i in chosen)
        for name in ("record_ids", "log_probs", "predicted")
    }
    return Scored(everyone.records.iloc[chosen], said.model_copy(update=parts))


def share(hits: int, runs: int) -> dict[str, float]:
    low, high = wilson(hits, runs)
    return {"share": hits / runs, "low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 windows instead of 200")
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    asked = parser.parse_args()
    runs = 20 if asked.quick else 200
    started, found, details = time.perf_counter(), [], {}
    everyone = scored(pool(POOL + VALIDATION, np.random.default_rng(1)), np.random.default_rng(2))
    for n in (30, 300, 3_000):
        reports = [window(everyone, n, np.random.default_rng([n, seed])) for seed in range(runs)]
        hits = share(sum(report.status == "alarm" for report in reports), runs)
        what = f"share of {runs} windows of {n:,} from the reference itself that alarm"
        found.append(record.row(what, hits["share"], None, "<= 0.05", hits["share"] <= 0.05))
        details[what] = hits | {"alarms": sorted(f"{f.kind} {f.column}" for r in reports for f in r.alarms)}
    sd = float(everyone.records["x1"].std())
    reports = [window(everyone, 300, np.random.default_rng([7, seed]), sd / 2) for seed in range(runs)]
    hits = share(sum(any(f.column == "x1" for f in report.alarms) for report in reports), runs)
    what = f"share of {runs} windows of 300 in which a shift of 0.5 SD of one of ten columns alarms"
    found.append(record.row(what, hits["share"], None, ">= 0.90", hits["share"] >= 0.90))
    others = sum(any(f.column != "x1" for f in report.alarms) for report in reports) / runs
    details[what] = hits | {"share with an alarm on another column": others}
    seconds = round(time.perf_counter() - started, 1)
    record.write(
        "drift_simulation",
        found,
        ["evidently", "numpy", "scipy"],
        asked.out,
        details=details,
        seconds=seconds,
    )
    for row in found:
        print(row)


if __name__ == "__main__":
    main()
