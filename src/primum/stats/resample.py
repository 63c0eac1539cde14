"""The bootstrap of patients: who is drawn how often, and what interval the replicates give.

Patients are the independent unit: all records of a drawn patient come along (cluster bootstrap; Davison &
Hinkley 1997, section 3.8). Patients whose records are the same in every code that matters are exchangeable,
so drawing P patients with replacement is exactly one multinomial draw over the *types* of patients: for two
binary systems at most 18 types instead of 10,000 records, which is where the speed comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from primum.errors import BadInput

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Method = Literal["percentile", "bca"]

CHUNK = 2_000_000
"""Draws held in memory at once: 16 MB of multiplicities."""


@dataclass(frozen=True)
class Interval:
    """A two-sided bootstrap interval and the p-value of "the value is 0"."""

    lower: float
    upper: float
    p: float
    se: float
    """Standard deviation of the defined replicates."""
    undefined: int
    """Resamples in which the value did not exist; each counts as the worst case in either tail."""


def patient_index(patients: NDArray[Any]) -> tuple[Ints, int]:
    """Number patients 0..P-1: the number of each record (n,), and P."""
    names, index = np.unique(patients, return_inverse=True)
    return index, names.size


def types_of(codes: Ints, patient: Ints, count: int) -> tuple[Ints, Ints]:
    """Type (P,) of each patient, and one example patient (T,) of each type.

    codes (n,) say all that matters of a record; patient (n,) in 0..P-1. Two patients are of one type when the
    sorted codes of their records are the same.
    """
    ordered = codes[np.lexsort((codes, patient))]
    sizes = np.bincount(patient, minlength=count)
    start = np.cumsum(sizes) - sizes
    kind, examples = np.empty(count, dtype=np.int64), np.empty(0, dtype=np.int64)
    for size in np.unique(sizes):  # apart, so that one patient of very many records costs no memory
        alike = np.flatnonzero(sizes == size)
        rows = ordered[start[alike][:, None] + np.arange(size)]
        _, example, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        kind[alike] = number.reshape(-1) + examples.size
        examples = np.concatenate([examples, alike[example]])
    return kind, examples


def draws(
    mass: Floats, resamples: int, rng: np.random.Generator, strata: Ints | None = None
) -> Iterator[Floats]:
    """Yield multiplicities (b, T) until `resamples` rows were drawn.

    mass (T,): how many patients each type has. strata (T,): draw within each stratum as many as it has.
    """
    groups = (
        [np.arange(mass.size)] if strata is None else [np.flatnonzero(strata == s) for s in np.unique(strata)]
    )
    rows = max(1, CHUNK // max(1, mass.size))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        block = np.zeros((size, mass.size))
        for group in groups:
            total = mass[group].sum()
            block[:, group] = rng.multinomial(round(total), mass[group] / total, size=size)
        yield block


def bootstrap_p(replicates: Floats) -> float:
    """Two-sided p of "no difference": twice the smaller tail at 0, (r+1)/(B+1) corrected, at most 1.

    Undefined (NaN) replicates count in both tails. Davison & Hinkley 1997, section 4.4; all tied gives 1.
    """
    undefined = int(np.isnan(replicates).sum())
    tails = (int((replicates <= 0).sum()), int((replicates >= 0).sum()))
    return min(1.0, 2 * (min(tails) + undefined + 1) / (replicates.size + 1))


def percentile_interval(replicates: Floats, alpha: float) -> tuple[float, float]:
    """Percentile interval by order statistics k and B+1-k with k = floor((B+1) alpha/2): never interpolated.

    An undefined (NaN) replicate stands at -inf for the lower and +inf for the upper end, so that
    undefinedness can only widen the interval. Too few resamples for alpha give (-inf, inf).
    """
    return _order_statistics(replicates, alpha / 2, 1 - alpha / 2)


def _order_statistics(replicates: Floats, low: float, high: float) -> tuple[float, float]:
    b, undefined = replicates.size, np.isnan(replicates)
    down = np.sort(np.where(undefined, -np.inf, replicates))
    up = np.sort(np.where(undefined, np.inf, replicates))
    first = int(np.floor((b + 1) * low + 1e-9))
    last = int(np.ceil((b + 1) * high - 1e-9))
    return (
        float(down[first - 1]) if first >= 1 else -np.inf,
        float(up[last - 1]) if last <= b else np.inf,
    )


def bca_interval(
    replicates: Floats, value: float, leave_one_out: Floats, mass: Floats, alpha: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987, doi 10.1080/01621459.1987.10478410).

    leave_one_out (T,): the value without one patient of each type; mass (T,): patients of that type. Where
    all replicates are tied, or a value is undefined, the percentile interval is returned.
    """
    below = (replicates < value).mean() + 0.5 * (replicates == value).mean()
    defined = not (np.isnan(replicates).any() or np.isnan(leave_one_out).any() or np.isnan(value))
    if not defined or not 0 < below < 1:
        return percentile_interval(replicates, alpha)
    gap = (leave_one_out * mass).sum() / mass.sum() - leave_one_out
    spread = float((mass * gap**2).sum())
    acceleration = float((mass * gap**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z0 = float(norm.ppf(below))

    def adjusted(level: float) -> float:
        z = z0 + float(norm.ppf(level))
        return float(norm.cdf(z0 + z / (1 - acceleration * z)))

    return _order_statistics(replicates, adjusted(alpha / 2), adjusted(1 - alpha / 2))


def interval(replicates: Floats, alpha: float, bounds: tuple[float, float] | None = None) -> Interval:
    """Put an interval together: the given bounds, or the percentile ones, with p and standard error."""
    low, high = percentile_interval(replicates, alpha) if bounds is None else bounds
    known = replicates[~np.isnan(replicates)]
    se = float(known.std(ddof=1)) if known.size > 1 else float("inf")
    return Interval(low, high, bootstrap_p(replicates), se, replicates.size - known.size)


def check_level(alpha: float, resamples: int) -> None:
    """Raise BadInput unless 0 < alpha < 1 and there are at least 100 resamples."""
    if not 0 < alpha < 1:
        raise BadInput(f"alpha must lie between 0 and 1, not {alpha:g}")
    if resamples < 100:
        raise BadInput(f"{resamples} resamples are too few for an interval; use at least 100")
