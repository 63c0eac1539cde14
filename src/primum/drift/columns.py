"""One declared feature on both sides, brought to the kind that the task declares, and what kept it from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from primum.config import Feature, TaskConfig
from primum.drift.comparison import Comparison
from primum.ingest.columns import canonical

FEW_VALUES, FEW_WORDS = 20, 3
"""A text column of at most so many different entries of at most so many words holds categories."""


@dataclass(frozen=True)
class Column:
    """A feature's values; numbers are float64 with NaN, categories and texts objects with None."""

    feature: Feature
    reference: NDArray[Any]
    current: NDArray[Any]

    @property
    def name(self) -> str:
        """The source's name of the column."""
        return self.feature.column

    def recorded(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The values of reference and window that are recorded."""
        reference, current = (side[~np.asarray(pd.isna(side))] for side in (self.reference, self.current))
        return reference, current


def declared_columns(records: pd.DataFrame, task: TaskConfig) -> tuple[pd.DataFrame, dict[str, float]]:
    """The records with every feature in its declared kind, and per column the share that did not fit.

    A column that is not there counts as not recorded. Text in a number column becomes not recorded.
    """
    misfits: dict[str, float] = {}
    fitted: dict[str, Any] = {}
    for feature in task.features:
        column = feature.column
        if column not in records:
            fitted[column] = np.full(len(records), np.nan) if feature.kind == "number" else None
            continue
        values = records[column]
        numeric = pd.api.types.is_numeric_dtype(values)
        if feature.kind == "number":
            if numeric and values.dtype == np.float64:
                continue
            read = pd.to_numeric(values, errors="coerce").astype(float)
            misfits[column] = float((read.isna() & values.notna()).mean()) if len(values) else 0.0
            fitted[column] = read
        elif numeric or pd.api.types.is_datetime64_any_dtype(values):
            fitted[column] = values.map(canonical, na_action="ignore").astype(object)
    return records.assign(**fitted) if fitted else records, {c: s for c, s in misfits.items() if s}


def pair_columns(reference: pd.DataFrame, current: pd.DataFrame, task: TaskConfig) -> Iterator[Column]:
    """Each feature on both sides, one at a time, so that only one column is held twice."""
    for feature in task.features:
        kind: Any = np.float64 if feature.kind == "number" else object
        sides = (frame[feature.column].to_numpy(dtype=kind) for frame in (reference, current))
        yield Column(feature, *sides)


def changed_types(columns: list[Column], misfits: dict[str, float], threshold: float) -> list[Comparison]:
    """Columns that hold another kind of value in the window: facts, not tests."""
    found = [
        _fact(name, share, threshold, f"{share:.1%} of the window's values are text in a column of numbers")
        for name, share in misfits.items()
    ]
    for column in columns:
        if column.feature.kind != "number" and (words := _changed_words(column)):
            found.append(_fact(column.name, 1.0, threshold, words))
    return found


def _fact(column: str, share: float, threshold: float, reason: str) -> Comparison:
    words = f"'{column}': {reason}"
    return Comparison("schema", column, "type", words, None, share, "share of records", threshold)


def _changed_words(column: Column) -> str | None:
    reference, current = column.recorded()
    if min(reference.size, current.size) < FEW_VALUES:
        return None
    before, now = _looks(reference), _looks(current)
    if (before, now) == ("text", "categories"):
        return "free text in the reference, a few short entries in the window"
    if (before, now) == ("categories", "text"):
        return "a few short entries in the reference, free text in the window"
    return None


def _looks(values: NDArray[Any]) -> str:
    """`text`, `categories` or neither, by how many entries differ and how long they are."""
    some = values[: 50 * FEW_VALUES]
    different = len(set(some))
    words = float(np.median([len(str(value).split()) for value in some]))
    if different > some.size / 2 and words > FEW_WORDS:
        return "text"
    return "categories" if different <= min(FEW_VALUES, some.size / 2) and words <= FEW_WORDS else "neither"
