"""The frozen layers below the lowest adapter: what they make of a record is the same in every epoch.

It is computed once per record and put in where the layers with adapters begin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from primum.backends.base import Recipe
from primum.backends.torch.feed import Record

_MOST = 2 << 30
"""Bytes of main memory; what needs more is computed in every epoch."""


class _Reached(Exception):  # noqa: N818
    pass


class Lower:
    """Layers [0, start) of a base, that can be left out. `at` says what the current batch has in their place."""

    def __init__(self, model: Any, start: int, at: Any) -> None:
        self._model, self._at = model, at
        self._caught: torch.Tensor | None = None
        for layer in model.base_model.layers[:start]:
            self._leave_out(layer)
        model.base_model.layers[start].register_forward_pre_hook(self._put_in)

    @torch.no_grad()
    def of(self, tokens: Sequence[int]) -> torch.Tensor:
        """Hidden states (len(tokens), d) after these layers."""
        self._at.catching = True
        try:
            self._model(input_ids=torch.tensor([tokens], device=self._model.device), use_cache=False)
        except _Reached:
            pass
        finally:
            self._at.catching = False
        assert self._caught is not None  # noqa: S101 - the hook ran, or the model has no such layer
        return self._caught[0].cpu()

    def _leave_out(self, layer: Any) -> None:
        usual = layer.forward

        def forward(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            return usual(hidden, *args, **kwargs) if self._at.lower is None else hidden

        layer.forward = forward

    def _put_in(self, layer: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._at.catching:
            self._caught = args[0]
            raise _Reached
        return None if self._at.lower is None else (self._at.lower, *args[1:])


def lower_layers(model: Any, recipe: Recipe, at: Any) -> Lower | None:
    """The layers below the adapters; None where there are none, or where noise makes every epoch differ."""
    depth = model.config.get_text_config().num_hidden_layers
    there = isinstance(getattr(model.base_model, "layers", None), torch.nn.ModuleList)
    if recipe.layers is None or recipe.layers == depth or recipe.neftune_alpha or not there:
        return None
    return Lower(model, depth - recipe.layers, at)


def with_lower(lower: Lower | None, records: Sequence[Record], width: int, size: int) -> list[Record]:
    """Each record with its hidden states of d = `width` and `size` bytes a number, where all fit into memory."""
    if lower is None or sum(len(r.tokens) for r in records) * width * size > _MOST:
        return list(records)
    return [dataclasses.replace(r, lower=lower.of(r.tokens)) for r in records]
