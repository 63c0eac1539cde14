"""Drawn tokens follow the tempered softmax, keep to the nucleus, and need no shared random state."""

from __future__ import annotations

import numpy as np
import pytest

from primum.backends.base import GenerationLimits
from primum.backends.sampling import drawn, stream_of


def shares(limits: GenerationLimits, logits: np.ndarray, draws: int = 4000) -> np.ndarray:
    picked = [int(drawn(logits, limits, stream_of([7]), step).argmax()) for step in range(draws)]
    return np.bincount(picked, minlength=logits.size) / draws


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_shares_are_those_of_the_tempered_softmax(temperature: float) -> None:
    logits = np.array([2.0, 1.0, 0.0, -1.0])
    wanted = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    np.testing.assert_allclose(shares(GenerationLimits(temperature=temperature), logits), wanted, atol=0.03)


def test_only_the_nucleus_is_drawn_and_at_least_one_token() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    found = shares(GenerationLimits(temperature=1.0, top_p=0.75), logits)
    np.testing.assert_allclose(found, [0.625, 0.375, 0, 0], atol=0.03)
    assert shares(GenerationLimits(temperature=1.0, top_p=1e-9), logits, 50)[0] == 1


def test_prompt_seed_and_step_each_have_noise_of_their_own() -> None:
    logits = np.zeros(50)
    limits = GenerationLimits(temperature=1.0)
    first = drawn(logits, limits, stream_of([1, 2]), 0)
    assert np.array_equal(first, drawn(logits, limits, stream_of([1, 2]), 0))
    for other in (
        drawn(logits, limits, stream_of([2, 1]), 0),
        drawn(logits, limits, stream_of([1, 2]), 1),
        drawn(logits, limits.model_copy(update={"seed": 1}), stream_of([1, 2]), 0),
    ):
        assert not np.array_equal(first, other)
