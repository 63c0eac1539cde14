"""Canaries: made-up records with random labels, some of which join the training to measure what it remembers.

What an adapter says of one that it saw, beyond what it says of those that it did not see, can only be memory: the
label was tossed (Carlini et al. 2019, "The Secret Sharer", arXiv 1802.08232; one training is enough: Steinke, Nasr
& Jagielski 2023, arXiv 2305.08846).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from primum.backends.base import Recipe
from primum.errors import BadInput
from primum.prompts import RenderedFeature, Renderer, is_missing
from primum.records import Example
from primum.scoring import examples, messages

ROUNDS = 50
"""Draws of as many records as are wanted, after which the task is taken to have no more of them."""


@dataclass(frozen=True)
class Canaries:
    """Made-up records, divided by the toss of a fair coin each."""

    planted: tuple[Example, ...]
    reference: tuple[Example, ...]


def training_examples(renderer: Renderer, train: pd.DataFrame, recipe: Recipe, seed: int) -> list[Example]:
    """What an adapter is trained on: the records of `train`, and the planted canaries where the recipe asks."""
    rows = examples(renderer, train)
    if not recipe.canaries:
        return rows
    return [*rows, *make_canaries(renderer, train, recipe.canaries, seed).planted]


def make_canaries(renderer: Renderer, train: pd.DataFrame, count: int, seed: int) -> Canaries:
    """Draw `count` made-up records: each feature by itself from the training part, the label from all labels.

    Of free text the words are drawn one by one, half as many as a training text has. No two canaries read alike,
    and none reads as a training record does. The same arguments give the same canaries. Raises BadInput where
    the features allow too few.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"canaries")])
    draw = {feature.column: _marginal(feature, train) for feature in renderer.features}
    taken, found = set(messages(renderer, train)), list[str]()
    for _ in range(ROUNDS):
        columns = {column: one(rng, count) for column, one in draw.items()}
        for i in range(count):
            prompt = renderer.message({column: values[i] for column, values in columns.items()})
            if prompt not in taken and len(found) < count:
                taken.add(prompt)
                found.append(prompt)
        if len(found) == count:
            return _tossed(found, tuple(renderer.verbalizers.values()), rng)
    raise BadInput(
        f"model.recipe.canaries: {count} are asked for, and the task's features allow {len(found)} made-up "
        "records that are like no training record; lower it, or give the task more features"
    )


def _tossed(prompts: list[str], answers: tuple[str, ...], rng: np.random.Generator) -> Canaries:
    said = rng.integers(0, len(answers), len(prompts))
    rows = [
        Example(record_id=f"canary-{i}", prompt=prompt, answer=answers[k])
        for i, (prompt, k) in enumerate(zip(prompts, said, strict=True))
    ]
    coin = rng.integers(0, 2, len(rows)).astype(bool)
    planted, reference = (
        tuple(row for row, side in zip(rows, coin, strict=True) if side == wanted) for wanted in (True, False)
    )
    return Canaries(planted, reference)


Draw = Callable[[np.random.Generator, int], list[object]]


def _marginal(feature: RenderedFeature, train: pd.DataFrame) -> Draw:
    values = train[feature.column].tolist()
    if feature.kind != "text":
        return lambda rng, count: [values[i] for i in rng.integers(0, len(values), count)]
    texts = [[] if is_missing(value) else str(value).split() for value in values]
    words = [word for text in texts for word in text]

    def one(rng: np.random.Generator, like: int) -> str | None:
        wanted = (len(texts[like]) + 1) // 2
        return " ".join(words[i] for i in rng.integers(0, len(words), wanted)) if wanted else None

    return lambda rng, count: [one(rng, like) for like in rng.integers(0, len(texts), count)]
