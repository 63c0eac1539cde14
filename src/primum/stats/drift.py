"""Two samples: how far they are apart, and how surely. Effect sizes stand beside every p-value.

A p-value alone alarms on nothing at 100,000 records and an effect alone on noise at 30, so `primum.drift` asks
for both, the p-values corrected over all tests of a report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2, fisher_exact, norm, random_table

from primum.stats.calibration import logistic_line, safe_logit
from primum.stats.delong import delong

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

EXPECTED = 5.0
"""Smallest expected count at which the chi-square distribution is trusted (Cochran, Ann Math Stat 1952)."""
TABLES, MOST_TABLES, REACHED = 9_999, 99_990, 10
"""Random tables are drawn so many at a time, until so many of them are as extreme, and at most so many: the
smallest p is 0.00001, small enough among a thousand tests, and only small ones cost more than one batch."""
CELLS = 50
"""Categories that are compared one by one; the rarer ones count as one."""
EXACT_EVENTS = 2_000
"""Records up to which the distribution of the number of events is worked out exactly."""


def benjamini_hochberg(p: Sequence[float]) -> Floats:
    """Adjusted p-values (m,): below q at a false discovery rate of q. J R Stat Soc B 1995;57:289.

    0.01, 0.04, 0.03 become 0.03, 0.04, 0.04.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)[::-1]
    ranked = values[order] * values.size / np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(ranked), 1)
    return adjusted


def standardised_difference(reference: Floats, current: Floats) -> float | None:
    """(mean of current (m,) - mean of reference (n,)) over their root mean square standard deviation.

    Cohen 1988; Austin 2009, doi 10.1002/sim.3697. None where both are constant.
    """
    spread = math.sqrt((float(reference.var()) + float(current.var())) / 2)
    before, now = float(reference.mean()), float(current.mean())
    least = 1e-12 * max(abs(before), abs(now))  # below it the spread is rounding
    return (now - before) / spread if spread > least else None


def ks_distance(reference: Floats, current: Floats) -> float:
    """Largest gap between the distribution functions of two *sorted* samples (n,), (m,): in 0..1.

    The gap is largest at a value of either sample, and at those of the smaller one just before or at it.
    """
    few, many = sorted((reference, current), key=len)
    at, before = (np.searchsorted(few, few, side) / few.size for side in ("right", "left"))
    other, below = (np.searchsorted(many, few, side) / many.size for side in ("right", "left"))
    return float(max(np.abs(at - other).max(), np.abs(before - below).max()))


def total_variation(counts: Ints) -> float:
    """Half the sum of the differences of shares, of a table (2, K) of counts: in 0..1."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


@dataclass(frozen=True)
class Homogeneity:
    """Whether two samples have the same shares of categories, and by which test."""

    p: float
    method: str


def homogeneity(counts: Ints, rng: np.random.Generator) -> Homogeneity:
    """Test a table (2, K) of counts: Fisher's, Pearson's chi-square, or chi-square by random tables.

    Pearson's where every expected count is 5 or more; else Fisher's exact test of two categories, or the
    share of 9,999 or more tables with the same margins (Patefield, Appl Stat 1981;30:91) whose chi-square is
    as large, (r+1)/(B+1). Categories beyond the 50 most frequent of both samples together count as one, which
    depends on the margins alone and so leaves the test valid. A single category gives p = 1.
    """
    table = _pooled(np.asarray(counts, dtype=np.int64))
    if table.shape[1] < 2:
        return Homogeneity(1.0, "chi-square")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    if expected.min() >= EXPECTED:
        return Homogeneity(float(chi2.sf(statistic, table.shape[1] - 1)), "chi-square")
    if table.shape[1] == 2:
        return Homogeneity(float(fisher_exact(table).pvalue), "Fisher's exact")
    tables, drawn, reached = random_table(table.sum(axis=1), table.sum(axis=0), seed=rng), 0, 0
    while drawn < MOST_TABLES and reached < REACHED:
        deviation = ((tables.rvs(TABLES) - expected) ** 2 / expected).sum(axis=(1, 2))
        drawn, reached = drawn + TABLES, reached + int((deviation >= statistic - 1e-9).sum())
    return Homogeneity((reached + 1) / (drawn + 1), "chi-square by random tables")


def _pooled(counts: Ints) -> Ints:
    """The table without empty categories, the rarest pooled into one beyond `CELLS`."""
    total = counts.sum(axis=0)
    order = np.argsort(-total, kind="stable")[: int((total > 0).sum())]
    head, tail = counts[:, order[:CELLS]], counts[:, order[CELLS:]].sum(axis=1, keepdims=True)
    return np.hstack([head, tail]) if tail.any() else head


def events_p(probability: Floats, event: Bools) -> float:
    """Two-sided p that the events (n,) came from these probabilities (n,): calibration in the large.

    The number of events is Poisson-binomial: exact up to 2,000 records, above by the normal distribution
    with continuity and skewness correction (Volkova, Theory Probab Appl 1996;40:791). Twice the smaller tail.
    """
    p, k = np.asarray(probability, dtype=float), int(event.sum())
    if p.size <= EXACT_EVENTS:
        mass = np.zeros(p.size + 1)
        mass[0] = 1.0
        for number, chance in enumerate(p, start=1):
            mass[1 : number + 1] = mass[1 : number + 1] * (1 - chance) + mass[:number] * chance
            mass[0] *= 1 - chance
        below, above = float(mass[: k + 1].sum()), float(mass[k:].sum())
    else:
        below, above = _normal_tail(p, k), 1 - _normal_tail(p, k - 1)
    return min(1.0, 2 * max(0.0, min(below, above)))


def _normal_tail(p: Floats, k: int) -> float:
    """P(events <= k), approximately."""
    variance = float((p * (1 - p)).sum())
    if variance == 0:
        return float(p.sum() <= k)
    skew = float((p * (1 - p) * (1 - 2 * p)).sum()) / variance**1.5
    x = (k + 0.5 - float(p.sum())) / math.sqrt(variance)
    return float(np.clip(norm.cdf(x) + skew * (1 - x**2) * norm.pdf(x) / 6, 0, 1))


def slope_test(probability: Floats, event: Bools) -> tuple[float, float] | None:
    """Calibration slope of probability (n,) for event (n,), and the likelihood-ratio p of "it is 1".

    Cox 1958, doi 10.1093/biomet/45.3-4.562. None where there is no finite slope (separated or constant).
    """
    x, y = safe_logit(probability), event.astype(float)
    intercept, slope = (float(v[0]) for v in logistic_line(x, y, np.ones((1, y.size))))
    if not math.isfinite(slope):
        return None
    shift = 0.0
    for _ in range(50):
        fitted = expit(shift + x)
        step = float((y - fitted).sum()) / max(float((fitted * (1 - fitted)).sum()), 1e-12)
        shift += max(-4.0, min(4.0, step))
    gain = _log_likelihood(intercept + slope * x, y) - _log_likelihood(shift + x, y)
    return slope, float(chi2.sf(2 * max(gain, 0.0), 1))


def _log_likelihood(logits: Floats, y: Floats) -> float:
    return float((y * logits - np.logaddexp(0, logits)).sum())


def auroc_error(event: Bools, score: Floats) -> tuple[float, float]:
    """AUROC of score (n,) for event (n,), and its DeLong standard error. Raises BadInput as `delong`.

    Near 1 the estimated error vanishes though the true one does not: it is taken as no less than half a
    record of the smaller class.
    """
    found = delong(event, score, np.zeros(event.size))  # a constant score has AUROC 0.5 without error
    least = 0.5 / min(int(event.sum()), int((~event).sum()))
    return found.auroc_a, max(found.se, least)


def difference_p(before: float, error_before: float, now: float, error_now: float) -> float:
    """Two-sided normal p of two estimates from independent samples, by their standard errors."""
    error = math.hypot(error_before, error_now)
    if error == 0:
        return 1.0 if before == now else 0.0
    return float(2 * norm.sf(abs(now - before) / error))
