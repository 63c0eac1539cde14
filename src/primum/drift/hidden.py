"""Constants that stand for "not recorded" without being declared so, on either side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.drift.columns import Column
from primum.ingest.columns import MARKS
from primum.ingest.notes import SHARE, spike
from primum.records import HiddenMissing

CODES = (
    0.0,
    8.0,
    9.0,
    88.0,
    98.0,
    99.0,
    888.0,
    998.0,
    999.0,
    9998.0,
    9999.0,
    -1.0,
    -8.0,
    -9.0,
    -99.0,
    -999.0,
)
"""Customary codes of a value that is not recorded."""


def hidden_missing(column: Column) -> list[HiddenMissing]:
    """The column's values that seem to mean "not recorded"."""
    reference, current = column.recorded()
    if column.feature.kind == "number":
        codes = dict.fromkeys([*_spikes(reference), *_spikes(current), *_strangers(reference, current)])
        return [_named(column, f"{code:g}", reference == code, current == code) for code in codes]
    if column.feature.kind == "text" or column.feature.values:
        return []
    marks = {v for side in (reference, current) for v in set(side) if str(v).casefold() in MARKS}
    return [_named(column, str(mark), reference == mark, current == mark) for mark in sorted(marks)]


def _spikes(values: NDArray[Any]) -> Iterator[float]:
    """Every code that `ingest` would suspect, one after the other."""
    while (code := spike(values)) is not None:
        yield code
        values = values[values != code]


def _strangers(reference: NDArray[Any], current: NDArray[Any]) -> Iterator[float]:
    """Customary codes that pile up on one side, beyond every value of the other side."""
    for one, other in ((current, reference), (reference, current)):
        if not min(one.size, other.size):
            continue
        low, high = float(other.min()), float(other.max())
        for code in CODES:
            if low <= code <= high or not one.min() <= code <= one.max():
                continue
            if (one == code).mean() >= SHARE and _alone(one, code):
                yield code


def _alone(values: NDArray[Any], code: float) -> bool:
    """Whether the next value is further from the code than the others are from one another."""
    rest = np.unique(values[values != code])
    if rest.size < 2:
        return False
    return float(np.abs(rest - code).min()) > 2 * float(np.diff(rest).max())


def _named(column: Column, value: str, before: NDArray[Any], now: NDArray[Any]) -> HiddenMissing:
    shares = [
        float(hit.sum()) / max(1, side.size)
        for hit, side in ((before, column.reference), (now, column.current))
    ]
    return HiddenMissing(
        column=column.name,
        value=value,
        reference_share=shares[0],
        current_share=shares[1],
        reason=(
            f"'{column.name}' is {value} in {shares[1]:.1%} of the window and {shares[0]:.1%} of the reference, "
            "apart from all other values; if that means not recorded, list it under `missing` of the feature"
        ),
    )
