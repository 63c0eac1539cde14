"""Power against enumeration, simulation and textbook values."""

import itertools

import numpy as np
import pytest
from scipy.stats import multinomial

from primum.errors import BadInput
from primum.stats import power
from primum.stats.paired import mcnemar_p


def test_mcnemar_power_by_enumeration() -> None:
    n, wins, losses, alpha = 30, 0.3, 0.05, 0.05
    expected = sum(
        multinomial.pmf([b, c, n - b - c], n, [wins, losses, 1 - wins - losses])
        for b in range(n + 1)
        for c in range(n + 1 - b)
        if b > c and mcnemar_p(b, c) <= alpha
    )
    assert power.mcnemar_power(n, wins, losses, alpha) == pytest.approx(expected, abs=1e-9)


def test_mcnemar_sample_size_is_the_least_that_suffices() -> None:
    n = power.mcnemar_sample_size(0.15, 0.05, 0.05, 0.8)
    assert power.mcnemar_power(n, 0.15, 0.05, 0.05) >= 0.8
    assert power.mcnemar_power(n - 1, 0.15, 0.05, 0.05) < 0.8
    assert 150 <= n <= 185  # Connett's normal approximation gives 155; the exact test needs somewhat more


def test_mde_is_where_power_is_reached() -> None:
    effect = power.mcnemar_mde(200, 0.1, 0.0125, 0.8)
    assert power.mcnemar_power(200, (0.1 + effect) / 2, (0.1 - effect) / 2, 0.0125) == pytest.approx(
        0.8, abs=0.02
    )
    assert power.mcnemar_mde(5, 0.1, 0.0125, 0.8) == 1  # five pairs can never reach p <= 0.0125


def test_labels_needed() -> None:
    se = 0.05
    more = power.labels_needed(100, se, 0.05, 0.05, 0.8)
    assert power.paired_mde(se * np.sqrt(100 / (100 + more)), 0.05, 0.8) <= 0.05
    assert power.paired_mde(se * np.sqrt(100 / (99 + more)), 0.05, 0.8) > 0.05
    assert power.labels_needed(100, 0.001, 0.05, 0.05, 0.8) == 0


def test_paired_sample_size_textbook() -> None:
    # (1.96 + 0.8416)^2 * 0.2 / 0.1^2 = 157
    assert power.paired_sample_size(0.2, 0.1, 0.05, 0.8) == 157


def test_wilson_published() -> None:
    assert power.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, example 1
    assert power.wilson(0, 1000)[0] == 0


def test_split_plan_grows_and_says_enough() -> None:
    plans = power.plan_split(
        2000, effect=0.05, margin=0.03, discordance_base=0.1, discordance_classical=0.04, alpha=0.0125
    )
    assert [p.patients for p in plans] == sorted(p.patients for p in plans)
    assert all(a.margin_mde > b.margin_mde for a, b in itertools.pairwise(plans))
    enough = [p for p in plans if p.enough]
    assert enough
    assert not plans[0].enough


@pytest.mark.parametrize(
    "call",
    [
        lambda: power.mcnemar_power(10, 0.8, 0.5, 0.05),
        lambda: power.mcnemar_sample_size(0.1, 0.1, 0.05, 0.8),
        lambda: power.mcnemar_sample_size(0.5, 0.499999, 0.05, 0.8),
        lambda: power.labels_needed(10, float("inf"), 0.1, 0.05, 0.8),
        lambda: power.labels_needed(10, 0.1, 0, 0.05, 0.8),
        lambda: power.paired_sample_size(0, 0.1, 0.05, 0.8),
        lambda: power.wilson(0, 0),
    ],
)
def test_impossible_plans_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()
