"""Membership inference, canaries' exposure and the bound of epsilon: known answers, and what chance alone gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from primum.errors import BadInput
from primum.stats.membership import (
    auroc_variance,
    epsilon_bound,
    exposures,
    mean_exposure,
    membership,
    records_needed,
    true_positives,
)


def clustered(rng: np.random.Generator, patients: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of patients whose records are alike, and whose they are."""
    own = rng.normal(size=patients).repeat(each) * 1.5
    return own + rng.normal(size=patients * each), np.arange(patients).repeat(each)


def test_the_auroc_is_that_of_all_pairs_with_ties_half() -> None:
    found = membership(np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0, 0.0]), 0.05)
    assert found.auroc == pytest.approx((3 + 2.5 + 2) / 9)
    assert found.lower < found.auroc < found.upper


def test_members_and_others_alike_give_no_alarm() -> None:
    rng, alpha, rounds = np.random.default_rng(0), 0.1, 400
    for patients, each in ((30, 1), (40, 5)):
        covered = above = 0
        for _ in range(rounds):
            (a, of_a), (b, of_b) = clustered(rng, patients, each), clustered(rng, patients, each)
            found = membership(a, b, alpha, member_patients=of_a, other_patients=of_b)
            covered += found.lower <= 0.5 <= found.upper
            above += found.lower > 0.5
        # Within what chance does to a share of 400 rounds.
        assert covered >= binom.ppf(0.001, rounds, 1 - alpha)
        assert above <= binom.ppf(0.999, rounds, alpha / 2)


def test_records_of_one_patient_are_not_taken_for_independent() -> None:
    (a, of_a), (b, of_b) = (clustered(np.random.default_rng(s), 20, 10) for s in (1, 2))
    naive = membership(a, b, 0.05)
    found = membership(a, b, 0.05, member_patients=of_a, other_patients=of_b)
    assert found.auroc == naive.auroc
    assert found.upper - found.lower > 1.5 * (naive.upper - naive.lower)


def test_a_true_separation_is_covered() -> None:
    rng, alpha, truth, covered = np.random.default_rng(3), 0.1, 0.9, 0
    shift = norm.ppf(truth) * math.sqrt(2)
    for _ in range(400):
        found = membership(rng.normal(size=50) + shift, rng.normal(size=50), alpha)
        covered += found.lower <= truth <= found.upper
    assert covered >= binom.ppf(0.001, 400, 1 - alpha)


def test_what_few_patients_cannot_show_stays_open() -> None:
    perfect = membership(np.arange(10.0) + 10, np.arange(12.0) - 5, 0.05)
    assert (perfect.auroc, perfect.upper) == (1.0, 1.0)
    assert perfect.lower == pytest.approx(0.025**0.1)
    turned = membership(np.arange(10.0) - 20, np.arange(12.0), 0.05)
    assert (turned.auroc, turned.lower, turned.upper) == (0.0, 0.0, pytest.approx(1 - 0.025**0.1))
    tied = membership(np.zeros(10), np.zeros(10), 0.05)
    assert tied.auroc == 0.5
    assert tied.lower < 0.3
    assert tied.upper > 0.7
    unread = membership(np.full(10, -np.inf), np.r_[np.full(5, -np.inf), np.zeros(5)], 0.05)
    assert unread.auroc == 0.25
    with pytest.raises(BadInput, match="2 patients"):
        membership(np.zeros(3), np.zeros(3), 0.05, member_patients=np.zeros(3))


def test_the_number_of_records_for_a_width() -> None:
    # Hanley & McNeil at AUROC 0.5 is (m + n + 1) / (12 m n).
    assert auroc_variance(0.5, 40, 60) == pytest.approx(101 / (12 * 40 * 60))
    n = records_needed(0.5, 0.05, 0.05)
    half = [norm.ppf(0.975) * math.sqrt(auroc_variance(0.5, k, k)) for k in (n - 1, n)]
    assert half[1] <= 0.05 < half[0]
    assert records_needed(0.5, 0.05, 0.05, power=0.8) > n
    with pytest.raises(BadInput):
        records_needed(0.5, 0.0, 0.05)


def test_what_is_found_at_few_false_alarms() -> None:
    others = np.arange(100.0)
    members = np.r_[np.full(30, 98.5), np.full(70, 10.0)]
    one = true_positives(members, others, 0.01, 0.05)
    assert one is not None
    assert (one.tpr, one.fpr) == (0.3, 0.01)
    assert one.lower == pytest.approx(0.2124, abs=1e-4)  # Clopper-Pearson of 30 in 100
    assert one.upper == pytest.approx(0.3998, abs=1e-4)
    tied = true_positives(np.full(5, 7.0), np.full(100, 7.0), 0.1, 0.05)
    assert tied is not None
    assert (tied.tpr, tied.fpr) == (0.0, 0.0)
    assert true_positives(members, others[:99], 0.01, 0.05) is None


def test_exposure_is_the_rank_in_bits_and_ties_widen_it() -> None:
    reference = np.arange(7.0)
    assert exposures(np.array([9.0, 5.5, -1.0]), reference, ties_before=True).tolist() == [3.0, 2.0, 0.0]
    tied = np.zeros(7)
    assert exposures(np.zeros(1), tied, ties_before=True)[0] == 0.0
    assert exposures(np.zeros(1), tied, ties_before=False)[0] == 3.0
    rng = np.random.default_rng(0)
    mute = mean_exposure(np.zeros(30), np.zeros(30), 0.05, 200, rng)
    assert (mute.lower, mute.upper) == (0.0, pytest.approx(math.log2(31)))


def test_canaries_that_left_no_trace_have_one_and_a_half_bits() -> None:
    rng, rounds, covered = np.random.default_rng(1), 200, 0
    for _ in range(rounds):
        found = mean_exposure(rng.normal(size=40), rng.normal(size=200), 0.1, 200, rng)
        covered += found.lower <= 1 / math.log(2) <= found.upper
    assert covered >= binom.ppf(0.001, rounds, 0.9)
    seen = mean_exposure(rng.normal(size=40) + 2, rng.normal(size=200), 0.05, 500, rng)
    assert seen.lower > 3


def test_the_bound_of_epsilon_is_never_above_the_truth_by_much_chance() -> None:
    rng, rounds, truth = np.random.default_rng(2), 300, 1.0
    lied = np.zeros(2)
    for _ in range(rounds):
        coin = rng.integers(0, 2, 80).astype(bool)
        # Randomised response with epsilon 1 is exactly as private as that.
        told = np.where(rng.random(80) < math.e / (1 + math.e), coin, ~coin) + 1e-6 * rng.random(80)
        lied += [epsilon_bound(told[coin], told[~coin], 0.05) > truth, False]
        blind = rng.random(80)
        lied += [False, epsilon_bound(blind[coin], blind[~coin], 0.05) > 0]
    assert (lied <= binom.ppf(0.999, rounds, 0.05)).all()


def test_what_was_learned_by_heart_has_a_large_epsilon() -> None:
    assert epsilon_bound(np.arange(50.0) + 100, np.arange(50.0), 0.05) > 3
    assert epsilon_bound(np.zeros(50), np.zeros(50), 0.05) == 0.0
