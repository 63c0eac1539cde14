"""Calibration and decisions: recovered truths, scikit-learn, and small cases by hand."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from primum.errors import BadInput
from primum.stats.calibration import apply_temperature, fit_isotonic, fit_platt, fit_temperature
from primum.stats.decision import choose_threshold, decision_curve, net_benefit, treat_all
from primum.stats.reliability import (
    calibration_line,
    expected_calibration_error,
    observed_expected,
    reliability_curve,
)


def overconfident(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = log_softmax(rng.normal(0, 2, (n, 3)), axis=1)
    gold = np.array([rng.choice(3, p=np.exp(row)) for row in true])
    return log_softmax(true * temperature, axis=1), gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(temperature: float) -> None:
    log_probs, gold = overconfident(4000, temperature)
    assert fit_temperature(log_probs, gold) == pytest.approx(temperature, rel=0.08)


def test_applied_rows_are_normalised_and_keep_their_order() -> None:
    log_probs, _ = overconfident(50, 2)
    cooled = apply_temperature(log_probs, 2.5)
    assert np.exp(cooled).sum(1) == pytest.approx(np.ones(50))
    assert (cooled.argsort(1) == log_probs.argsort(1)).all()
    assert apply_temperature(log_probs, 1.0) == pytest.approx(log_probs)


def test_a_faultless_validation_part_does_not_make_the_model_sure() -> None:
    gold = np.tile([0, 1], 20)
    log_probs = np.log(np.where(np.eye(2)[gold] == 1, 0.8, 0.2))
    fitted = np.exp(apply_temperature(log_probs, fit_temperature(log_probs, gold)))
    assert fitted.max() == pytest.approx(41 / 42, abs=1e-3)  # rule of succession


@pytest.mark.parametrize(
    ("log_probs", "gold", "words"),
    [
        (np.log([[0.5, 0.4]]), [0], "sum to 1"),
        (np.array([[np.nan, 0.0]]), [0], "row 0"),
        (np.log([[0.5, 0.5]]), [0, 1], "one each"),
        (np.log([[0.5, 0.5]]), [2], "0..1"),
    ],
)
def test_bad_probabilities_are_refused(log_probs: np.ndarray, gold: list[int], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        fit_temperature(log_probs, np.array(gold))


def test_temperature_must_be_positive() -> None:
    with pytest.raises(BadInput, match="greater than 0"):
        apply_temperature(np.zeros((1, 2)), 0)


def shifted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose truth is logit p' = -0.5 + 0.6 logit p."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n)
    event = rng.random(n) < expit(-0.5 + 0.6 * logits)
    return expit(logits), event


def test_platt_finds_the_line_and_mends_the_calibration() -> None:
    probability, event = shifted(20000)
    platt = fit_platt(probability, event)
    assert (platt.intercept, platt.slope) == pytest.approx((-0.5, 0.6), abs=0.06)
    one = np.ones((1, event.size))
    assert calibration_line(platt.apply(probability), event, one)[1][0] == pytest.approx(1, abs=0.01)
    assert observed_expected(platt.apply(probability), event, one)[0] == pytest.approx(1, abs=0.01)


def test_platt_on_separated_records_stays_finite() -> None:
    event = np.repeat([False, True], 10)
    platt = fit_platt(np.where(event, 0.9, 0.1), event)
    assert 0.9 < platt.apply(np.array([0.9]))[0] < 0.95  # 11/12 by Platt's targets


def test_calibration_line_is_the_logistic_regression_of_scikit_learn() -> None:
    probability, event = shifted(300, seed=4)
    weights = np.random.default_rng(1).integers(0, 4, (3, 300)).astype(float)
    intercept, slope = calibration_line(probability, event, weights)
    for row in range(3):
        model = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000)
        model.fit(np.log(probability / (1 - probability))[:, None], event, sample_weight=weights[row])
        assert slope[row] == pytest.approx(model.coef_[0, 0], rel=1e-3)
        assert intercept[row] == pytest.approx(model.intercept_[0], abs=1e-3)


def test_calibration_line_is_undefined_where_events_are_separated_or_constant() -> None:
    event = np.repeat([False, True], 10)
    one = np.ones((1, 20))
    assert np.isnan(calibration_line(np.where(event, 0.9, 0.1), event, one)[1][0])
    assert np.isnan(calibration_line(np.full(20, 0.5), event, one)[1][0])
    assert np.isnan(observed_expected(np.zeros(20), event, one)[0])


def test_isotonic_is_scikit_learns() -> None:
    probability, event = shifted(2000, seed=2)
    probability = np.round(probability, 2)
    ours = fit_isotonic(probability, event).apply(probability)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(probability, event).predict(probability)
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert (np.diff(ours[np.argsort(probability)]) >= -1e-12).all()


def test_small_validation_sets_are_refused_isotonic_and_one_outcome_platt() -> None:
    probability, event = shifted(100)
    with pytest.raises(BadInput, match="at least 1000"):
        fit_isotonic(probability, event)
    with pytest.raises(BadInput, match="with and without"):
        fit_platt(probability, np.ones(100, dtype=bool))
    with pytest.raises(BadInput, match="row 1"):
        fit_platt(np.array([0.5, 1.5]), np.array([True, False]))
    with pytest.raises(BadInput, match="constant"):
        fit_platt(np.full(100, 0.5), event)


def test_reliability_curve_and_ece_by_hand() -> None:
    probability = np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.8])
    event = np.array([False, False, False, True, True, True])
    curve = reliability_curve(probability, event, bins=3)
    assert [(b.records, round(b.predicted, 6), b.observed) for b in curve] == [(4, 0.1, 0.25), (2, 0.8, 1.0)]
    assert expected_calibration_error(probability, event, np.ones((1, 6)), 3) == pytest.approx(1 / 6)


def test_net_benefit_by_hand() -> None:
    # 20 of 100 events; at 20% the model flags 30: 15 true, 15 false. 15/100 - 15/100 * 0.25 = 0.1125.
    event = np.r_[np.ones(20, bool), np.zeros(80, bool)]
    probability = np.r_[np.full(15, 0.5), np.full(5, 0.1), np.full(15, 0.5), np.full(65, 0.1)]
    one = np.ones((1, 100))
    assert net_benefit(probability, event, 0.2, one)[0] == pytest.approx(0.1125)
    assert treat_all(event, 0.2, one)[0] == pytest.approx(0.0)  # at the prevalence treating all equals none
    curve = decision_curve(probability, event, np.array([0.05, 0.2]))
    assert curve[0] == pytest.approx([0.2 - 0.8 * 0.05 / 0.95] * 2 + [0])
    with pytest.raises(BadInput, match="between 0 and 1"):
        net_benefit(probability, event, 1.0, one)


def test_thresholds_by_brute_force() -> None:
    probability, event = shifted(200, seed=7)
    cuts = np.linspace(0, 1, 20001)
    flagged = probability[None, :] >= cuts[:, None]
    sensitivity, false_alarms = flagged[:, event].mean(1), flagged[:, ~event].mean(1)

    def at(threshold: float) -> tuple[float, float]:
        return (probability[event] >= threshold).mean(), (probability[~event] >= threshold).mean()

    found = at(choose_threshold(probability, event, "youden"))
    assert found[0] - found[1] == pytest.approx((sensitivity - false_alarms).max())
    found = at(choose_threshold(probability, event, "sensitivity", 0.9))
    assert found[0] >= 0.9
    assert found[1] == pytest.approx(false_alarms[sensitivity >= 0.9].min())
    found = at(choose_threshold(probability, event, "cost", 4.0))
    costs = (1 - sensitivity) * event.sum() * 4 + false_alarms * (~event).sum()
    assert (1 - found[0]) * event.sum() * 4 + found[1] * (~event).sum() == pytest.approx(costs.min())


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        ("sensitivity", None, "needs a value"),
        ("sensitivity", 1.5, "between 0 and 1"),
        ("cost", 0.0, "greater than 0"),
    ],
)
def test_bad_threshold_rules_are_refused(rule: str, value: float | None, words: str) -> None:
    probability, event = shifted(50)
    with pytest.raises(BadInput, match=words):
        choose_threshold(probability, event, rule, value)
