"""How much a model's probabilities must be updated at a new place: not at all, shifted, or shifted and stretched.

Closed testing procedure of Vergouwe et al., Stat Med 2017;36:4529, doi 10.1002/sim.7179, without its last step (new
coefficients, which is retraining).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2

from primum.errors import BadInput
from primum.stats.calibration import Platt, check_probability, logistic_line, safe_logit

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Update:
    """What the records ask for: logit p' = intercept + slope logit p."""

    kind: Literal["none", "intercept", "intercept and slope"]
    map: Platt
    p_any: float
    """Of the likelihood-ratio test of intercept and slope against the probabilities as they are (2 df)."""
    p_slope: float
    """Of the test of intercept and slope against a new intercept alone (1 df)."""


def closed_update(probability: Floats, event: NDArray[np.bool_], alpha: float = 0.05) -> Update:
    """The least update that the records (n,) do not reject at `alpha`.

    Raises BadInput unless both outcomes occur. Where slope and intercept have no finite solution (separated
    records) only the intercept is considered.
    """
    event = np.asarray(event, dtype=bool)
    check_probability(np.asarray(probability, dtype=float), event)
    if event.all() or not event.any():
        raise BadInput("recalibration needs records with and without the event")
    x, y = safe_logit(np.asarray(probability, dtype=float)), event.astype(float)
    shift = float(brentq(lambda a: float((expit(a + x) - y).sum()), -50.0, 50.0))
    intercept, slope = (float(v[0]) for v in logistic_line(x, y, np.ones((1, y.size))))
    finite = bool(np.isfinite(slope)) and slope > 0
    line = (intercept, slope) if finite else (shift, 1.0)
    as_is, shifted, full = (_log_likelihood(x, y, a, b) for a, b in ((0.0, 1.0), (shift, 1.0), line))
    p_any = float(chi2.sf(max(0.0, 2 * (full - as_is)), 2 if finite else 1))
    p_slope = float(chi2.sf(max(0.0, 2 * (full - shifted)), 1)) if finite else 1.0
    if p_any >= alpha:
        return Update("none", Platt(0.0, 1.0), p_any, p_slope)
    if p_slope >= alpha:
        return Update("intercept", Platt(shift, 1.0), p_any, p_slope)
    return Update("intercept and slope", Platt(*line), p_any, p_slope)


def _log_likelihood(x: Floats, y: Floats, intercept: float, slope: float) -> float:
    z = intercept + slope * x
    return float((y * z - np.logaddexp(0, z)).sum())
