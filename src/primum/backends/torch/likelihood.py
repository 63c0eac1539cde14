"""How probable a base finds given texts: for perplexity, and to judge a training whose answers are free text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from primum.backends.base import Progress
from primum.backends.torch.columns import inner
from primum.backends.torch.feed import Record, collate

_TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 8192}


@torch.inference_mode()
def text_likelihood(
    model: Any, records: Sequence[Record], pad: int, progress: Progress | None = None
) -> np.ndarray:
    """(n, 2) float64: the sum of log p of each record's answer tokens, and how many they are.

    Records of like length stand in one batch; logits are made where answers stand only.
    """
    result = np.zeros((len(records), 2))
    done = 0
    for rows in _batches([len(r.tokens) for r in records], model.device.type):
        batch = collate([[[records[i]]] for i in rows], pad)
        with _only(model, batch["read"].to(model.device)):
            logits = model(input_ids=batch["input_ids"].to(model.device), use_cache=False).logits
        logits = logits.reshape(-1, logits.shape[-1])
        if len(logits) != len(batch["read"]):  # an architecture that makes them past its head's module
            logits = logits[batch["read"]]
        losses = torch.nn.functional.cross_entropy(
            logits.float(), batch["targets"].to(logits.device), reduction="none"
        )
        for i, part in zip(rows, losses.double().cpu().split(batch["answers"]), strict=True):
            result[i] = -float(part.sum()), len(part)
        done += len(rows)
        if progress:
            progress("likelihood", done, len(records))
    return result


@contextmanager
def _only(model: Any, places: torch.Tensor) -> Iterator[None]:
    """While open, the head sees the flat positions `places` of the batch only."""
    head = inner(model).get_output_embeddings()

    def chosen(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0].reshape(-1, given[0].shape[-1])[places][None], *given[1:])

    hook = head.register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        hook.remove()


def _batches(lengths: Sequence[int], device: str) -> Iterator[list[int]]:
    """Indices, shortest first, in batches of at most so many tokens with padding."""
    rows: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if rows and (len(rows) + 1) * lengths[index] > _TOKENS_PER_BATCH.get(device, 1024):
            yield rows
            rows = []
        rows.append(index)
    if rows:
        yield rows
