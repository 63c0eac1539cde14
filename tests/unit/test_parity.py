"""An adapter must say the same where it is scored as where it was trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from primum.backends.fake import FakeBackend
from primum.errors import BadInput
from primum.parity import PROBES, Parity, probe_messages, require_parity, take_parity
from primum.prompts import RenderedFeature, Renderer

RENDERER = Renderer(
    question="Ill?",
    numbers="raw",
    features=(
        RenderedFeature(column="age", name="age", kind="number", unit="years", mean=60.0, sd=10.0),
        RenderedFeature(column="sex", name="sex", kind="category", words={"0": "female", "1": "male"}),
        RenderedFeature(column="note", name="note", kind="text"),
    ),
    verbalizers={"well": "no", "ill": "yes"},
)


class Elsewhere(FakeBackend):
    """The fake backend on another machine, whose arithmetic is off by `shift` nats."""

    def __init__(self, place: str, shift: float) -> None:
        super().__init__()
        self._place, self._shift = place, shift

    @property
    def numerics(self) -> str:
        return self._place

    def score(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return super().score(*args, **kwargs) + self._shift


def test_the_probes_are_a_pure_function_of_the_renderer_and_look_like_records() -> None:
    messages = probe_messages(RENDERER)
    assert messages == probe_messages(RENDERER)
    assert len(set(messages)) == PROBES
    assert any("female" in m for m in messages)
    assert all(m.startswith("Ill?\nage: ") and m.endswith("Answer no or yes.") for m in messages)
    assert any("not recorded" in m for m in messages)


def test_the_same_place_agrees_to_the_bit_also_after_it_was_stored() -> None:
    parity = take_parity(FakeBackend(), RENDERER)
    assert parity.numerics == "fake/float64"
    stored = Parity.model_validate_json(parity.model_dump_json())
    assert require_parity("champion", stored, FakeBackend(), RENDERER) == 0.0


@pytest.mark.parametrize(
    ("place", "shift", "refused"),
    [
        ("mlx/float32", 5e-4, False),
        ("mlx/float32", 2e-3, True),
        ("cuda/bfloat16", 2e-3, False),
        ("cpu/float32+nf4", 5e-2, False),
        ("cuda/bfloat16", 0.2, True),
        ("mlx/float32", math.nan, True),
    ],
)
def test_another_place_must_agree_within_what_its_arithmetic_allows(
    place: str, shift: float, refused: bool
) -> None:
    parity = take_parity(FakeBackend(), RENDERER)
    there = Elsewhere(place, shift)
    if not refused:
        assert require_parity("adapter", parity, there, RENDERER) == pytest.approx(abs(shift), abs=1e-12)
        return
    with pytest.raises(BadInput, match=f"the adapter was trained on fake/float64 .* on {place}: .*made-up"):
        require_parity("adapter", parity, there, RENDERER)


def test_a_difference_in_the_same_place_is_not_the_places_fault() -> None:
    parity = take_parity(FakeBackend(), RENDERER)
    with pytest.raises(BadInput, match="not those of its training: train it again"):
        require_parity("adapter", parity, Elsewhere(parity.numerics, 0.5), RENDERER)


def test_a_bundle_holds_no_words_of_a_record(tmp_path: Path) -> None:
    text = take_parity(FakeBackend(), RENDERER).model_dump_json()
    assert "female" not in text
    assert "Ill?" not in text
