"""Calibration: fitted on validation only, judged on the holdout.

Log-probabilities are of labels, shape (n, K), natural logarithm, each row normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import expit, log_softmax, logit

from primum.errors import BadInput

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

TEMPERATURES = (0.05, 20.0)
"""Range that a fitted temperature stays in."""


def check_log_probs(log_probs: Floats, gold: Ints) -> None:
    """Raise BadInput unless log_probs (n, K) are normalised and free of NaN and gold (n,) fits them."""
    if log_probs.ndim != 2 or log_probs.shape[0] != gold.size or gold.size == 0:
        raise BadInput(
            f"{log_probs.shape[:1]} rows of log-probabilities for {gold.size} records; give one each"
        )
    if np.isnan(log_probs).any():
        row = int(np.isnan(log_probs).any(1).argmax())
        raise BadInput(f"log-probabilities, row {row}: not a number; leave unparsed records out of the fit")
    off = np.abs(np.exp(log_probs).sum(1) - 1)
    if off.max() > 1e-3:
        raise BadInput(f"probabilities of row {int(off.argmax())} do not sum to 1; normalise them")
    if gold.min() < 0 or gold.max() >= log_probs.shape[1]:
        raise BadInput(f"gold codes must lie in 0..{log_probs.shape[1] - 1}")


def fit_temperature(log_probs: Floats, gold: Ints) -> float:
    """Temperature T that minimises the log-loss of softmax(log_probs / T) on validation records.

    Guo et al. 2017 (arXiv 1706.04599). As in Platt's scaling (Platt 1999) the targets are smoothed by the
    rule of succession, (n+1)/(n+K) for the gold class, so that a small validation part without an error does
    not make the model infinitely sure. Raises BadInput for rows that are NaN or not normalised.
    """
    log_probs, gold = np.asarray(log_probs, dtype=float), np.asarray(gold)
    check_log_probs(log_probs, gold)
    n, classes = log_probs.shape
    finite = np.maximum(log_probs, np.log(1e-30))
    target = np.full((n, classes), 1 / (n + classes))
    target[np.arange(n), gold] = (n + 1) / (n + classes)

    def loss(log_t: float) -> float:
        return -float((target * log_softmax(finite / np.exp(log_t), axis=1)).sum()) / n

    low, high = np.log(TEMPERATURES)
    best = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def apply_temperature(log_probs: Floats, temperature: float) -> Floats:
    """Log-probabilities (n, K) at that temperature, normalised; the order of the labels never changes."""
    if not temperature > 0:
        raise BadInput(f"a temperature must be greater than 0, not {temperature:g}")
    return log_softmax(np.asarray(log_probs, dtype=float) / temperature, axis=1)


ISOTONIC_MINIMUM = 1000
"""Validation records below which isotonic regression is refused: it would follow the noise."""


@dataclass(frozen=True)
class Platt:
    """Logistic recalibration of one class: logit p' = intercept + slope logit p."""

    intercept: float
    slope: float

    def apply(self, probability: Floats) -> Floats:
        """Recalibrated probabilities, same shape."""
        return expit(self.intercept + self.slope * safe_logit(probability))


def safe_logit(probability: Floats) -> Floats:
    """Logit with probabilities kept 1e-12 away from 0 and 1."""
    return logit(np.clip(probability, 1e-12, 1 - 1e-12))


def fit_platt(probability: Floats, event: NDArray[np.bool_]) -> Platt:
    """Fit Platt scaling (Platt 1999) on validation: probability (n,) of the event, event (n,).

    Targets are smoothed as Platt does, (N+ + 1)/(N+ + 2) and 1/(N- + 2), so that perfectly separated records
    give a finite slope. Raises BadInput unless both outcomes occur.
    """
    event = np.asarray(event, dtype=bool)
    check_probability(np.asarray(probability, dtype=float), event)
    if event.all() or not event.any():
        raise BadInput("recalibration needs records with and without the event")
    positives, negatives = event.sum(), (~event).sum()
    target = np.where(event, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    intercept, slope = logistic_line(safe_logit(probability), target, np.ones((1, event.size)))
    if not np.isfinite(slope[0]):
        raise BadInput("recalibration does not converge: the probabilities are constant")
    return Platt(float(intercept[0]), float(slope[0]))


@dataclass(frozen=True)
class Isotonic:
    """A monotone step function through (probability, observed share), linear in between."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def apply(self, probability: Floats) -> Floats:
        """Recalibrated probabilities, same shape; constant beyond the fitted range."""
        return np.interp(probability, self.x, self.y)


def fit_isotonic(probability: Floats, event: NDArray[np.bool_], minimum: int = ISOTONIC_MINIMUM) -> Isotonic:
    """Fit isotonic regression (Zadrozny & Elkan 2002, doi 10.1145/775047.775151) on validation, (n,) each.

    Ties in the probability are pooled first. Raises BadInput with fewer than `minimum` records.
    """
    event = np.asarray(event, dtype=bool)
    check_probability(np.asarray(probability, dtype=float), event)
    if event.size < minimum:
        raise BadInput(f"isotonic calibration needs at least {minimum} validation records, not {event.size}")
    x, index, count = np.unique(probability, return_inverse=True, return_counts=True)
    share = np.bincount(index, weights=event) / count
    fitted = isotonic_regression(share, weights=count).x
    return Isotonic(tuple(x.tolist()), tuple(fitted.tolist()))


def check_probability(probability: Floats, event: NDArray[np.bool_]) -> None:
    """Raise BadInput unless probability (n,) lies in 0..1 and fits event (n,)."""
    if probability.shape != event.shape or probability.ndim != 1 or probability.size == 0:
        raise BadInput(f"{probability.size} probabilities for {event.size} records; give one each")
    bad = ~((probability >= 0) & (probability <= 1))
    if bad.any():
        raise BadInput(f"row {int(bad.argmax())}: not a probability between 0 and 1")


def logistic_line(x: Floats, target: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope (B,) of the logistic regression of target (n,) on x (n,) under weights (B, n).

    Newton's method on all resamples at once; NaN where it has no finite solution (separated or constant
    data).
    """
    intercept, slope = np.zeros(weights.shape[0]), np.ones(weights.shape[0])
    with np.errstate(all="ignore"):
        for _ in range(30):
            p = expit(intercept[:, None] + slope[:, None] * x)
            residual, v = weights * (target - p), weights * p * (1 - p)
            g0, g1 = residual.sum(1), residual @ x
            h00, h01, h11 = v.sum(1), v @ x, v @ x**2
            determinant = h00 * h11 - h01**2
            step0 = (h11 * g0 - h01 * g1) / determinant
            step1 = (h00 * g1 - h01 * g0) / determinant
            limit = np.maximum(1, np.maximum(np.abs(step0), np.abs(step1)) / 4)
            intercept, slope = intercept + step0 / limit, slope + step1 / limit
        moving = ~(np.maximum(np.abs(step0), np.abs(step1)) < 1e-6)
    lost = moving | ~np.isfinite(slope) | (np.abs(slope) > 1e3)
    return np.where(lost, np.nan, intercept), np.where(lost, np.nan, slope)
