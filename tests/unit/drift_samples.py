"""Made-up windows and references that the tests of drift share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from primum.config import DriftConfig, Label, PromptConfig, Source, TaskConfig
from primum.drift import About, Scored, compare
from primum.records import DriftReport, Predictions

ABOUT = About("north", "sepsis@all v1", "hash.dir", "site", None, "2026-01-01")
NOTES = (
    "the patient was seen on the ward and is well",
    "no fever since the morning, the wound of the leg heals",
    "was given fluids and is without complaints at night",
    "der Patient ist ohne Beschwerden und hat kein Fieber",
)


def task(**changed: Any) -> TaskConfig:
    """Two numbers, a declared and an open category, a text; patients and times are known."""
    made: dict[str, Any] = {
        "name": "sepsis",
        "source": Source(path="none.csv"),
        "keys": {"record_id": "visit", "patient_id": "mrn", "site": "ward", "time": "admitted"},
        "label": Label(column="sepsis", classes={"no": ("0",), "yes": ("1",)}),
        "features": (
            "temp",
            "lactate",
            {"column": "sex", "values": {"F": "female", "M": "male"}},
            {"column": "ward_type", "kind": "category"},
            {"column": "note", "kind": "text"},
        ),
        "prompt": PromptConfig(question="Sepsis?"),
    }
    return TaskConfig(**(made | changed))


def records(n: int, seed: int, prefix: str = "") -> pd.DataFrame:
    """n patients with one record each."""
    rng = np.random.default_rng(seed)
    ids = [f"{prefix}{seed}-{i:05d}" for i in range(n)]
    notes = rng.choice(np.array(NOTES, dtype=object), n)
    return pd.DataFrame(
        {
            "record_id": ids,
            "patient_id": [f"p{i}" for i in ids],
            "site": "north",
            "time": "2025-06-01",
            "label": rng.choice(["no", "yes"], n, p=[0.7, 0.3]),
            "temp": rng.normal(37.0, 0.6, n),
            "lactate": rng.lognormal(0.5, 0.5, n),
            "sex": rng.choice(["F", "M"], n),
            "ward_type": rng.choice(["surgical", "medical", "icu"], n, p=[0.5, 0.4, 0.1]),
            "note": [f"{note} {rng.integers(100)}" for note in notes],
        }
    )


def scored(frame: pd.DataFrame, seed: int, bias: float = 0.0, unread: int = 0) -> Scored:
    """Probabilities from the temperature, outcomes drawn from them; `bias` moves the logits that are said."""
    rng = np.random.default_rng(seed)
    logits = 2 * (frame["temp"].to_numpy(dtype=float) - 37.4)
    label = np.where(rng.random(len(frame)) < 1 / (1 + np.exp(-logits)), "yes", "no")
    p = 1 / (1 + np.exp(-(logits + bias)))
    rows: list[tuple[float, float] | None] = list(zip(np.log1p(-p).tolist(), np.log(p).tolist(), strict=True))
    said = np.where(p >= 0.5, "yes", "no").tolist()
    rows[:unread], said[:unread] = [None] * unread, ["unparsed"] * unread
    ids = tuple(frame["record_id"])
    return Scored(
        frame.assign(label=label),
        Predictions(
            system="c", labels=("no", "yes"), record_ids=ids, log_probs=tuple(rows), predicted=tuple(said)
        ),
    )


def report(reference: pd.DataFrame, current: pd.DataFrame, **more: Any) -> DriftReport:
    """`compare` with what a test does not say left at its simplest."""
    given: dict[str, Any] = {
        "about": ABOUT,
        "scored_reference": None,
        "scored_current": None,
        "outcomes": None,
        "resamples": 100,
    }
    asked = more.pop("task", task())
    return compare(
        asked, more.pop("config", DriftConfig()), reference=reference, current=current, **(given | more)
    )
