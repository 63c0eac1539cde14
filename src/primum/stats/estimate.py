"""Performance where outcomes are not known yet, from calibrated probabilities alone.

A calibrated probability says how often it is right, so the performance to be expected follows from the
probabilities themselves (confidence-based estimation: Garg et al. 2022, arXiv 2201.04234; for AUROC and other
metrics Białek et al. 2024, arXiv 2401.08348). It sees what changed in the inputs and nothing of what changed
in the relation of inputs to outcome.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def expected_accuracy(log_probs: Floats, predicted: Ints) -> float | None:
    """Mean probability of the label that was answered: log_probs (n, K), predicted (n,), -1 = unparsed.

    An answer that could not be read counts as wrong. None without records.
    """
    if not predicted.size:
        return None
    read = (predicted >= 0) & ~np.isnan(log_probs).any(axis=1)
    right = np.exp(log_probs[np.flatnonzero(read), predicted[read]])
    return float(right.sum() / predicted.size)


def expected_auroc(probability: Floats) -> float | None:
    """AUROC to be expected of probabilities (n,) of the positive class, each record both, in part.

    Record i is a positive with weight p_i and a negative with weight 1 - p_i; pairs of a record with itself
    are left out. One sort: O(n log n). None where no pair can be made (fewer than 2 records, all 0, all 1).
    """
    p = np.sort(np.asarray(probability, dtype=float))
    starts = np.flatnonzero(np.r_[True, p[1:] != p[:-1]]) if p.size else np.empty(0, dtype=np.int64)
    if not starts.size:
        return None
    positives, negatives = np.add.reduceat(p, starts), np.add.reduceat(1 - p, starts)
    itself = np.add.reduceat(p * (1 - p), starts)
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum() - itself.sum()
    wins = (positives * below + 0.5 * (positives * negatives - itself)).sum()
    return float(wins / pairs) if p.size > 1 and pairs > 1e-12 else None


def macro_expected_auroc(log_probs: Floats, positive: int | None) -> float | None:
    """AUROC of the positive class of two, else the mean of each class against the rest; rows of NaN left out."""
    read = np.exp(log_probs[~np.isnan(log_probs).any(axis=1)])
    chosen = range(log_probs.shape[1]) if positive is None else [positive]
    values = [expected_auroc(read[:, k]) for k in chosen]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
