"""How a system did where outcomes are known, with intervals, and how it is expected to do where they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.config import TaskConfig
from primum.drift.scored import Answers, Floats, Scored, answers
from primum.records import Estimate, Interval, Performance
from primum.stats import metrics, reliability
from primum.stats.calibration import safe_logit
from primum.stats.estimate import expected_accuracy, macro_expected_auroc
from primum.stats.intervals import MetricInterval, count_interval, weighted_interval
from primum.stats.scores import SCORE_METRICS, probabilities

DRAWS = 20_000_000
"""Patients drawn in all resamples of one metric; very many records get fewer resamples."""
FEWEST = 100
GROUPS = 100
"""Groups of records of like probability that the calibration slope is fitted on."""


def performance(scored: Scored, task: TaskConfig, *, resamples: int, seed: int) -> Performance:
    """Metrics of the records whose outcome is known, with 95% intervals by resampling patients.

    An answer that could not be read is wrong in every metric. Raises BadInput where records and predictions
    do not fit together, or no outcome is known.
    """
    return performance_of(answers(scored, task).known(), resamples=resamples, seed=seed)


def performance_of(said: Answers, *, resamples: int, seed: int) -> Performance:
    """The same of coded answers with known outcomes."""
    classes, positive = said.log_probs.shape[1], said.positive
    metrics.check_codes(said.gold, said.predicted, classes)
    draws = min(resamples, max(FEWEST, DRAWS // said.gold.size))
    design: dict[str, Any] = {"resamples": draws, "rng": np.random.default_rng(seed)}

    def of_labels(metric: Any) -> Interval:
        found = count_interval(
            said.gold, said.predicted, said.patients, classes=classes, metric=metric, **design
        )
        return _interval(found)

    def of_scores(metric: Callable[[Floats], Floats]) -> Interval:
        return _interval(weighted_interval(said.patients, metric, **design))

    made = Performance(
        records=said.gold.size,
        events=None if positive is None else int((said.gold == positive).sum()),
        macro_f1=of_labels(metrics.macro_f1),
        accuracy=of_labels(metrics.accuracy),
    )
    if not said.read.any():
        return made
    code = -1 if positive is None else positive
    one = np.ones((1, said.gold.size))
    more: dict[str, Any] = {
        "auroc": of_scores(lambda w: SCORE_METRICS["auroc"](said.gold, said.log_probs, code, w)),
        "brier": float(SCORE_METRICS["brier"](said.gold, said.log_probs, code, one)[0]),
    }
    if positive is not None:
        event, p = said.gold == positive, probabilities(said.gold, said.log_probs)[:, positive]
        more["observed_expected"] = of_scores(lambda w: reliability.observed_expected(p, event, w))
        more["slope"] = of_scores(_slope(p, event))
    return made.model_copy(update=more)


def estimate_of(said: Answers, trusted: bool) -> Estimate:
    """Accuracy and AUROC to be expected of answers, whatever is known of their outcomes.

    `trusted` is False where the calibration was seen to fail.
    """
    unread = int((~said.read).sum())
    words = (
        "Holds as far as the champion's probabilities still mean here what they say: it sees what changed in "
        "the inputs, and nothing of a change in how they bring about the outcome."
    )
    if unread:
        words += f" {unread} answer(s) that could not be read count as wrong; the AUROC is of the others."
    if not trusted:
        words += " The calibration alarms in this window, so do not rely on it."
    return Estimate(
        accuracy=expected_accuracy(said.log_probs, said.predicted),
        auroc=macro_expected_auroc(said.log_probs, said.positive),
        assumption=words,
    )


def _slope(probability: Floats, event: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """The calibration slope under weights, fitted on groups of like probability: as good, and fast."""
    logits = safe_logit(probability)
    order = np.lexsort((logits, event))
    cells = np.empty(event.size, dtype=np.int64)
    cells[order] = np.arange(event.size) * GROUPS // event.size
    cells = np.unique(cells * 2 + event, return_inverse=True)[1]
    ordered = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(cells[ordered]) > 0])
    sizes = np.diff(np.r_[starts, cells.size])
    x = np.add.reduceat(logits[ordered], starts) / sizes
    y = event[ordered][starts]

    def slope(weights: Floats) -> Floats:
        drawn = np.add.reduceat(weights[:, ordered], starts, axis=1)
        return reliability.calibration_line(1 / (1 + np.exp(-x)), y, drawn)[1]

    return slope


def _interval(found: MetricInterval) -> Interval:
    low, high = (float(v) if np.isfinite(v) else None for v in (found.lower, found.upper))
    return Interval(value=found.value, low=low, high=high)
