"""One column a row: nothing that comes after the last attention is computed where nobody reads it.

Works by hooks on transformers' own modules, so architectures, adapters and 4-bit weights stay theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel

_TRIMMED = frozenset({"gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3"})
"""Architectures whose last layer ends in: hidden = residual + f(mlp(g(hidden))), f and g elementwise over columns."""


class Columns:
    """Which column of each row the next forward pass is for; None: all of them."""

    wanted: torch.Tensor | None = None

    def of(self, hidden: torch.Tensor) -> torch.Tensor:
        """Take the wanted columns of (rows, columns, d): (rows, 1, d)."""
        if self.wanted is None:
            return hidden
        return hidden[torch.arange(len(hidden), device=hidden.device), self.wanted][:, None]


@contextmanager
def one_column(model: Any) -> Iterator[Columns]:
    """While open, logits of `model` are made at `Columns.wanted` only: (rows, 1, vocabulary).

    The last layer's MLP is computed there only as well. Its output (rows, 1, d) is spread over the residual's
    columns when it is added, which is right in the wanted column, and no other is read.
    """
    columns = Columns()
    whole = inner(model)
    head = whole.get_output_embeddings()
    hooks = [head.register_forward_pre_hook(lambda _, given: (columns.of(given[0]), *given[1:]))]
    if whole.config.model_type in _TRIMMED:
        mlp = whole.base_model.layers[-1].mlp
        hooks.append(mlp.register_forward_pre_hook(lambda _, given: (columns.of(given[0]), *given[1:])))
    try:
        yield columns
    finally:
        for hook in hooks:
            hook.remove()


def inner(model: Any) -> Any:
    """transformers' model inside peft's, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def takes_positions(model: Any) -> bool:
    """Whether the architecture lets its caller say each token's position; without, it counts them by itself."""
    return "position_ids" in inspect.signature(type(inner(model)).forward).parameters
