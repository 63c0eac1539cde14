"""Decisions from probabilities: thresholds, chosen on validation, and net benefit, judged on the holdout."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput
from primum.stats.calibration import check_probability

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def net_benefit(probability: Floats, event: Bools, threshold: float, weights: Floats) -> Floats:
    """Net benefit (B,) of treating where probability (n,) >= threshold, under weights (B, n).

    TP/n - FP/n threshold/(1 - threshold): Vickers & Elkin 2006, doi 10.1177/0272989X06295361.
    """
    return _mean(benefit_per_record(probability, event, threshold), weights)


def benefit_per_record(probability: Floats, event: Bools, threshold: float) -> Floats:
    """What each record (n,) adds to the net benefit: 1, -threshold/(1 - threshold), 0 if not treated."""
    check_threshold(threshold)
    return np.where(event, 1.0, -threshold / (1 - threshold)) * (probability >= threshold)


def treat_all(event: Bools, threshold: float, weights: Floats) -> Floats:
    """Net benefit (B,) of treating everyone; treating no one has 0."""
    return net_benefit(np.ones(event.size), event, threshold, weights)


def decision_curve(probability: Floats, event: Bools, thresholds: Floats) -> Floats:
    """Net benefit (T, 3) over thresholds (T,): by the model, treat all, treat none."""
    check_probability(np.asarray(probability, dtype=float), event)
    one = np.ones((1, event.size))
    return np.array(
        [
            (net_benefit(probability, event, t, one)[0], treat_all(event, t, one)[0], 0.0)
            for t in thresholds.tolist()
        ]
    )


def check_threshold(threshold: float) -> None:
    """Raise BadInput unless the threshold lies between 0 and 1."""
    if not 0 < threshold < 1:
        raise BadInput(f"a decision threshold must lie between 0 and 1, not {threshold:g}")


def _mean(values: Floats, weights: Floats) -> Floats:
    total = weights.sum(1)
    return np.divide(weights @ values, total, out=np.full(total.shape, np.nan), where=total > 0)


Rule = Literal["youden", "sensitivity", "cost"]


def choose_threshold(probability: Floats, event: Bools, rule: Rule, value: float | None = None) -> float:
    """Choose the threshold for "positive where probability >= threshold" on validation records (n,).

    youden: highest sensitivity + specificity (Youden 1950); sensitivity: the highest threshold that keeps at
    least `value` of the events; cost: lowest misses * `value` + false alarms, `value` being what a miss costs
    in false alarms. Ties go to the lower threshold, which misses less. A threshold lies midway between two
    observed probabilities. Raises BadInput unless both outcomes occur.
    """
    probability = np.asarray(probability, dtype=float)
    check_probability(probability, event)
    if event.all() or not event.any():
        raise BadInput("a threshold needs validation records with and without the event")
    seen = np.unique(probability)
    cuts = np.r_[seen[0], (seen[1:] + seen[:-1]) / 2]
    sensitivity, false_alarms = (_share_above(probability[rows], cuts) for rows in (event, ~event))
    return float(cuts[_best(rule, value, sensitivity, false_alarms, event)])


def _share_above(probability: Floats, cuts: Floats) -> Floats:
    return 1 - np.searchsorted(np.sort(probability), cuts, side="left") / probability.size


def _best(rule: Rule, value: float | None, sensitivity: Floats, false_alarms: Floats, event: Bools) -> int:
    if rule == "youden":
        return int(np.argmax(sensitivity - false_alarms))
    if value is None:
        raise BadInput(f"the rule '{rule}' needs a value")
    if rule == "sensitivity":
        if not 0 < value <= 1:
            raise BadInput(f"a sensitivity lies between 0 and 1, not {value:g}")
        return int(np.flatnonzero(sensitivity >= value - 1e-12)[-1])
    if not value > 0:
        raise BadInput(f"the cost of a miss must be greater than 0, not {value:g}")
    cost = (1 - sensitivity) * event.sum() * value + false_alarms * (~event).sum()
    return int(np.argmin(np.round(cost, 9)))
