"""The points of the curves: receiver operating characteristic and reliability. Pure numpy.

An answer that could not be read stands where the metrics put it: on the wrong side of everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from primum.records import Panel
from primum.stats.metrics import Coded
from primum.stats.scores import class_scores, probabilities

MIN_PER_BIN = 15
"""Records that a point of the reliability curve needs, so that its interval says something."""


def has_probabilities(panel: Panel, system: str) -> bool:
    """True when the system gave probabilities that order the records (a constant guess does not)."""
    rows = [row for row in panel.systems[system].log_probs if row is not None]
    return len(set(rows)) > 1


def roc(panel: Panel, system: str) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate (m,), from (0, 0) to (1, 1); ties move diagonally (Fawcett 2006).

    More than two classes: the unweighted mean of the one-versus-rest curves on a common grid.
    """
    coded = Coded(panel)
    gold, log_probs = coded.gold, coded.log_probs[system]
    wanted = range(coded.classes) if panel.positive is None else [coded.positive]
    occurring = [k for k in wanted if 0 < (gold == k).sum() < gold.size]
    curves = [_roc(gold == k, class_scores(gold, log_probs, k)) for k in occurring]
    if not curves:
        return np.array([]), np.array([])
    if len(curves) == 1:
        return curves[0]
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    mean = np.mean([_at(grid, *curve) for curve in curves], axis=0)
    return np.concatenate([[0.0], grid]), np.concatenate([[0.0], mean])


def _at(grid: np.ndarray, fpr: np.ndarray, tpr: np.ndarray) -> np.ndarray:
    """The curve's height on the grid; where it rises straight up, its top."""
    last = np.append(fpr[1:] != fpr[:-1], True)
    return np.interp(grid, fpr[last], tpr[last])


def _roc(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-score, kind="stable")
    score, hit = score[order], positive[order]
    ends = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
    tp, fp = np.cumsum(hit)[ends], np.cumsum(~hit)[ends]
    return np.append(0.0, fp / max(fp[-1], 1)), np.append(0.0, tp / max(tp[-1], 1))


@dataclass(frozen=True)
class Reliability:
    """Points (b,) of a reliability curve with 95% Wilson intervals of the observed share."""

    said: np.ndarray
    """(n,) the probabilities that were binned."""
    predicted: np.ndarray
    observed: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray


def reliability(panel: Panel, system: str) -> Reliability:
    """Observed share against mean predicted probability in bins of about equal count; ties share a bin.

    Binary: of the positive class. More classes: of the most probable label being right (Guo et al. 2017).
    Interval: Wilson 1927. It treats records as independent, so with several per patient it is too narrow.
    """
    coded = Coded(panel)
    gold, p = coded.gold, probabilities(coded.gold, coded.log_probs[system])
    if panel.positive is not None:
        said, event = p[:, coded.positive], gold == coded.positive
    else:
        said, event = p.max(axis=1), gold == p.argmax(axis=1)
    bins = max(1, min(10, len(said) // MIN_PER_BIN))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)[1:-1]))
    which = np.searchsorted(edges, said, side="left")
    members = [which == b for b in np.unique(which)]
    counts = np.array([m.sum() for m in members])
    observed = np.array([event[m].mean() for m in members])
    lower, upper = wilson(observed, counts)
    return Reliability(said, np.array([said[m].mean() for m in members]), observed, lower, upper, counts)


def wilson(share: np.ndarray, n: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson score interval (Wilson 1927, JASA 22:209) of shares (b,) seen in n (b,) records."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)
