"""Inputs: the values of numbers and categories, and how often nothing is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.config import DriftConfig
from primum.drift.columns import Column
from primum.drift.comparison import Comparison
from primum.drift.evidently_tests import Pair, category_counts, category_test, ks_p
from primum.records import FindingKind
from primum.stats.drift import ks_distance, standardised_difference, total_variation

FEW_NUMBERS = 5
"""Numbers of at most so many different values are compared as categories: the test of distributions of
continuous values would be too cautious."""
MIN_RECORDED = 10
"""Recorded values that either side needs before they are compared."""


def missing(column: Column, config: DriftConfig) -> Comparison | None:
    """How often the column is not recorded; None where it always is, on both sides, or never is."""
    recorded, sizes = column.recorded(), (column.reference.size, column.current.size)
    absent = [size - side.size for size, side in zip(sizes, recorded, strict=True)]
    shares = [count / size for count, size in zip(absent, sizes, strict=True)]
    if shares[0] == shares[1] and shares[0] in (0.0, 1.0):
        return None
    kind: FindingKind = "schema" if 1.0 in shares else "missing"
    words = f"'{column.name}' is not recorded in {shares[1]:.1%} of the window and {shares[0]:.1%} of the reference"
    if shares[1] == 1.0:
        words += ": the column vanished"
    elif shares[0] == 1.0:
        words += ": the column appeared, and the champion never saw it"
    return share_comparison(kind, column.name, absent, sizes, config.min_missing, words)


def share_comparison(  # noqa: PLR0913 - a test's design, each part named at the call
    kind: FindingKind,
    column: str,
    hits: list[int],
    sizes: tuple[int, int],
    threshold: float,
    reason: str,
) -> Comparison:
    """Two shares, of reference and window, by the test of their counts."""
    test = category_test(np.array([[h, n - h] for h, n in zip(hits, sizes, strict=True)]))
    change = abs(hits[1] / sizes[1] - hits[0] / sizes[0])
    return Comparison(kind, column, test.method, reason, test.p, change, "change of share", threshold)


def values(column: Column, config: DriftConfig, kind: FindingKind = "input") -> Comparison | None:
    """The recorded values; None where one side has too few, or both hold one and the same value."""
    reference, current = column.recorded()
    if min(reference.size, current.size) < MIN_RECORDED:
        return None
    if column.feature.kind == "number":
        return numbers(column.name, reference, current, config, kind)
    return categories(column.name, reference, current, config, kind, column.feature.values)


def numbers(
    name: str,
    reference: NDArray[Any],
    current: NDArray[Any],
    config: DriftConfig,
    kind: FindingKind = "input",
) -> Comparison | None:
    """Two samples of numbers: the effect is the one of the two that passes its threshold by more."""
    reference, current = np.sort(reference), np.sort(current)
    if reference[0] == reference[-1] == current[0] == current[-1]:
        return None
    distance, gap = ks_distance(reference, current), standardised_difference(reference, current)
    p, method = _numbers_p(reference, current)
    apart = f"{gap:+.2f} standard deviations, " if gap is not None else ""
    words = (
        f"'{name}': mean {current.mean():.4g} now, {reference.mean():.4g} in the reference "
        f"({apart}Kolmogorov-Smirnov distance {distance:.2f})"
    )
    if gap is not None and abs(gap) / config.min_mean_shift > distance / config.min_distance:
        effect: Any = (abs(gap), "standardised mean difference", config.min_mean_shift)
    else:
        effect = (distance, "Kolmogorov-Smirnov distance", config.min_distance)
    return Comparison(kind, name, method, words, p, *effect)


def _numbers_p(reference: NDArray[Any], current: NDArray[Any]) -> tuple[float, str]:
    distinct = [1 + int(np.count_nonzero(np.diff(side))) for side in (reference, current)]
    if max(distinct) <= FEW_NUMBERS:
        found, counts = category_counts(reference, current)
        if found.size <= FEW_NUMBERS:
            test = category_test(counts)
            return test.p, test.method
    return ks_p(reference, current), "Kolmogorov-Smirnov"


def categories(  # noqa: PLR0913
    name: str,
    reference: NDArray[Any],
    current: NDArray[Any],
    config: DriftConfig,
    kind: FindingKind = "input",
    words: Mapping[str, str] | None = None,
) -> Comparison | None:
    """Two samples of categories. `words`: what the task itself calls its values; others are never named."""
    found, counts = category_counts(reference, current)
    if found.size < 2:
        return None
    test, distance = category_test(counts), total_variation(counts)
    before, now = counts / counts.sum(axis=1, keepdims=True)
    most = int(np.abs(now - before).argmax())
    which = f"'{words[found[most]]}'" if words and found[most] in words else "its most changed value"
    reason = f"'{name}': {which} {now[most]:.1%} now, {before[most]:.1%} in the reference"
    new = counts[0] == 0
    if new.any():
        reason += (
            f"; {int(new.sum())} value(s) that the reference lacks, in {now[new].sum():.1%} of the window"
        )
    effect = (distance, "total variation distance", config.min_distance)
    return Comparison(kind, name, test.method, reason, test.p, *effect)


def pair(column: Column) -> Pair | None:
    """The column for Evidently's page; None for texts and where a side has nothing recorded."""
    reference, current = column.recorded()
    if column.feature.kind == "text" or not min(reference.size, current.size):
        return None
    return Pair(column.name, column.feature.kind, reference, current)
