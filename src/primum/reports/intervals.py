"""The interval of each metric of the results table: what one system alone showed on the holdout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from primum.records import Panel
from primum.reports.tables import METRICS
from primum.stats.intervals import MetricInterval, count_interval, weighted_interval
from primum.stats.metrics import BINARY_ONLY, COUNT_METRICS, Coded, CountMetric, Floats
from primum.stats.scores import SCORE_METRICS

ALPHA, RESAMPLES, SEED = 0.05, 1000, 42
"""Two-sided 95%, for description; fixed, so that the same run gives the same text."""


def describe(panel: Panel, systems: Iterable[str]) -> dict[str, dict[str, MetricInterval]]:
    """System -> metric of the results table -> value and interval from resampling patients.

    A metric that does not exist for the system or the task is left out; a panel without records has none.
    """
    if not panel.gold:
        return {}
    coded = Coded(panel)
    return {system: _intervals(coded, system) for system in systems if system in panel.systems}


def _intervals(coded: Coded, system: str) -> dict[str, MetricInterval]:
    rng = np.random.default_rng(SEED)
    design: dict[str, Any] = {"resamples": RESAMPLES, "rng": rng, "alpha": ALPHA}
    found = {}
    for name in METRICS:
        if name in COUNT_METRICS and (coded.classes == 2 or name not in BINARY_ONLY):
            found[name] = count_interval(
                coded.gold,
                coded.pred[system],
                coded.patients,
                classes=coded.classes,
                metric=_bound(COUNT_METRICS[name], coded.positive),
                **design,
            )
        elif name in SCORE_METRICS and system in coded.with_scores:
            score, log_probs = SCORE_METRICS[name], coded.log_probs[system]
            found[name] = weighted_interval(
                coded.patients, partial(score, coded.gold, log_probs, coded.positive), **design
            )
    return found


def _bound(metric: CountMetric, positive: int) -> Callable[[Floats], Floats]:
    return lambda counts: metric(counts, positive)
