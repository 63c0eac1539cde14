"""Published worked examples. Each test says where its numbers come from.

Quoted from memory and not reread on the page: SAS's standard errors and p-values, the counts of Vickers & Elkin
2006, and the two sample sizes of Riley et al. 2024. The data, and all other figures, were read where a test says.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import chi2

from primum.stats import planning
from primum.stats.decision import decision_curve, net_benefit
from primum.stats.delong import delong
from primum.stats.paired import mcnemar_exact, mcnemar_p

OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score and outcome of the 43 complete patients of DeLong, DeLong & Clarke-Pearson
1988 (doi 10.2307/2531595), as printed in the SAS/STAT user's guide, PROC LOGISTIC, "Comparing Receiver
Operating Characteristic Curves"."""


def test_delong_on_the_patients_of_its_authors() -> None:
    # The same example: areas 0.7366, 0.6478, 0.7258; contrasts with the K-G score.
    albumin, protein, score, outcome = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    event, score = outcome == 1, 10 - score
    assert (event.size, event.sum()) == (43, 31)
    first, second = delong(event, albumin, score), delong(event, protein, score)
    assert (first.auroc_a, second.auroc_a, first.auroc_b) == pytest.approx((0.7366, 0.6478, 0.7258), abs=5e-5)
    assert (first.se, second.se) == pytest.approx((0.0953, 0.1046), abs=5e-5)
    assert (first.p, second.p) == pytest.approx((0.9102, 0.4561), abs=5e-5)
    chi_square = [((d.auroc_a - d.auroc_b) / d.se) ** 2 for d in (first, second)]
    assert chi_square == pytest.approx([0.0127, 0.5554], abs=5e-5)


def test_mcnemar_on_the_approval_ratings() -> None:
    # Agresti 1990, Categorical Data Analysis, p. 350: 794 and 570 pairs agree, 150 and 86 do not. R's
    # ?mcnemar.test has the table, and prints 17.356, p = 3.099e-05, with continuity correction 16.818,
    # p = 4.115e-05. Ours is exact; it lies between the two.
    first = np.repeat([1, 1, 0, 0], [794, 150, 86, 570]).astype(bool)
    second = np.repeat([1, 0, 1, 0], [794, 150, 86, 570]).astype(bool)
    found = mcnemar_exact(first, second)
    assert (found.b, found.c) == (150, 86)
    asymptotic, corrected = chi2.sf([64**2 / 236, 63**2 / 236], 1)
    assert (asymptotic, corrected) == pytest.approx((3.099e-05, 4.115e-05), abs=5e-9)
    assert asymptotic < found.p < corrected
    assert mcnemar_p(150, 86, mid_p=True) == pytest.approx(asymptotic, rel=0.1)


def test_net_benefit_of_the_paper_that_introduced_it() -> None:
    # Vickers & Elkin 2006, doi 10.1177/0272989X06295361: 902 men, 87 with seminal vesicle invasion; at a
    # threshold of 10% the model finds 65 and flags 225 without it: net benefit 0.0443; treating all -0.0039.
    event = np.arange(902) < 87
    probability = np.where(event, np.arange(902) < 65, np.arange(902) < 87 + 225) * 0.2
    model, everyone, nobody = decision_curve(probability, event, np.array([0.1]))[0]
    assert (model, everyone, nobody) == pytest.approx((0.0443, -0.0039, 0), abs=5e-5)
    assert net_benefit(probability, event, 0.1, np.ones((1, 902)))[0] == model


def test_external_validation_of_the_covid_model() -> None:
    # Riley et al. 2024, doi 10.1136/bmj-2023-074821: deterioration in COVID-19, prevalence 0.43, C 0.77; O/E
    # with an interval of width 0.22 takes 423 patients, C of width 0.1 takes 347.
    factor = 0.11 + np.sqrt(1 + 0.11**2)  # its interval around 1 is factor - 1/factor = 0.22 wide
    assert planning.patients_for_observed_expected(0.43, factor) == 423
    assert planning.patients_for_auroc(0.43, 0.77, 0.1) == 347


def test_external_validation_of_the_heart_valve_model() -> None:
    # pmvalsampsize (Ensor 2023, the authors' program for Riley et al. 2021): mechanical heart valve failure,
    # prevalence 0.018, C 0.8: O/E of width 1 takes 905, C 4252; the slope 4544 with LP ~ N(-5, 2.5) and 17080
    # where only C is known. The program draws its LP at random: within 0.5% of the integral.
    golden = (1 + np.sqrt(5)) / 2  # factor - 1/factor = 1
    assert planning.patients_for_observed_expected(0.018, golden) == pytest.approx(905, abs=1)
    assert planning.patients_for_auroc(0.018, 0.8, 0.1) == 4252
    assert planning.patients_for_slope(-5, 2.5, 0.2) == pytest.approx(4544, rel=0.005)
    assert planning.patients_for_slope_of_auroc(0.018, 0.8, 0.2) == pytest.approx(17080, rel=0.005)


def test_o_e_and_c_in_the_text_of_riley_2021() -> None:
    # Riley et al. 2021, doi 10.1002/sim.9025, sections 3.1.1 and 3.3.1 (SE 0.051 and 0.0255).
    width = 2 * 1.959964 * 0.051
    found = [planning.patients_for_observed_expected(p, np.exp(width / 2)) for p in (0.5, 0.1)]
    assert found == pytest.approx([385, 3461], abs=1)
    assert planning.patients_for_auroc(0.1, 0.7, width / 2) == pytest.approx(1154, abs=2)


def test_an_operating_point_is_that_of_a_calibrated_model() -> None:
    # Not published: drawn. At prevalence 0.2 and C 0.75 a calibrated model's share of events among the
    # flagged and the unflagged must be what its probabilities say.
    rng = np.random.default_rng(0)
    event = rng.random(400_000) < 0.2
    variance = 2 * 0.6744898**2  # probit(0.75)
    lp = rng.normal(logit(0.2) + np.where(event, variance, -variance) / 2, np.sqrt(variance))
    flagged = lp >= logit(0.3)
    expected = planning.operating_point(0.2, 0.75, 0.3)
    assert expected == pytest.approx((flagged[event].mean(), (~flagged)[~event].mean()), abs=0.005)
    assert event[flagged].mean() == pytest.approx((1 / (1 + np.exp(-lp[flagged]))).mean(), abs=0.005)
