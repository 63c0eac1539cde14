"""The processes ("ranks") of one training: which of them this is, and what they tell each other.

Every rank holds the same adapters and learns from its share of each step's records; the gradients are added up
before the optimizer takes its step, so that all take the same one. Why not torch's own wrapper, and how the frozen
base is divided: docs/decisions/0014-several-processes.md.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import distributed

from primum.jobs.launchers import SHARDING

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among `world` ones; `rank` 0 alone writes files."""

    rank: int = 0
    world: int = 1
    sharding: str = "ddp"

    @property
    def sharded(self) -> bool:
        """The base is divided: each forward and backward pass is done by all ranks at once."""
        return self.world > 1 and self.sharding != "ddp"

    def of(self, numerics: str) -> str:
        """`numerics` of a training: the order of sums depends on the number of ranks."""
        return numerics if self.world == 1 else f"{numerics}, {self.world} ranks ({self.sharding})"

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in one message: all have the same bits afterwards."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def led(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, on all ranks. Where it raises, its launcher ends the others, which wait here."""
        if self.world == 1:
            return make()
        box = [make() if self.rank == 0 else None]
        distributed.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Go on when all ranks have come here."""
        if self.world > 1:
            distributed.barrier()

    def scored(self, score: Callable[[Sequence[T]], np.ndarray], prompts: Sequence[T]) -> np.ndarray:
        """Rows of `score` (n, K) for all prompts, each made by one rank, or by all where the base is divided."""
        if self.world == 1 or self.sharded:
            return score(prompts)
        mine = torch.from_numpy(score(prompts[self.rank :: self.world]))
        rows = torch.zeros(len(prompts), mine.shape[1], dtype=mine.dtype)
        rows[self.rank :: self.world] = mine
        distributed.all_reduce(rows)
        return rows.numpy()


ALONE = Ranks()


@functools.cache
def ranks_here() -> Ranks:
    """Join the other processes of the launcher that started this one; alone where it is not Primum's."""
    if SHARDING not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Ranks(distributed.get_rank(), distributed.get_world_size(), os.environ[SHARDING])
