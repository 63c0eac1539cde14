"""Made-up records: from the training's marginals alone, divided by a coin, the same ones every time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from primum.backends.base import Recipe
from primum.errors import BadInput
from primum.privacy.canaries import make_canaries, training_examples
from primum.prompts import RenderedFeature, Renderer
from primum.scoring import messages

NUMBERS = tuple(RenderedFeature(column=f"x{i}", name=f"x{i}", kind="number") for i in range(6))
SEX = RenderedFeature(column="sex", name="sex", kind="category")
NOTE = RenderedFeature(column="note", name="note", kind="text")


def renderer(*features: RenderedFeature) -> Renderer:
    return Renderer(question="?", numbers="raw", features=features, verbalizers={"n": "no", "y": "yes"})


def train(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    notes = [" ".join(f"word{j}" for j in rng.integers(0, 40, 12)) for _ in range(n)]
    rows = {f.column: np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)) for f in NUMBERS}
    return pd.DataFrame(
        {
            "record_id": [f"r{i}" for i in range(n)],
            "label": rng.choice(["n", "y"], n),
            **rows,
            "sex": rng.choice(["f", "m"], n),
            "note": [None, *notes[1:]],
        }
    )


def test_they_are_like_the_training_and_like_no_record_of_it() -> None:
    frame, drawn = train(), renderer(*NUMBERS, SEX, NOTE)
    made = make_canaries(drawn, frame, 200, seed=1)
    both = [*made.planted, *made.reference]
    assert len(both) == 200
    assert 60 < len(made.planted) < 140  # a fair coin
    prompts = [row.prompt for row in both]
    assert len(set(prompts)) == 200
    assert not set(prompts) & set(messages(drawn, frame))
    known = {piece for prompt in messages(drawn, frame) for piece in prompt.replace(".", "").split()}
    assert {piece for prompt in prompts for piece in prompt.replace(".", "").split()} <= known
    assert not any(str(note) in prompt for note in frame["note"][1:] for prompt in prompts)
    assert {row.answer for row in made.planted} == {"no", "yes"}
    assert abs(sum(row.answer == "yes" for row in both) - 100) < 40


def test_same_seed_same_canaries_and_the_order_of_a_row_does_not_leak_in() -> None:
    frame, drawn = train(), renderer(*NUMBERS)
    assert make_canaries(drawn, frame, 50, seed=1) == make_canaries(drawn, frame, 50, seed=1)
    assert make_canaries(drawn, frame, 50, seed=1) != make_canaries(drawn, frame, 50, seed=2)


def test_only_where_asked_they_join_the_training() -> None:
    frame, drawn = train(), renderer(*NUMBERS)
    assert len(training_examples(drawn, frame, Recipe(), 1)) == 60
    rows = training_examples(drawn, frame, Recipe(canaries=80), 1)
    assert tuple(rows[60:]) == make_canaries(drawn, frame, 80, 1).planted


def test_features_that_allow_too_few_are_told() -> None:
    with pytest.raises(
        BadInput, match=r"canaries: 100 are asked for, and the task's features allow 0 made-up"
    ):
        make_canaries(renderer(SEX), train(), 100, seed=1)


def test_a_recipe_without_canaries_is_the_recipe_of_before() -> None:
    assert "canaries" not in Recipe().model_dump()
    assert Recipe.model_validate(Recipe(canaries=40).model_dump()).canaries == 40
    with pytest.raises(ValidationError, match="fewer than 40 canaries show nothing"):
        Recipe(canaries=39)
