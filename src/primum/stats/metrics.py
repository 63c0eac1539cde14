"""Metrics of labels: everything that a confusion matrix decides, for one matrix or for thousands at once.

A *confusion* has shape (..., K, K+1): rows are gold classes, columns predicted classes, the last column holds
unparsed answers. An unparsed answer is thus wrong in every metric and never leaves a denominator. The
functions return shape (...), NaN where the metric is undefined (no record of a class that it needs);
`panel_metrics` turns NaN into None.

Conventions, as in scikit-learn: F1 of a class is 2 TP / (gold + predicted), a class with neither is left out
of the macro mean; balanced accuracy is the mean recall of the classes that occur in gold; MCC is 0 where a
margin is constant (Gorodkin 2004, doi 10.1016/j.compbiolchem.2004.09.006).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput
from primum.records import UNPARSED, Panel
from primum.stats import scores

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
CountMetric = Callable[[Floats, int], Floats]


def confusion(gold: Ints, pred: Ints, classes: int) -> Floats:
    """Count (K, K+1) from gold (n,) in 0..K-1 and pred (n,) in -1..K-1 (-1 = unparsed).

    Raises BadInput when the lengths differ or a code lies outside its range.
    """
    check_codes(gold, pred, classes)
    column = np.where(pred < 0, classes, pred)
    flat = np.bincount(gold * (classes + 1) + column, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1).astype(float)


def check_codes(gold: Ints, pred: Ints, classes: int) -> None:
    """Raise BadInput unless gold (n,) lies in 0..K-1 and pred (n,) in -1..K-1, with n > 0."""
    if gold.shape != pred.shape or gold.ndim != 1:
        raise BadInput(f"gold has {gold.size} records and the predictions {pred.size}; give one per record")
    if gold.size == 0:
        raise BadInput("no records: a metric needs at least one")
    if gold.min() < 0 or gold.max() >= classes or pred.min() < -1 or pred.max() >= classes:
        raise BadInput(f"label codes must lie in 0..{classes - 1} (-1 = unparsed, in predictions only)")


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide, NaN where the bottom is 0."""
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.full(shape, np.nan), where=np.asarray(bottom) > 0)


def _mean_defined(values: Floats) -> Floats:
    """Mean over the last axis of the values that are not NaN."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1).astype(float))


def _diagonal(counts: Floats) -> Floats:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def recall_per_class(counts: Floats) -> Floats:
    """Recall (..., K): the share of each gold class that is found."""
    return _ratio(_diagonal(counts), counts.sum(-1))


def precision_per_class(counts: Floats) -> Floats:
    """Precision (..., K): the share of each predicted class that is right."""
    return _ratio(_diagonal(counts), counts.sum(-2)[..., :-1])


def f1_per_class(counts: Floats) -> Floats:
    """F1 (..., K) = 2 TP / (gold + predicted)."""
    return _ratio(2 * _diagonal(counts), counts.sum(-1) + counts.sum(-2)[..., :-1])


def accuracy(counts: Floats, positive: int = -1) -> Floats:
    """Share of records whose label is right."""
    return _ratio(_diagonal(counts).sum(-1), counts.sum((-2, -1)))


def macro_f1(counts: Floats, positive: int = -1) -> Floats:
    """Mean F1 over the classes that occur in gold or in the predictions."""
    return _mean_defined(f1_per_class(counts))


def balanced_accuracy(counts: Floats, positive: int = -1) -> Floats:
    """Mean recall over the classes that occur in gold."""
    return _mean_defined(recall_per_class(counts))


def recall(counts: Floats, positive: int = -1) -> Floats:
    """Binary: recall of the positive class (sensitivity)."""
    return recall_per_class(counts)[..., positive]


def specificity(counts: Floats, positive: int = -1) -> Floats:
    """Binary: recall of the other class."""
    return recall_per_class(counts)[..., 1 - positive % 2]


def precision(counts: Floats, positive: int = -1) -> Floats:
    """Binary: positive predictive value."""
    return precision_per_class(counts)[..., positive]


def balance_gap(counts: Floats, positive: int = -1) -> Floats:
    """Range of the per-class recalls; for two classes |recall - specificity|. Undefined unless all occur."""
    recalls = recall_per_class(counts)
    return recalls.max(-1) - recalls.min(-1)


def mcc(counts: Floats, positive: int = -1) -> Floats:
    """Matthews correlation, multi-class R_K; 0 where gold or the predictions are constant."""
    total, right = counts.sum((-2, -1)), _diagonal(counts).sum(-1)
    gold, predicted = counts.sum(-1), counts.sum(-2)
    top = right * total - (gold * predicted[..., :-1]).sum(-1)
    spread = (total**2 - (predicted**2).sum(-1)) * (total**2 - (gold**2).sum(-1))
    return np.where(spread > 0, _ratio(top, np.sqrt(np.maximum(spread, 0))), 0.0)


COUNT_METRICS: dict[str, CountMetric] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
    "recall": recall,
    "specificity": specificity,
    "precision": precision,
    "balance_gap": balance_gap,
    "mcc": mcc,
}
"""Name -> metric of confusions; recall, specificity and precision need exactly two classes."""

BINARY_ONLY = frozenset({"recall", "specificity", "precision"})


def metric_value(name: str, gold: Ints, pred: Ints, classes: int, positive: int = -1) -> float | None:
    """One metric of one system's labels; None where it is undefined."""
    if name in BINARY_ONLY and classes != 2:
        return None
    return optional(float(COUNT_METRICS[name](confusion(gold, pred, classes), positive)))


def optional(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else value


class Coded:
    """A panel as integer codes: what the statistics work on."""

    def __init__(self, panel: Panel) -> None:
        index = {label: code for code, label in enumerate(panel.labels)}
        unseen = set(panel.gold) - set(index)
        if unseen:
            raise BadInput(f"gold holds {len(unseen)} label(s) that the task does not declare; add them")
        self.classes = len(panel.labels)
        self.positive = index[panel.positive] if panel.positive is not None else -1
        self.gold: Ints = np.array([index[label] for label in panel.gold], dtype=np.int64)
        self.patients: Ints = np.unique(np.array(panel.patient_ids, dtype=str), return_inverse=True)[1]
        self.patient_count = int(self.patients.max()) + 1 if self.patients.size else 0
        codes = {**index, UNPARSED: -1}
        self.pred: dict[str, Ints] = {}
        self.log_probs: dict[str, Floats] = {}
        self.with_scores: set[str] = set()
        """Systems that gave probabilities at all, and not labels only."""
        for name, system in panel.systems.items():
            if system.labels != panel.labels:
                raise BadInput(f"'{name}' was scored with other labels than the panel's; score it again")
            self.pred[name] = np.array([codes[label] for label in system.predicted], dtype=np.int64)
            if any(row is not None for row in system.log_probs):
                self.with_scores.add(name)
            self.log_probs[name] = scores.fill_unparsed(system.log_probs, self.classes, name)

    def rows(self, chosen: NDArray[np.bool_]) -> Coded:
        """The chosen records (n,) alone, their patients numbered anew."""
        part = copy(self)
        part.gold = self.gold[chosen]
        part.patients = np.unique(self.patients[chosen], return_inverse=True)[1]
        part.patient_count = int(part.patients.max()) + 1 if part.patients.size else 0
        part.pred = {name: codes[chosen] for name, codes in self.pred.items()}
        part.log_probs = {name: rows[chosen] for name, rows in self.log_probs.items()}
        return part


def panel_metrics(panel: Panel) -> dict[str, dict[str, float | None]]:
    """Every system's metrics on the panel: system -> metric -> value, None where undefined.

    Keys: accuracy, macro_f1, balanced_accuracy, recall, specificity, precision, balance_gap, mcc (labels);
    auroc, auprc, brier, log_loss (log-probabilities; None for a system that gave labels only); parsed (share
    of answers that could be read). With more than two classes recall, specificity and precision are None,
    auroc and auprc macro one-vs-rest.
    """
    coded = Coded(panel)
    return {name: _system_metrics(coded, name) for name in panel.systems}


def _system_metrics(coded: Coded, name: str) -> dict[str, float | None]:
    pred, log_probs = coded.pred[name], coded.log_probs[name]
    values = {m: metric_value(m, coded.gold, pred, coded.classes, coded.positive) for m in COUNT_METRICS}
    for metric, function in scores.SCORE_METRICS.items():
        weights = np.ones((1, coded.gold.size))
        values[metric] = optional(float(function(coded.gold, log_probs, coded.positive, weights)[0]))
    if name not in coded.with_scores:
        values |= dict.fromkeys(scores.SCORE_METRICS)
    values["parsed"] = float((pred >= 0).mean())
    return values
