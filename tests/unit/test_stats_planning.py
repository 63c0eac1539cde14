"""Planning formulas, conformal sets and DeLong, against simulation and brute force."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from primum.errors import BadInput
from primum.stats import planning
from primum.stats.calibration import logistic_line
from primum.stats.conformal import fit_conformal, observed_coverage, refer_to_human
from primum.stats.delong import delong


def test_observed_expected_and_events_by_hand() -> None:
    assert planning.patients_for_events(0.1) == 1000
    # Riley et al. 2021: prevalence 0.5 and SE(ln O/E) = 0.051 need 385 patients.
    assert planning.patients_for_observed_expected(0.5, np.exp(0.051 * 1.959964)) == pytest.approx(385, abs=1)


def test_slope_formula_against_simulation() -> None:
    rng = np.random.default_rng(0)
    lp = rng.normal(-1, 1.2, (2000, 300))
    event = rng.random(lp.shape) < expit(lp)
    slopes = [
        logistic_line(x, y.astype(float), np.ones((1, 300)))[1][0] for x, y in zip(lp, event, strict=True)
    ]
    width = 2 * 1.959964 * np.std(slopes)
    assert planning.patients_for_slope(-1, 1.2, width) == pytest.approx(300, rel=0.1)


def test_auroc_formula_against_simulation() -> None:
    rng = np.random.default_rng(0)
    event = np.r_[np.ones(60, bool), np.zeros(140, bool)]
    areas = [roc_auc_score(event, rng.normal(size=200) + 1.19 * event) for _ in range(400)]
    width = 2 * 1.959964 * np.std(areas)
    assert planning.patients_for_auroc(0.3, float(np.mean(areas)), width) == pytest.approx(200, rel=0.15)


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
    assert len({item.question for item in plan}) == 5
    assert all(item.patients > 0 and item.source for item in plan)


@pytest.mark.parametrize(
    "call",
    [
        lambda: planning.patients_for_events(0),
        lambda: planning.patients_for_observed_expected(0.5, 1),
        lambda: planning.patients_for_slope(0, 0, 0.1),
        lambda: planning.patients_for_auroc(0.5, 1, 0.1),
    ],
)
def test_impossible_assumptions_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()


def labelled(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(3, 0.7), n) * 0.99 + 0.01 / 3
    gold = np.array([rng.choice(3, p=row) for row in p])
    return np.log(p), gold


def test_conformal_sets_cover_as_promised_in_each_site() -> None:
    coverages = []
    for seed in range(60):
        log_probs, gold = labelled(700, seed)
        sites = np.where(np.arange(700) % 2 == 0, "a", "b")
        skewed = np.where((sites == "b")[:, None], np.log(1 / 3), log_probs)  # in b the model knows nothing
        fit = fit_conformal(skewed[:200], gold[:200], sites[:200].tolist(), 0.9)
        sets = fit.label_sets(skewed[200:], sites[200:].tolist())
        coverages.append(
            [observed_coverage(sets[sites[200:] == s], gold[200:][sites[200:] == s]) for s in "ab"]
        )
    by_site = np.mean(coverages, axis=0)
    assert by_site[0] == pytest.approx(0.905, abs=0.015)
    assert by_site[1] == 1


def test_conformal_threshold_by_hand_and_small_or_unknown_sites() -> None:
    p = np.linspace(0.55, 0.95, 9)
    log_probs = np.log(np.c_[p, 1 - p])
    fit = fit_conformal(log_probs, np.zeros(9, int), ["a"] * 9, 0.8)
    assert fit.threshold("a") == pytest.approx(1 - p[1])  # the ceil(10 * 0.8) = 8th smallest of 1 - p
    assert fit_conformal(log_probs, np.zeros(9, int), ["a"] * 9, 0.95).threshold("a") == np.inf
    rows = np.log(np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]]))
    rows[2] = np.nan
    sets = fit.label_sets(np.vstack([rows, rows[:1]]), ["a", "a", "a", "unseen"])
    assert sets.tolist() == [[True, False], [False, False], [True, True], [True, True]]
    assert refer_to_human(sets).tolist() == [False, True, True, True]


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
