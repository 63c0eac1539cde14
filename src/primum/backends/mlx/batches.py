"""Training records as arrays, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx
from mlx import nn

from primum.backends.mlx.scoring import Parts

Row = tuple[Sequence[int], Sequence[int]]
"""Tokens of a prompt, tokens of its completion."""
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


def completion_loss(parts: Parts, batch: Batch) -> tuple[mx.array, mx.array]:
    """Return (weighted sum of the completion tokens' negative log-probabilities, number of tokens).

    Logits are made where the completion stands only.
    """
    hidden = mx.take_along_axis(parts.layers(batch.ids), batch.places[..., None], axis=1)
    logits = parts.head(hidden).astype(mx.float32)
    losses = nn.losses.cross_entropy(logits, batch.wanted)
    return (losses * batch.weights).sum(), (batch.weights > 0).sum()
