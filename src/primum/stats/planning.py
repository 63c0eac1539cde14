"""Planning a holdout before any data is collected: how many patients each question needs.

Formulas for external validation of a prediction model: Riley et al. 2021, doi 10.1002/sim.9025, with the
worked example of Riley et al. 2024, doi 10.1136/bmj-2023-074821. Alphas are two-sided; `prevalence` is the
share of patients with the event.

Where of the linear predictor (LP) only the AUROC is known, events and non-events are taken to have normal LPs
of equal variance s^2 = 2 probit(AUROC)^2 (Riley et al. 2021, section 4.6.3). A calibrated model then has the
means logit(prevalence) - s^2/2 without and logit(prevalence) + s^2/2 with the event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from primum.errors import BadInput
from primum.stats.power import mcnemar_sample_size, paired_sample_size


@dataclass(frozen=True)
class Requirement:
    """One question that the holdout shall answer, and the patients that it takes."""

    question: str
    patients: int
    source: str


def patients_for_events(prevalence: float, events: int = 100) -> int:
    """Patients until `events` with and without the event are expected.

    Collins et al. 2016, doi 10.1002/sim.6787.
    """
    _check_share(prevalence, "prevalence")
    return math.ceil(events / min(prevalence, 1 - prevalence))


def patients_for_observed_expected(prevalence: float, factor: float, alpha: float = 0.05) -> int:
    """Patients until O/E is known within a `factor` either way: SE(ln O/E)^2 = (1 - prev)/(n prev)."""
    _check_share(prevalence, "prevalence")
    if not factor > 1:
        raise BadInput(f"the factor must be greater than 1, not {factor:g}")
    se = math.log(factor) / _z(alpha)
    return math.ceil((1 - prevalence) / (prevalence * se**2))


def patients_for_slope(mean: float, sd: float, width: float, alpha: float = 0.05) -> int:
    """Patients until the interval of the calibration slope is `width` wide.

    mean, sd: of the linear predictor logit(p), taken to be normal.
    """
    return _patients_for_slope([(1.0, mean)], sd, width, alpha)


def patients_for_slope_of_auroc(prevalence: float, auroc: float, width: float, alpha: float = 0.05) -> int:
    """The same where only prevalence and AUROC can be foreseen (see the module)."""
    means, sd = _normal_predictors(prevalence, auroc)
    return _patients_for_slope(list(zip((1 - prevalence, prevalence), means, strict=True)), sd, width, alpha)


def _patients_for_slope(parts: list[tuple[float, float]], sd: float, width: float, alpha: float) -> int:
    """For a mixture of normal LPs, (share, mean) each: n = I_a / (SE^2 (I_a I_b - I_ab^2)).

    I is the Fisher information of a calibrated model, by Gauss-Hermite quadrature.
    """
    if not (sd > 0 and width > 0 and all(math.isfinite(mean) for _, mean in parts)):
        raise BadInput("the linear predictor needs a mean, and an sd and an interval's width greater than 0")
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights /= weights.sum()
    lp = np.concatenate([mean + sd * nodes for _, mean in parts])
    v = np.concatenate([share * weights for share, _ in parts]) * expit(lp) * (1 - expit(lp))
    i_a, i_ab, i_b = float(v.sum()), float(v @ lp), float(v @ lp**2)
    se = width / (2 * _z(alpha))
    return math.ceil(i_a / (se**2 * (i_a * i_b - i_ab**2)))


def _normal_predictors(prevalence: float, auroc: float) -> tuple[tuple[float, float], float]:
    """Means of the linear predictor without and with the event, and its sd within each."""
    _check_share(prevalence, "prevalence")
    if not 0.5 < auroc < 1:
        raise BadInput(f"the AUROC must lie between 0.5 and 1, not {auroc:g}")
    variance = 2 * float(norm.ppf(auroc)) ** 2
    middle = float(logit(prevalence))
    return (middle - variance / 2, middle + variance / 2), math.sqrt(variance)


def operating_point(prevalence: float, auroc: float, threshold: float) -> tuple[float, float]:
    """Sensitivity and specificity at a probability threshold of a calibrated model of this AUROC."""
    _check_share(threshold, "threshold")
    (without, with_event), sd = _normal_predictors(prevalence, auroc)
    cut = float(logit(threshold))
    return float(norm.sf((cut - with_event) / sd)), float(norm.cdf((cut - without) / sd))


def patients_for_auroc(prevalence: float, auroc: float, width: float, alpha: float = 0.05) -> int:
    """Patients until the interval of the AUROC is `width` wide (Newcombe 2006, doi 10.1002/sim.2324)."""
    _check_share(prevalence, "prevalence")
    _check_share(auroc, "AUROC")
    se = width / (2 * _z(alpha))

    def variance(n: int) -> float:
        half = n / 2 - 1
        spread = 1 + half * (1 - auroc) / (2 - auroc) + half * auroc / (1 + auroc)
        return auroc * (1 - auroc) * spread / (n**2 * prevalence * (1 - prevalence))

    low, high = 2, 4
    while variance(high) > se**2:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if variance(middle) <= se**2 else (middle, high)
    return high


def patients_for_net_benefit(  # noqa: PLR0913 - the formula's terms
    prevalence: float,
    sensitivity: float,
    specificity: float,
    threshold: float,
    width: float,
    alpha: float = 0.05,
) -> int:
    """Patients until the interval of net benefit / prevalence is `width` wide."""
    for value, name in ((prevalence, "prevalence"), (threshold, "threshold")):
        _check_share(value, name)
    if not (0 <= sensitivity <= 1 and 0 <= specificity <= 1):
        raise BadInput(
            f"sensitivity and specificity lie between 0 and 1, not {sensitivity:g}, {specificity:g}"
        )
    odds = (1 - prevalence) / prevalence * threshold / (1 - threshold)
    variance = (
        sensitivity * (1 - sensitivity) / prevalence
        + odds**2 * specificity * (1 - specificity) / (1 - prevalence)
        + odds**2 * (1 - specificity) ** 2 / (prevalence * (1 - prevalence))
    )
    return math.ceil(variance / (width / (2 * _z(alpha))) ** 2)


def plan_holdout(  # noqa: PLR0913 - a plan has this many assumptions, each named at the call
    *,
    prevalence: float,
    effect: float,
    margin: float,
    discordance: float,
    discordance_classical: float,
    alpha: float,
    power: float = 0.8,
    auroc: float = 0.8,
    predictor: tuple[float, float] | None = None,
    thresholds: tuple[float, ...] = (),
) -> tuple[Requirement, ...]:
    """What a holdout needs for each check of the gate; the largest number decides.

    effect: gain over the base that matters; margin: allowed loss; discordance, discordance_classical:
    expected shares of patients on whom candidate and base, candidate and classical model differ; alpha: of
    one look; predictor: mean and sd of the linear predictor, where known; thresholds: probabilities from which
    the clinic acts.
    """
    both = max(discordance, effect)
    base = mcnemar_sample_size((both + effect) / 2, (both - effect) / 2, alpha, power)
    classical = paired_sample_size(discordance_classical, margin, alpha, power)
    return (
        Requirement(f"better than the base by {effect:g} (exact McNemar)", base, "Connett et al. 1987"),
        Requirement(f"not worse than the classical model by {margin:g}", classical, "Liu et al. 2002"),
        Requirement(
            "calibration-in-the-large: O/E within a factor of 1.25",
            patients_for_observed_expected(prevalence, 1.25),
            "Riley et al. 2021",
        ),
        Requirement(
            f"AUROC {auroc:g} within 0.05 either way",
            patients_for_auroc(prevalence, auroc, 0.1),
            "Newcombe 2006, Riley et al. 2021",
        ),
        Requirement(
            "calibration slope within 0.2 either way",
            patients_for_slope(*predictor, width=0.4)
            if predictor
            else patients_for_slope_of_auroc(prevalence, auroc, 0.4),
            "Riley et al. 2021",
        ),
        Requirement("100 events and 100 non-events", patients_for_events(prevalence), "Collins et al. 2016"),
        *(net_benefit_requirement(prevalence, t, *operating_point(prevalence, auroc, t)) for t in thresholds),
    )


def net_benefit_requirement(
    prevalence: float, threshold: float, sensitivity: float, specificity: float
) -> Requirement:
    """Net benefit at a threshold, over the prevalence, known within 0.1 either way."""
    n = patients_for_net_benefit(prevalence, sensitivity, specificity, threshold, width=0.2)
    question = f"standardised net benefit at {threshold:g} within 0.1 either way"
    return Requirement(question, n, "Riley et al. 2021")


def _z(alpha: float) -> float:
    return float(norm.ppf(1 - alpha / 2))


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise BadInput(f"the {name} must lie between 0 and 1, not {value:g}")
