import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from primum.errors import BadInput
from primum.stats.updating import closed_update


def drawn(n: int, intercept: float, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What a model says, and events whose logit is intercept + slope times that."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1.5, n)
    return expit(x), rng.random(n) < expit(intercept + slope * x)


def test_right_probabilities_are_left_alone_as_often_as_the_level_says() -> None:
    changed = [closed_update(*drawn(300, 0, 1, seed)).kind != "none" for seed in range(400)]
    assert 0.02 < np.mean(changed) < 0.085  # 0.05, four standard errors either way


def test_a_shift_gets_an_intercept_and_a_stretch_gets_both() -> None:
    shift = closed_update(*drawn(2000, 1.0, 1.0))
    assert shift.kind == "intercept"
    assert shift.map.slope == 1.0
    assert shift.map.intercept == pytest.approx(1.0, abs=0.15)
    both = closed_update(*drawn(2000, -0.5, 0.5))
    assert both.kind == "intercept and slope"
    assert both.map.slope == pytest.approx(0.5, abs=0.1)


def test_the_line_is_that_of_an_unpenalised_logistic_regression() -> None:
    p, event = drawn(1500, 0.7, 0.6)
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], event)
    found = closed_update(p, event).map
    assert (found.intercept, found.slope) == pytest.approx((fit.intercept_[0], fit.coef_[0, 0]), abs=1e-4)


def test_the_shift_makes_observed_equal_expected() -> None:
    p, event = drawn(800, 1.0, 1.0, seed=3)
    found = closed_update(p, event)
    assert found.kind == "intercept"
    assert found.map.apply(p).sum() == pytest.approx(event.sum())


def test_separated_records_are_shifted_at_most() -> None:
    p = np.r_[np.full(40, 0.1), np.full(40, 0.3)]
    assert closed_update(p, p > 0.2).map.slope == 1.0


def test_one_outcome_alone_is_refused() -> None:
    with pytest.raises(BadInput, match="with and without the event"):
        closed_update(np.array([0.2, 0.4]), np.array([True, True]))
