"""DeLong's test of two correlated AUROCs (DeLong, DeLong & Clarke-Pearson 1988, doi 10.2307/2531595)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from primum.errors import BadInput

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class DeLongResult:
    """Two AUROCs on the same records, the standard error of their difference, and its two-sided p."""

    auroc_a: float
    auroc_b: float
    se: float
    p: float


def delong(event: NDArray[np.bool_], score_a: Floats, score_b: Floats) -> DeLongResult:
    """Compare AUROCs of scores (n,) for the same event (n,); records are taken as independent.

    Fast form by midranks (Sun & Xu 2014, doi 10.1109/LSP.2014.2337313). No difference gives p = 1. Raises
    BadInput with fewer than 2 records with or without the event. With several records per patient use
    `intervals.weighted_interval` on the difference instead.
    """
    event = np.asarray(event, dtype=bool)
    m, n = int(event.sum()), int((~event).sum())
    if min(m, n) < 2:
        raise BadInput(f"DeLong's test needs 2 records with and without the event, not {m} and {n}")
    found = [components(event, np.asarray(score, dtype=float)) for score in (score_a, score_b)]
    (area_a, v10_a, v01_a), (area_b, v10_b, v01_b) = found
    variance = float((v10_a - v10_b).var(ddof=1)) / m + float((v01_a - v01_b).var(ddof=1)) / n
    se, difference = math.sqrt(variance), area_a - area_b
    if se == 0:
        return DeLongResult(area_a, area_b, 0.0, 1.0 if difference == 0 else 0.0)
    return DeLongResult(area_a, area_b, se, float(2 * norm.sf(abs(difference) / se)))


def components(event: NDArray[np.bool_], score: Floats) -> tuple[float, Floats, Floats]:
    """AUROC of scores (m + n,), and its structural components: of each positive (m,) and of each negative (n,)."""
    positives, negatives = score[event], score[~event]
    m, n = positives.size, negatives.size
    ranks = rankdata(np.r_[positives, negatives])
    v10 = (ranks[:m] - rankdata(positives)) / n
    v01 = 1 - (ranks[m:] - rankdata(negatives)) / m
    return float(v10.mean()), v10, v01
