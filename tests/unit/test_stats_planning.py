"""Planning formulas and DeLong, against simulation, brute force and published examples."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from primum.errors import BadInput
from primum.stats import planning
from primum.stats.calibration import logistic_line
from primum.stats.delong import delong


def test_observed_expected_and_events_by_hand() -> None:
    assert planning.patients_for_events(0.1) == 1000
    # Riley et al. 2021: prevalence 0.5 and SE(ln O/E) = 0.051 need 385 patients.
    assert planning.patients_for_observed_expected(0.5, np.exp(0.051 * 1.959964)) == pytest.approx(385, abs=1)


def test_slope_formula_against_simulation() -> None:
    rng = np.random.default_rng(0)
    lp = rng.normal(-1, 1.2, 300)
    # One design, many outcomes: a resample's weight of 0 hides a record, so each draw is a row of weights.
    x, event = np.r_[lp, lp], np.r_[np.ones(300), np.zeros(300)]
    happened = rng.random((300, 300)) < expit(lp)
    slopes = logistic_line(x, event, np.hstack([happened, ~happened]).astype(float))[1]
    width = 2 * 1.959964 * np.std(slopes)
    assert planning.patients_for_slope(-1, 1.2, width) == pytest.approx(300, rel=0.1)


def test_auroc_formula_against_simulation() -> None:
    rng = np.random.default_rng(0)
    event = np.r_[np.ones(60, bool), np.zeros(140, bool)]
    ranks = rankdata(rng.normal(size=(2000, 200)) + 1.19 * event, axis=1)
    areas = (ranks[:, :60].sum(1) - 60 * 61 / 2) / (60 * 140)  # Mann-Whitney
    width = 2 * 1.959964 * np.std(areas)
    assert planning.patients_for_auroc(0.3, float(np.mean(areas)), width) == pytest.approx(200, rel=0.1)


def test_net_benefit_formula_against_simulation() -> None:
    rng = np.random.default_rng(0)
    event = rng.random((4000, 500)) < 0.3
    flagged = np.where(event, rng.random(event.shape) < 0.8, rng.random(event.shape) < 0.3)
    true, false = (flagged & event).mean(1), (flagged & ~event).mean(1)
    standardised = (true - false * 0.2 / 0.8) / event.mean(1)
    width = 2 * 1.959964 * standardised.std()
    assert planning.patients_for_net_benefit(0.3, 0.8, 0.7, 0.2, width) == pytest.approx(500, rel=0.1)


def test_the_plan_names_every_question() -> None:
    plan = planning.plan_holdout(
        prevalence=0.3, effect=0.1, margin=0.05, discordance=0.2, discordance_classical=0.1, alpha=0.0125
    )
    assert len({item.question for item in plan}) == 6
    assert all(item.patients > 0 and item.source for item in plan)


@pytest.mark.parametrize(
    "call",
    [
        lambda: planning.patients_for_events(0),
        lambda: planning.patients_for_observed_expected(0.5, 1),
        lambda: planning.patients_for_slope(0, 0, 0.1),
        lambda: planning.patients_for_auroc(0.5, 1, 0.1),
        lambda: planning.patients_for_net_benefit(0.1, 8, 0.7, 0.1, 0.2),
        lambda: planning.patients_for_slope_of_auroc(0.1, 0.5, 0.1),
    ],
)
def test_impossible_assumptions_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()


def test_delong_is_the_variance_of_the_placements() -> None:
    rng = np.random.default_rng(5)
    event = rng.random(60) < 0.4
    a, b = (np.round(rng.normal(size=60) + shift * event, 1) for shift in (1.2, 0.6))
    found = delong(event, a, b)
    assert found.auroc_a == pytest.approx(roc_auc_score(event, a))

    def wins(x: np.ndarray) -> np.ndarray:
        return np.sign(x[event][:, None] - x[~event][None, :]) / 2 + 0.5

    gap = wins(a) - wins(b)
    variance = gap.mean(1).var(ddof=1) / event.sum() + gap.mean(0).var(ddof=1) / (~event).sum()
    assert found.se == pytest.approx(np.sqrt(variance))
    same = delong(event, a, a)
    assert (same.p, same.se) == (1, 0)
    with pytest.raises(BadInput, match="2 records"):
        delong(np.array([True, False, False]), np.zeros(3), np.zeros(3))
