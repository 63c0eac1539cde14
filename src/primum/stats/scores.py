"""Metrics of probabilities: AUROC, AUPRC, Brier, log-loss, weighted so that a bootstrap is one call.

Shapes everywhere: gold (n,) class codes; log_probs (n, K), normalised, a row of NaN where the answer could
not be read; weights (B, n), how often each record stands in each resample; the result is (B,), NaN where
undefined. An unreadable answer is as wrong as an answer can be: its probability lies on a wrong class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
ScoreMetric = Callable[[Ints, Floats, int, Floats], Floats]

FLOOR = 1e-15
"""Smallest probability in the log-loss: a certain and wrong answer costs 34.5 nats, not infinity."""


def fill_unparsed(rows: Sequence[Sequence[float] | None], classes: int, system: str = "system") -> Floats:
    """Stack log-probabilities to (n, K); None becomes a row of NaN.

    Raises BadInput for a row that is not K log-probabilities whose probabilities sum to 1.
    """
    blank = (np.nan,) * classes
    given = np.array([row is not None for row in rows], dtype=bool)
    wrong = np.array([row is not None and len(row) != classes for row in rows], dtype=bool)
    if not wrong.any():
        stacked = np.array([blank if row is None else row for row in rows], dtype=float).reshape(-1, classes)
        with np.errstate(over="ignore"):
            total = np.exp(stacked).sum(1)
        wrong = given & ~(np.abs(total - 1) <= 1e-3)  # NaN and infinity are wrong as well
    if wrong.any():
        raise BadInput(
            f"'{system}', record {int(wrong.argmax()) + 1}: its {classes} probabilities are not numbers that "
            "sum to 1; normalise them, or leave them out where the answer could not be read"
        )
    return stacked


def contradictions(said: Ints, log_probs: Floats, positive: int = -1) -> int:
    """How many labels (n,), -1 = unreadable, do not follow from their log_probs (n, K).

    Two classes: some threshold must part the records called positive from the others. More: the label must be
    a most probable one. Records without probabilities are left out.
    """
    read = (said >= 0) & ~np.isnan(log_probs).any(1)
    said, log_probs, classes = said[read], log_probs[read], log_probs.shape[1]
    if classes != 2:
        top = log_probs.max(1, initial=-np.inf)
        return int((log_probs[np.arange(said.size), said] < top - 1e-9).sum())
    yes, score = said == positive % 2, log_probs[:, positive % 2]
    if yes.all() or not yes.any():
        return 0
    return int((score[yes] < score[~yes].max() - 1e-9).sum())


def class_scores(gold: Ints, log_probs: Floats, k: int) -> Floats:
    """Scores (n,) for "is class k"; an unreadable answer scores on the wrong side of everything."""
    worst = np.where(gold == k, -np.inf, np.inf)
    column = log_probs[:, k]
    return np.where(np.isnan(column), worst, column)


def probabilities(gold: Ints, log_probs: Floats) -> Floats:
    """Probabilities (n, K); an unreadable answer puts all of it on the class after the gold one."""
    classes = log_probs.shape[1]
    wrong = np.eye(classes)[(gold + 1) % classes]
    return np.where(np.isnan(log_probs), wrong, np.exp(log_probs))


def _ranked(is_class: NDArray[np.bool_], score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives (B, G) per group of tied scores, highest score first."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    w, y = weights[:, order], is_class[order]
    return np.add.reduceat(w * y, starts, axis=1), np.add.reduceat(w * ~y, starts, axis=1)


def auroc_scores(is_class: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """AUROC (B,) = P(score of a positive > score of a negative) + half the ties (Mann-Whitney)."""
    positives, negatives = _ranked(is_class, score, weights)
    below = negatives.sum(1, keepdims=True) - np.cumsum(negatives, 1) + 0.5 * negatives
    pairs = positives.sum(1) * negatives.sum(1)
    wins = (positives * below).sum(1)
    return np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def auprc_scores(is_class: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Average precision (B,): sum over thresholds of precision times the step in recall."""
    positives, negatives = _ranked(is_class, score, weights)
    found, flagged = np.cumsum(positives, 1), np.cumsum(positives + negatives, 1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    total = positives.sum(1)
    top = (precision * positives).sum(1)
    return np.divide(top, total, out=np.full(total.shape, np.nan), where=total > 0)


def _one_vs_rest(metric: Callable[..., Floats]) -> ScoreMetric:
    def macro(gold: Ints, log_probs: Floats, positive: int, weights: Floats) -> Floats:
        classes = log_probs.shape[1]
        chosen = [positive % classes] if classes == 2 else range(classes)
        values = np.stack([metric(gold == k, class_scores(gold, log_probs, k), weights) for k in chosen])
        defined = ~np.isnan(values)
        count = defined.sum(0)
        top = np.where(defined, values, 0.0).sum(0)
        return np.divide(top, count, out=np.full(count.shape, np.nan), where=count > 0)

    return macro


def record_brier(gold: Ints, log_probs: Floats) -> Floats:
    """Brier score (n,) of each record: (p - y)^2 for two classes, else sum_k (p_k - y_k)^2 (Brier 1950)."""
    classes = log_probs.shape[1]
    squared = ((probabilities(gold, log_probs) - np.eye(classes)[gold]) ** 2).sum(1)
    return squared / 2 if classes == 2 else squared


def record_log_loss(gold: Ints, log_probs: Floats) -> Floats:
    """Negative log-probability of the gold class of each record (n,), in nats."""
    return -np.log(np.maximum(probabilities(gold, log_probs)[np.arange(gold.size), gold], FLOOR))


def _mean(per_record: Callable[[Ints, Floats], Floats]) -> ScoreMetric:
    def metric(gold: Ints, log_probs: Floats, positive: int, weights: Floats) -> Floats:
        total = weights.sum(1)
        top = weights @ per_record(gold, log_probs)
        return np.divide(top, total, out=np.full(total.shape, np.nan), where=total > 0)

    return metric


SCORE_METRICS: dict[str, ScoreMetric] = {
    "auroc": _one_vs_rest(auroc_scores),
    "auprc": _one_vs_rest(auprc_scores),
    "brier": _mean(record_brier),
    "log_loss": _mean(record_log_loss),
}
"""Name -> metric(gold (n,), log_probs (n, K), positive, weights (B, n)) -> (B,)."""
