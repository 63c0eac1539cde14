"""The records of an epoch in their order, what its result is worth, and when a training is over. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from primum.backends.base import Recipe
from primum.records import TrainingLog

Log = tuple[TrainingLog, ...]
"""The finished epochs of one candidate, in order; a training from a start has that as its epoch 0."""


def epoch_order(  # noqa: PLR0913
    classes: Sequence[str], epoch: int, seed: int, *, balanced: bool, lengths: Sequence[int], batch: int
) -> list[int]:
    """Return the n record indices of one epoch (0-based), in the order they are trained on.

    Balanced: each class gives n / K of them. A class is walked through in shuffled rounds that go on from
    epoch to epoch, so a small class is repeated and no record of a large one is left out for good. Inside
    windows of eight batches, records of like length stand together, which saves padding. A pure function of
    its arguments: a resumed training sees the order that an undisturbed one sees.
    """
    n = len(classes)
    groups = (
        [np.flatnonzero(np.asarray(classes) == c) for c in sorted(set(classes))]
        if balanced
        else [np.arange(n)]
    )
    shares = [n * (k + 1) // len(groups) - n * k // len(groups) for k in range(len(groups))]
    chosen = [
        _walk(group, epoch * share, share, np.random.SeedSequence([seed, k]))
        for k, (group, share) in enumerate(zip(groups, shares, strict=True))
    ]
    rng = np.random.default_rng([seed, 1 << 20, epoch])
    order = rng.permutation(np.concatenate(chosen))
    return _by_length(order, np.asarray(lengths), batch, rng)


def _walk(group: np.ndarray, start: int, count: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Take `count` entries from `start` on of the endless concatenation of shuffled rounds of `group`."""
    rounds = range(start // len(group), (start + count - 1) // len(group) + 1) if count else range(0)
    walk = [np.random.default_rng([*seed.entropy, r]).permutation(group) for r in rounds]  # type: ignore[misc]
    offset = start - (start // len(group)) * len(group)
    return np.concatenate([*walk, np.empty(0, dtype=group.dtype)])[offset : offset + count]


def _by_length(order: np.ndarray, lengths: np.ndarray, batch: int, rng: np.random.Generator) -> list[int]:
    batches: list[np.ndarray] = []
    for begin in range(0, len(order), 8 * batch):
        window = order[begin : begin + 8 * batch]
        window = window[np.argsort(lengths[window], kind="stable")]
        parts = [window[i : i + batch] for i in range(0, len(window), batch)]
        full = [p for p in parts if len(p) == batch]
        rng.shuffle(full)
        batches += full + [p for p in parts if len(p) < batch]
    return [int(i) for part in batches for i in part]


def macro_f1(gold: Sequence[int], predicted: Sequence[int], classes: int) -> float:
    """Mean over the classes of 2 TP / (2 TP + FP + FN); a class that never occurs counts 0.

    `predicted` may hold -1 for an answer that could not be read: wrong for its gold class.
    """
    g, p = np.asarray(gold), np.asarray(predicted)
    scores = []
    for k in range(classes):
        hits, denominator = int(((g == k) & (p == k)).sum()), int((g == k).sum() + (p == k).sum())
        scores.append(2 * hits / denominator if denominator else 0.0)
    return float(np.mean(scores))


def judge(gold: Sequence[int], log_probs: np.ndarray) -> tuple[float, float]:
    """Return (macro-F1, mean negative log-probability of the gold label) of `log_probs` (n, K).

    A row with a non-finite entry is unparsed: wrong, and as dear as the smallest double (745 nats).
    """
    readable = np.isfinite(log_probs).all(axis=1)
    predicted = np.where(readable, np.where(readable[:, None], log_probs, 0.0).argmax(axis=1), -1)
    loss = np.where(readable, -log_probs[np.arange(len(gold)), np.asarray(gold)], 745.0)
    return macro_f1(gold, predicted.tolist(), log_probs.shape[1]), float(loss.mean())


def judge_texts(likelihood: np.ndarray) -> tuple[float, float]:
    """As `judge` for free texts: no macro-F1 (0), and the mean -log p of a token; `likelihood` (n, 2) as a backend's.

    A text whose likelihood is not finite counts as the smallest double does (745 nats a token).
    """
    sums, tokens = likelihood[:, 0], likelihood[:, 1]
    known = np.where(np.isfinite(sums), -sums, 745.0 * tokens)
    return 0.0, float(known.sum() / tokens.sum())


def best_epoch(log: Sequence[TrainingLog]) -> TrainingLog:
    """Highest validation macro-F1; ties go to the lower validation loss, then to the earlier epoch."""
    return min(log, key=lambda e: (-e.validation_macro_f1, e.validation_loss, e.epoch))


def last_epoch(log: Sequence[TrainingLog]) -> int:
    """Number of the latest epoch; 0 where nothing was learned yet."""
    return log[-1].epoch if log else 0


def is_over(log: Sequence[TrainingLog], recipe: Recipe) -> bool:
    """True after the last epoch, or after `patience` epochs without a better one (see `best_epoch`)."""
    done = last_epoch(log)
    return done > 0 and (done >= recipe.epochs or done - best_epoch(log).epoch >= recipe.patience)


def going(logs: Sequence[Log], recipe: Recipe) -> tuple[int, ...]:
    """Which of the candidates trained together go on: those with the latest epoch that are not over.

    One that lacks the latest epoch left the others early: it was over, or its loss was not finite.
    """
    latest = max(map(last_epoch, logs))
    return tuple(i for i, log in enumerate(logs) if last_epoch(log) == latest and not is_over(log, recipe))
