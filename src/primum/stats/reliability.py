"""How well probabilities mean what they say, on the holdout.

Shapes: probability (n,) of an event; event (n,) bool; weights (B, n), how often each record stands in each
resample; results (B,), NaN where undefined. Terms as in Van Calster et al. 2019, doi
10.1186/s12916-019-1466-7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput
from primum.stats.calibration import check_probability, logistic_line, safe_logit

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def observed_expected(probability: Floats, event: Bools, weights: Floats) -> Floats:
    """Calibration-in-the-large as O/E: events observed over events expected; 1 is ideal, above 1 too few."""
    expected = weights @ probability
    return np.divide(weights @ event, expected, out=np.full(expected.shape, np.nan), where=expected > 0)


def calibration_line(probability: Floats, event: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope of logit(event) on logit(probability); 0 and 1 are ideal, slope < 1 overconfident.

    Cox 1958, doi 10.1093/biomet/45.3-4.562. Undefined where events and non-events are separated.
    """
    return logistic_line(safe_logit(probability), event.astype(float), weights)


@dataclass(frozen=True)
class Bin:
    """One group of records of similar predicted probability."""

    records: int
    predicted: float
    observed: float


def reliability_curve(probability: Floats, event: Bools, bins: int = 10) -> tuple[Bin, ...]:
    """Groups of equal size by predicted probability; equal probabilities stay in one group."""
    check_probability(np.asarray(probability, dtype=float), event)
    if bins < 1:
        raise BadInput(f"a reliability curve needs at least 1 group, not {bins}")
    group = _groups(probability, bins)
    sizes = np.bincount(group)
    predicted = np.bincount(group, weights=probability)
    observed = np.bincount(group, weights=event)
    return tuple(
        Bin(int(n), float(p / n), float(o / n))
        for n, p, o in zip(sizes, predicted, observed, strict=True)
        if n > 0
    )


def expected_calibration_error(probability: Floats, event: Bools, weights: Floats, bins: int = 10) -> Floats:
    """ECE (B,): mean |observed - predicted| over groups of equal size, weighted by their records.

    Naeini et al. 2015 with quantile groups (Nixon et al. 2019, arXiv 1904.01685). Its expectation is above 0
    for a perfect model, the more so the smaller the groups: compare it between systems, not with 0.
    """
    group = _groups(probability, bins)
    member = np.eye(bins)[group]
    gaps = np.abs(weights @ (member * (event - probability)[:, None])).sum(1)
    total = weights.sum(1)
    return np.divide(gaps, total, out=np.full(total.shape, np.nan), where=total > 0)


def _groups(probability: Floats, bins: int) -> NDArray[np.integer[Any]]:
    """Group (n,) of each record: the quantile group of the first of its ties."""
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    first = np.searchsorted(ordered, ordered, side="left")
    group = np.empty(probability.size, dtype=np.int64)
    group[order] = first * bins // probability.size
    return group
