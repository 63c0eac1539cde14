"""Batches of a fleet: each candidate's records in its own order, padded or packed into rows of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from primum.backends import epochs, training
from primum.backends.torch.base_model import Base
from primum.backends.torch.columns import takes_positions
from primum.backends.torch.ranks import ALONE, Ranks
from primum.records import Example

_CPU_TOKENS = 1024
"""Twice as many made a step of the embedded base 7% faster and took half as much memory again (decision 0012)."""


@dataclass(frozen=True)
class Record:
    """Tokens of a prompt with its answer; the answer begins at `answer` and carries the loss."""

    tokens: tuple[int, ...]
    answer: int
    lower: torch.Tensor | None = None
    """(len(tokens), d) hidden states below the lowest adapter, where they were computed beforehand."""


def encode(base: Base, examples: Sequence[Example]) -> list[Record]:
    """Tokenize as for scoring; the answer is the verbalizer and the end of the turn."""
    prompts = base.chat.prompts([e.prompt for e in examples])
    answers = {e.answer: [*base.chat.answer(str(e.answer)), base.chat.end_of_turn] for e in examples}
    return [Record((*p, *answers[e.answer]), len(p)) for p, e in zip(prompts, examples, strict=True)]


class Feed:
    """One epoch's micro-batches after the other, for the Trainer in place of a DataLoader.

    A micro-batch holds, for every candidate that is still `going`, as many of its records: in one tensor, or
    `apart`, in a tensor for each candidate. Nothing is drawn at random but `epoch_order`, so an epoch is a pure
    function of its number. Of several ranks each gets every n-th record of an optimizer step, in as many
    micro-batches as the others; where no record is left for it, a blank one without loss.
    """

    def __init__(
        self,
        members: Sequence[training.TrainingInputs],
        records: Sequence[Record],
        pad: int,
        *,
        apart: bool,
        ranks: Ranks = ALONE,
    ) -> None:
        self.going: tuple[int, ...] = tuple(range(len(members)))
        self.dataset = records
        self.members, self._pad, self._apart, self._ranks = members, pad, apart, ranks
        self._recipe = members[0].recipe
        self._epoch = 0

    @property
    def micro(self) -> int:
        """Records of a candidate in a micro-batch; by default all on a GPU, and no more than pay on a CPU."""
        most = _CPU_TOKENS // max(len(r.tokens) for r in self.dataset) if self._apart else self._share
        return min(self._recipe.micro_batch_size or max(1, most), self._share)

    @property
    def accumulated(self) -> int:
        """Micro-batches that make one optimizer step."""
        return -(-self._share // self.micro)

    @property
    def _share(self) -> int:
        """Records of a candidate in an optimizer step, on the rank that has most."""
        return -(-self._recipe.batch_size // self._ranks.world)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch (0-based) is iterated next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._places())

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        orders = [self._order(m) for m in self.members]
        for place in self._places():
            groups = [[i] for i in self.going] if self._apart else [list(self.going)]
            yield [self._batch(group, [self._records(orders[i][place]) for i in group]) for group in groups]

    def _records(self, indices: Sequence[int]) -> list[Record]:
        return [self.dataset[k] for k in indices] or [Record((self._pad,), 1)]

    def _places(self) -> list[slice]:
        """This rank's micro-batches in an epoch's order; none crosses the end of a batch."""
        n, size, world, rank = len(self.dataset), self._recipe.batch_size, self._ranks.world, self._ranks.rank
        return [
            slice(i + rank, min(i + world * self.micro, begin + size, n), world)
            for begin in range(0, n, size)
            for i in range(begin, min(begin + size, n), world * self.micro)
        ]

    def _order(self, member: training.TrainingInputs) -> list[int]:
        return epochs.epoch_order(
            [str(e.answer) for e in member.examples],
            self._epoch,
            member.seed,
            balanced=self._recipe.class_balanced and bool(member.labels),
            lengths=[len(r.tokens) for r in self.dataset],
            batch=self._recipe.batch_size,
        )

    def _batch(self, group: list[int], parts: list[list[Record]]) -> dict[str, Any]:
        rows = [_pack(part) if self._recipe.packing else [[r] for r in part] for part in parts]
        return collate(rows, self._pad) | {"candidates": group}


def collate(rows: Sequence[Sequence[Sequence[Record]]], pad: int) -> dict[str, Any]:
    """Rows of records for each of C candidates -> tensors of R rows and L columns, padded on the right.

    `input_ids` (R, L); `read` (M,) flat positions whose next token carries loss, and `targets` (M,) those tokens;
    `tokens` and `answers`: how many positions of the flat batch, and how many targets, are each candidate's. With
    several records in a row, `position_ids` (R, L) begin anew at each, from which transformers makes the mask that
    keeps every record to itself. No other mask is needed: padding stands where no completion sees it. `lower`
    (R, L, d) where the records bring their own.
    """
    flat = [row for part in rows for row in part]
    width = max(sum(len(r.tokens) for r in row) for row in flat)
    ids = torch.full((len(flat), width), pad)
    positions = torch.zeros((len(flat), width), dtype=torch.long)
    read: list[int] = []
    targets: list[int] = []
    for i, row in enumerate(flat):
        start = 0
        for record in row:
            end = start + len(record.tokens)
            ids[i, start:end] = torch.tensor(record.tokens)
            positions[i, start:end] = torch.arange(end - start)
            read += range(i * width + start + record.answer - 1, i * width + end - 1)
            targets += record.tokens[record.answer :]
            start = end
        positions[i, start:] = torch.arange(width - start)
    batch: dict[str, Any] = {
        "input_ids": ids,
        "read": torch.tensor(read, dtype=torch.long),
        "targets": torch.tensor(targets, dtype=torch.long),
        "tokens": [len(part) * width for part in rows],
        "answers": [sum(len(r.tokens) - r.answer for row in part for r in row) for part in rows],
    }
    if any(len(row) > 1 for row in flat):
        batch["position_ids"] = positions
    if flat[0][0].lower is not None:
        batch["lower"] = _hidden(flat, width, flat[0][0].lower)
    return batch


def _hidden(rows: Sequence[Sequence[Record]], width: int, like: torch.Tensor) -> torch.Tensor:
    """(R, L, d) hidden states of the rows, zero at the padding."""
    hidden = like.new_zeros((len(rows), width, like.shape[1]))
    for i, row in enumerate(rows):
        parts = torch.cat([r.lower for r in row if r.lower is not None])
        hidden[i, : len(parts)] = parts
    return hidden


def _pack(records: Sequence[Record]) -> list[list[Record]]:
    """First fit, longest first, into rows no longer than the longest record."""
    room = max(len(r.tokens) for r in records)
    rows: list[list[Record]] = []
    for record in sorted(records, key=lambda r: -len(r.tokens)):
        fits = (row for row in rows if sum(len(r.tokens) for r in row) + len(record.tokens) <= room)
        row = next(fits, None)
        if row is None:
            rows.append([record])
        else:
            row.append(record)
    return rows


@torch.inference_mode()
def keeps_apart(model: Any) -> bool:
    """Whether records packed into one row see nothing of each other. Configurations do not tell, so it is tried.

    Two rows whose first records differ and whose second ones are alike: what is made of the second must be too.
    """
    if not takes_positions(model):
        return False
    tokens = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 4, 5, 6]]
    places = torch.tensor([[0, 1, 2, 0, 1, 2]] * 2, device=model.device)
    ids = torch.tensor(tokens, device=model.device)
    one, other = model(input_ids=ids, position_ids=places, use_cache=False).logits[:, 3:].float()
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-3, equal_nan=True))
