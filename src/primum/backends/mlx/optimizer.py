"""The optimizer of the torch backend in MLX: AdamW, clipped gradients, cosine with warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx.optimizers import AdamW, clip_grad_norm

from primum.backends.base import Recipe


class ClippedAdamW(AdamW):
    """AdamW as torch's (bias correction), on gradients whose global norm is limited first."""

    def __init__(self, rates: Sequence[float], recipe: Recipe) -> None:
        table = mx.array(list(rates))
        super().__init__(
            lambda step: table[mx.minimum(step, len(rates) - 1)],
            weight_decay=recipe.weight_decay,
            bias_correction=True,
        )
        self._max_norm = recipe.max_grad_norm

    def update(self, model: Any, gradients: Any) -> None:
        """Limit the gradients' norm and apply them."""
        if self._max_norm > 0:
            gradients, _ = clip_grad_norm(gradients, self._max_norm)
        super().update(model, gradients)


def learning_rates(recipe: Recipe, steps: int) -> list[float]:
    """Rate of each of `steps` optimizer steps: linear warm-up from 0, then a cosine to 0, as transformers' `cosine`.

    A `warmup_ratio` of 1 or more counts steps, as there.
    """
    ratio = recipe.warmup_ratio
    warm = int(ratio) if ratio >= 1 else math.ceil(steps * ratio)

    def share(step: int) -> float:
        if step < warm:
            return step / max(1, warm)
        done = (step - warm) / max(1, steps - warm)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * done)))

    return [recipe.learning_rate * share(step) for step in range(steps)]
