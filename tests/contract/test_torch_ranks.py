"""What each process of a training gets, and what several of them cannot do. How they train: test_launched.py."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import LABELS, RECIPE

from primum.backends.base import Recipe
from primum.backends.torch.feed import Feed, Record, encode
from primum.backends.torch.ranks import ALONE, Ranks, ranks_here
from primum.backends.torch.sharding import check_sharding
from primum.backends.training import TrainingInputs
from primum.errors import BadInput
from primum.jobs.launchers import SHARDING
from primum.records import Example


def steps(feed: Feed) -> list[list[int]]:
    """First tokens of the records that carry loss, sorted, of each optimizer step."""
    feed.set_epoch(1)
    micro = [[first for part in batch for first in firsts(part)] for batch in feed]
    n = feed.accumulated
    return [sorted(chain.from_iterable(micro[i : i + n])) for i in range(0, len(micro), n)]


def firsts(part: dict[str, Any]) -> list[int]:
    ids, read = part["input_ids"], part["read"]
    assert torch.equal(ids.flatten()[read + 1], part["targets"])
    rows = sorted(set((read // ids.shape[1]).tolist()))
    return ids[rows, 0].tolist()


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("micro", [None, 1, 2])
def test_the_ranks_shares_of_a_step_make_the_step_of_one(
    torch_backend: Any, parts: tuple[list[Example], list[Example]], world: int, micro: int | None
) -> None:
    recipe = RECIPE.model_copy(update={"micro_batch_size": micro})
    rows = parts[0][:34]  # the last step has 2 records, fewer than some worlds have ranks
    member = TrainingInputs(
        examples=tuple(rows),
        validation=tuple(parts[1]),
        labels=LABELS,
        recipe=recipe,
        rank=4,
        seed=7,
        base_hash="b",
        numerics="n",
    )
    # One token more at the front of each tells which it is.
    records = [Record((i, *r.tokens), r.answer + 1) for i, r in enumerate(encode(torch_backend._base, rows))]
    one, *feeds = (
        Feed([member], records, 0, apart=False, ranks=ranks)
        for ranks in (ALONE, *(Ranks(rank, world) for rank in range(world)))
    )
    assert len({len(feed) for feed in feeds}) == 1
    assert [sorted(chain.from_iterable(step)) for step in zip(*map(steps, feeds), strict=True)] == steps(one)
    assert max(map(len, steps(feeds[0]))) == -(-recipe.batch_size // world)


@pytest.mark.parametrize(
    ("sharding", "recipe", "model", "words"),
    [
        ("fsdp", {}, {"is_loaded_in_4bit": True}, "fsdp cannot divide a base in nf4"),
        ("zero3", {}, {"is_loaded_in_4bit": True}, "zero3 cannot divide a base in nf4"),
        ("zero3", {"variant": "dora"}, {}, "dora"),
        ("zero3", {}, {"dtype": torch.float16}, "float16"),
    ],
)
def test_what_a_divided_base_cannot_do_is_refused(
    sharding: str, recipe: dict[str, Any], model: dict[str, Any], words: str
) -> None:
    base: Any = SimpleNamespace(model=SimpleNamespace(**{"dtype": torch.float32, **model}))
    with pytest.raises(BadInput, match=words):
        check_sharding(base, Recipe(**recipe), Ranks(0, 2, sharding))
    check_sharding(base, Recipe(**recipe), Ranks(0, 1, sharding))
    check_sharding(base, Recipe(**recipe), Ranks(0, 2, "ddp"))


def test_processes_of_somebody_elses_launcher_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv(SHARDING, raising=False)
    assert ranks_here.__wrapped__() == ALONE


def test_a_training_is_not_continued_with_another_number_of_ranks() -> None:
    said = {
        Ranks(0, world, sharding).of("cpu/float32") for world in (1, 2, 3) for sharding in ("ddp", "fsdp")
    }
    assert len(said) == 5
    assert "cpu/float32" in said
