"""Effect sizes, corrections and two-sample tests against hand-made and scipy's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2_contingency, false_discovery_control, fisher_exact, ks_2samp, norm

from primum.stats.drift import (
    auroc_error,
    benjamini_hochberg,
    difference_p,
    events_p,
    homogeneity,
    ks_distance,
    slope_test,
    standardised_difference,
    total_variation,
)
from primum.stats.estimate import expected_accuracy, expected_auroc, macro_expected_auroc
from primum.stats.scores import auroc_scores


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_benjamini_hochberg_is_that_of_scipy_and_of_the_docstring():
    p = rng().random(40) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.04, 0.03]), [0.03, 0.04, 0.04])
    assert benjamini_hochberg([]).size == 0


def test_standardised_difference():
    reference, current = np.array([0.0, 2.0]), np.array([1.0, 3.0])
    assert standardised_difference(reference, current) == pytest.approx(1.0)
    assert standardised_difference(np.ones(3), np.full(3, 2.0)) is None
    assert standardised_difference(np.full(3, 0.1), np.full(4, 0.1)) is None


@pytest.mark.parametrize(("n", "m"), [(5, 300), (300, 5), (40, 40), (1, 7)])
def test_ks_distance_is_scipys_with_ties_and_without(n, m):
    for decimals in (0, 6):
        a, b = (
            np.sort(rng(n).normal(size=n).round(decimals)),
            np.sort(rng(m).normal(0.3, 1, m).round(decimals)),
        )
        assert ks_distance(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)


def test_total_variation():
    assert total_variation(np.array([[10, 0], [0, 3]])) == 1
    assert total_variation(np.array([[10, 30], [1, 3]])) == 0


def test_homogeneity_takes_the_test_that_fits_the_counts():
    large = np.array([[50, 30, 20], [20, 30, 40]])
    found = homogeneity(large, rng())
    assert found.method == "chi-square"
    assert found.p == pytest.approx(chi2_contingency(large).pvalue)
    small = np.array([[20, 1], [3, 4]])
    found = homogeneity(small, rng())
    assert (found.method, found.p) == ("Fisher's exact", pytest.approx(fisher_exact(small).pvalue))
    sparse = np.array([[200, 3, 1], [20, 0, 4]])
    found = homogeneity(sparse, rng())
    assert found.method == "chi-square by random tables"
    assert 0.0001 <= found.p < 0.01
    assert homogeneity(np.array([[5, 0], [9, 0]]), rng()).p == 1


def test_a_sparse_table_can_alarm_among_a_thousand_tests():
    found = homogeneity(np.array([[300, 100, 2, 0], [0, 2, 1, 30]]), rng())
    assert found.method == "chi-square by random tables"
    assert found.p <= 1.001e-5


def test_homogeneity_of_very_many_categories_counts_the_rare_ones_as_one():
    counts = rng().multinomial(400, np.full(3000, 1 / 3000), size=2)
    assert homogeneity(counts, rng()).p > 0.01


def test_homogeneity_keeps_its_level():
    generator, shares = rng(3), np.array([0.5, 0.3, 0.15, 0.05])
    tables = [
        np.stack([generator.multinomial(300, shares), generator.multinomial(30, shares)]) for _ in range(200)
    ]
    assert np.mean([homogeneity(table, generator).p < 0.05 for table in tables]) <= 0.09


def test_events_p_is_the_binomials_where_all_probabilities_are_one():
    event = np.arange(60) < 25
    smaller = min(binomtest(25, 60, 0.3, alternative=side).pvalue for side in ("less", "greater"))
    assert events_p(np.full(60, 0.3), event) == pytest.approx(2 * smaller)


def test_events_p_of_very_many_is_near_the_exact_one():
    p = np.full(4000, 0.02)
    exact = 2 * binomtest(105, 4000, 0.02, alternative="greater").pvalue
    assert events_p(p, np.arange(4000) < 105) == pytest.approx(exact, rel=0.05)
    assert events_p(np.zeros(3000), np.zeros(3000, dtype=bool)) == 1


def test_slope_test():
    p = rng(1).uniform(0.05, 0.95, 4000)
    event = rng(2).random(4000) < p
    slope, p_value = slope_test(p, event)
    assert slope == pytest.approx(1, abs=0.1)
    assert p_value > 0.01
    extreme = 1 / (1 + np.exp(-2 * np.log(p / (1 - p))))
    slope, p_value = slope_test(extreme, event)
    assert slope == pytest.approx(0.5, abs=0.1)
    assert p_value < 1e-6
    assert slope_test(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])) is None


def test_auroc_error_and_difference():
    event, score = rng(1).random(500) < 0.4, rng(2).normal(size=500)
    area, error = auroc_error(event, score + event)
    assert area == pytest.approx(float(auroc_scores(event, score + event, np.ones((1, 500)))[0]))
    assert 0.01 < error < 0.04
    assert auroc_error(event, event.astype(float)) == (1.0, 0.5 / min(event.sum(), (~event).sum()))
    assert difference_p(0.8, 0.03, 0.7, 0.04) == pytest.approx(2 * norm.sf(2))
    assert difference_p(0.8, 0, 0.8, 0) == 1


def test_expected_accuracy_counts_unread_answers_as_wrong():
    log_probs = np.log([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    log_probs[2] = np.nan
    assert expected_accuracy(log_probs, np.array([0, 1, -1])) == pytest.approx(0.5)
    assert expected_accuracy(np.empty((0, 2)), np.empty(0, dtype=int)) is None


def test_expected_auroc_is_the_mean_over_drawn_outcomes():
    p = rng(5).beta(1, 2, 200).round(2)
    drawn = [rng(seed).random(200) < p for seed in range(300)]
    mean = np.mean([float(auroc_scores(event, p, np.ones((1, 200)))[0]) for event in drawn])
    assert expected_auroc(p) == pytest.approx(mean, abs=0.01)


def test_expected_auroc_by_pairs():
    p = np.array([0.1, 0.5, 0.5, 0.8])
    wins = pairs = 0.0
    for i in range(4):
        for j in range(4):
            if i != j:
                weight = p[i] * (1 - p[j])
                pairs += weight
                wins += weight * (p[i] > p[j]) + 0.5 * weight * (p[i] == p[j])
    assert expected_auroc(p) == pytest.approx(wins / pairs)
    assert expected_auroc(np.array([0.3])) is None
    assert expected_auroc(np.zeros(5)) is None
    assert macro_expected_auroc(np.log(np.c_[1 - p, p]), 1) == pytest.approx(wins / pairs)
    assert macro_expected_auroc(np.full((2, 3), np.nan), None) is None
