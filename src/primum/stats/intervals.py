"""The interval of one system's metric: bootstrap over patients, as in `resample`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.stats.metrics import Floats, Ints
from primum.stats.paired import patient_types
from primum.stats.resample import CHUNK, check_level, draws, interval, patient_index


@dataclass(frozen=True)
class MetricInterval:
    """A metric with its two-sided interval; where undefined, None and the whole line."""

    value: float | None
    lower: float
    upper: float
    se: float
    undefined: int
    """Resamples in which the metric was undefined; each widens the interval."""


def count_interval(  # noqa: PLR0913 - a test's design, each part named at the call
    gold: Ints,
    pred: Ints,
    patients: NDArray[Any],
    *,
    classes: int,
    metric: Callable[[Floats], Floats],
    resamples: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> MetricInterval:
    """Interval of a metric of labels: `metric` maps confusions (B, K, K+1) to (B,)."""
    check_level(alpha, resamples)
    types = patient_types(gold, pred, pred, patients, classes)
    shape = (-1, classes, classes + 1)

    def score(weights: Floats) -> Floats:
        return metric((weights @ types.cells_a).reshape(shape))

    value = float(score(types.mass[None, :])[0])
    return _put_together(value, [score(block) for block in draws(types.mass, resamples, rng)], alpha)


def weighted_interval(
    patients: NDArray[Any],
    metric: Callable[[Floats], Floats],
    *,
    resamples: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> MetricInterval:
    """Interval of any metric of records: `metric` maps record weights (b, n) to (b,), NaN where undefined.

    For AUROC, Brier, calibration and the like. At most `resample.CHUNK` weights are held at once.
    """
    check_level(alpha, resamples)
    index, count = patient_index(np.asarray(patients))
    rows = max(1, CHUNK // max(index.size, count))
    parts = []
    for start in range(0, resamples, rows):
        drawn = draw_patients(count, min(rows, resamples - start), rng)
        parts.append(metric(drawn[:, index]))
    value = float(metric(np.ones((1, index.size)))[0])
    return _put_together(value, parts, alpha)


def draw_patients(count: int, rows: int, rng: np.random.Generator) -> Floats:
    """How often each of `count` patients is drawn in each of `rows` resamples: (rows, count)."""
    picks = rng.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
    return np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def _put_together(value: float, parts: list[Floats], alpha: float) -> MetricInterval:
    if np.isnan(value):
        return MetricInterval(None, -np.inf, np.inf, np.inf, 0)
    found = interval(np.concatenate(parts), alpha)
    return MetricInterval(value, found.lower, found.upper, found.se, found.undefined)
