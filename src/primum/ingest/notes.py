"""Warnings about values that look like missing values in disguise but are not declared as such."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from primum.config import Feature, TaskConfig
from primum.ingest.columns import MARKS

SHARE = 0.05
DISTINCT = 10
ROBUST_Z = 3.0


def suspicious(table: pa.Table, task: TaskConfig) -> list[str]:
    """One warning per feature whose values seem to hold an undeclared code for 'not recorded'."""
    found = []
    for feature in task.features:
        column = table[feature.column].drop_null()
        number = feature.kind == "number"
        code: float | str | None = spike(column.to_numpy()) if number else _mark(column, feature)
        if code is not None:
            count = pc.sum(pc.equal(column, pa.scalar(code, column.type))).as_py()
            shown = f"{code:g}" if isinstance(code, float) else f"'{code}'"
            found.append(
                f"warning: '{feature.column}' is {shown} in {count} rows; if that means not recorded, "
                f"list it under `missing` of the feature"
            )
    return found


def spike(values: np.ndarray) -> float | None:
    """The smallest or largest of `values` (n,) if it looks like a code instead of a measurement, else None.

    A code (0, 999, -1 ...) is one exact value that holds at least 5% of the column and lies alone, far
    outside the rest: beyond 3 robust standard deviations (1.4826 MAD) of the rest's median, Hampel's outlier
    rule (Davies and Gather, J Am Stat Assoc 1993;88:782), and more than one such deviation from the nearest
    other value. At least ten distinct other values are asked for, so flags and
    scores are left in peace; so are true zeros of skewed quantities (ST depression), which the rest's spread
    reaches down to.
    """
    for code in (values.min(), values.max()) if values.size else ():
        rest = values[values != code]
        if values.size - rest.size < SHARE * values.size or np.unique(rest).size < DISTINCT:
            continue
        median = np.median(rest)
        deviation = 1.4826 * np.median(np.abs(rest - median))
        far = abs(code - median) > ROBUST_Z * deviation
        if deviation > 0 and far and np.abs(rest - code).min() > deviation:
            return float(code)
    return None


def _mark(column: pa.ChunkedArray, feature: Feature) -> str | None:
    """The first customary mark ('unknown', 'NA' ...) among the values of an open category."""
    if feature.kind != "category" or feature.values:
        return None
    return next((v for v in sorted(pc.unique(column).to_pylist()) if v.casefold() in MARKS), None)
