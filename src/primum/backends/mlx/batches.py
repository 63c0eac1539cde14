"""Training records as arrays, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
import numpy as np
from mlx import nn

from primum.backends.base import Progress
from primum.backends.mlx.base_model import Base
from primum.backends.mlx.scoring import Parts
from primum.records import Example

Row = tuple[Sequence[int], Sequence[int]]
"""Tokens of a prompt, tokens of its completion."""
_TOKENS = 1024
"""Of a batch whose likelihood is asked for."""
_STEP = 16
"""Batches are padded to a multiple of so many tokens: each shape is compiled once."""


class Batch(NamedTuple):
    """Records that are in memory together."""

    ids: mx.array
    """(rows, width), padded on the right, where a causal model's completions cannot see."""
    places: mx.array
    """(rows, longest completion): where the logits of each completion token are made."""
    wanted: mx.array
    """(rows, longest completion): the completion's tokens."""
    weights: mx.array
    """(rows, longest completion): what a token's loss counts; 0 where there is no token."""


def micro_batches(rows: Sequence[Row], batch: int, micro: int, pad: int) -> list[Batch]:
    """The rows in order, `batch` of them for an optimizer step, at most `micro` in memory.

    Every step has the same number of micro-batches, and the mean of their losses is the mean over the step's
    completion tokens; where a last step has fewer records, batches of weight 0 stand in.
    """
    count = -(-batch // micro)
    made = []
    for begin in range(0, len(rows), batch):
        step = rows[begin : begin + batch]
        share = count / sum(len(answer) for _, answer in step)
        parts = [step[i : i + micro] for i in range(0, len(step), micro)]
        made += [_batch(part, share, pad) for part in parts]
        made += [_batch(parts[-1][:1], 0.0, pad)] * (count - len(parts))
    return made


def _batch(rows: Sequence[Row], share: float, pad: int) -> Batch:
    width = -(-max(len(p) + len(a) for p, a in rows) // _STEP) * _STEP
    longest = max(len(a) for _, a in rows)
    return Batch(
        ids=mx.array([[*p, *a, *([pad] * (width - len(p) - len(a)))] for p, a in rows]),
        places=mx.array([[len(p) - 1 + min(i, len(a) - 1) for i in range(longest)] for p, a in rows]),
        wanted=mx.array([[*a, *([pad] * (longest - len(a)))] for _, a in rows]),
        weights=mx.array([[share if i < len(a) else 0.0 for i in range(longest)] for _, a in rows]),
    )


def tokens_of(base: Base, examples: Sequence[Example]) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and completions: the answer and the end of the turn."""
    prompts = base.chat.prompts([e.prompt for e in examples])
    answers = {e.answer: [*base.chat.answer(str(e.answer)), base.chat.end_of_turn] for e in examples}
    return prompts, [answers[e.answer] for e in examples]


def text_likelihood(
    parts: Parts, rows: Sequence[Row], pad: int, progress: Progress | None = None
) -> np.ndarray:
    """(n, 2) float64: the sum of log p of each row's completion, and its tokens; rows of like length go together."""
    result = np.zeros((len(rows), 2))
    order = sorted(range(len(rows)), key=lambda i: sum(map(len, rows[i])))
    size = max(1, _TOKENS // max((sum(map(len, row)) for row in rows), default=1))
    for begin in range(0, len(order), size):
        chosen = order[begin : begin + size]
        batch = _batch([rows[i] for i in chosen], 1.0, pad)
        losses = np.array(_losses(parts, batch) * batch.weights, dtype=np.float64).sum(axis=1)
        for i, loss in zip(chosen, losses, strict=True):
            result[i] = -loss, len(rows[i][1])
        if progress:
            progress("likelihood", begin + len(chosen), len(rows))
    return result


def completion_loss(parts: Parts, batch: Batch) -> tuple[mx.array, mx.array]:
    """Return (weighted sum of the completion tokens' negative log-probabilities, number of tokens).

    Logits are made where the completion stands only.
    """
    return (_losses(parts, batch) * batch.weights).sum(), (batch.weights > 0).sum()


def _losses(parts: Parts, batch: Batch) -> mx.array:
    """(rows, longest completion) -log p of each completion token."""
    hidden = mx.take_along_axis(parts.layers(batch.ids), batch.places[..., None], axis=1)
    return nn.losses.cross_entropy(parts.head(hidden).astype(mx.float32), batch.wanted)
