"""Holm's procedure."""

from __future__ import annotations

import numpy as np
import pytest

from primum.errors import BadInput
from primum.stats.multiple import holm


def test_the_example_of_the_paper_and_ties() -> None:
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04]), [0.04, 0.06, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.04, 0.01, 0.04]), [0.08, 0.03, 0.08])
    assert holm([]).size == 0
    assert holm([0.7, 0.9]).tolist() == [1.0, 1.0]


def test_between_nothing_and_bonferroni_and_in_the_same_order() -> None:
    p = np.random.default_rng(1).uniform(size=40)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, 40 * p) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_family_wise_error_holds_under_the_null() -> None:
    p = np.random.default_rng(2).uniform(size=(4000, 10))
    wrong = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert wrong < 0.06


@pytest.mark.parametrize("bad", [[-0.1], [1.2], [float("nan")], [[0.1]]])
def test_what_is_no_p_value_is_refused(bad: list[float]) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        holm(bad)
