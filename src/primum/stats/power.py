"""How many patients a comparison needs, and what it can show with those it has.

Alphas are two-sided. Discordance is the share of patients on whom two systems differ in correctness; an
effect is a difference in a metric (0.05 = five points).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr
from scipy.stats import binom, norm

from primum.errors import BadInput

Ints = NDArray[np.integer[Any]]


def z_sum(alpha: float, power: float) -> float:
    """z(1 - alpha/2) + z(power): how many standard errors an effect must measure to be shown."""
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power))


def critical_losses(discordant: Ints, alpha: float) -> Ints:
    """Most losses among `discordant` (m,) >= 1 pairs at which exact McNemar still rejects; -1 for never."""
    largest = int(discordant.max())
    if largest > 2**14:
        return _critical(discordant, alpha)
    return _critical_table(1 << largest.bit_length(), alpha)[discordant]


@lru_cache(maxsize=64)
def _critical_table(size: int, alpha: float) -> Ints:
    return _critical(np.arange(size), alpha)


def _critical(discordant: Ints, alpha: float) -> Ints:
    guess = binom.ppf(alpha / 2, discordant, 0.5)
    return (guess - (2 * binom.cdf(guess, discordant, 0.5) > alpha)).astype(int)


def mcnemar_power(n: int, wins: float, losses: float, alpha: float) -> float:
    """Probability that exact McNemar on n pairs favours A at two-sided alpha.

    wins, losses: probabilities that only A, only B is right. Unconditional: summed over the number of
    discordant pairs (Connett, Smith & McHugh 1987, doi 10.1002/sim.4780060105).
    """
    discordance = wins + losses
    if not (wins >= 0 and losses >= 0 and 0 <= discordance <= 1):
        raise BadInput("wins and losses must be probabilities with a sum of at most 1")
    if discordance == 0:
        return 0.0
    mean, reach = n * discordance, 8 * math.sqrt(n * discordance * (1 - discordance)) + 8
    totals = np.arange(max(1, math.floor(mean - reach)), min(n, math.ceil(mean + reach)) + 1)
    critical = critical_losses(totals, alpha)
    favouring = np.where(critical >= 0, bdtr(np.maximum(critical, 0), totals, losses / discordance), 0.0)
    return float((binom.pmf(totals, n, discordance) * favouring).sum())


def mcnemar_sample_size(
    wins: float, losses: float, alpha: float, power: float, limit: int = 1_000_000
) -> int:
    """Pairs that exact McNemar needs. Raises BadInput when `limit` pairs are not enough."""
    if wins <= losses:
        raise BadInput("an effect must favour A: give wins greater than losses")
    discordance, effect = wins + losses, wins - losses
    guess = (
        norm.ppf(1 - alpha / 2) * math.sqrt(discordance)
        + norm.ppf(power) * math.sqrt(discordance - effect**2)
    ) ** 2 / effect**2
    low, high = 1, max(4, math.ceil(guess))
    while high <= limit and mcnemar_power(high, wins, losses, alpha) < power:
        low, high = high, high * 2
    if high > limit:
        raise BadInput(f"more than {limit} pairs would be needed; the effect is too small to be shown")
    while low < high:
        middle = (low + high) // 2
        reached = mcnemar_power(middle, wins, losses, alpha) >= power
        low, high = (low, middle) if reached else (middle + 1, high)
    return high


def mcnemar_mde(n: int, discordance: float, alpha: float, power: float) -> float:
    """The smallest difference in accuracy that exact McNemar on n pairs would show; 1 where it shows none.

    A difference needs at least its own size of discordance, so the discordance grows with it where it must.
    """
    low, high = 0.0, 1.0

    def shown(effect: float) -> bool:
        both = max(discordance, effect)
        return mcnemar_power(n, (both + effect) / 2, (both - effect) / 2, alpha) >= power

    if not shown(high):
        return 1.0
    for _ in range(14):  # to 0.0001
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def paired_mde(se: float, alpha: float, power: float) -> float:
    """Minimum detectable effect of an interval test whose difference has this standard error."""
    return z_sum(alpha, power) * se


def labels_needed(patients: int, se: float, effect: float, alpha: float, power: float) -> int:
    """How many more patients until an effect of this size would be shown; 0 where there are enough.

    The standard error falls with the square root of the number of patients.
    """
    if not effect > 0:
        raise BadInput(f"the effect must be greater than 0, not {effect:g}")
    if not math.isfinite(se):
        raise BadInput("the standard error is undefined; nothing can be planned from it")
    return max(0, math.ceil(patients * (paired_mde(se, alpha, power) / effect) ** 2) - patients)


def wilson(successes: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    if n <= 0:
        raise BadInput("a proportion needs at least one patient")
    z = float(norm.ppf(1 - alpha / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return 0.0 if successes == 0 else max(0.0, centre - half), min(1.0, centre + half)


def paired_sample_size(discordance: float, effect: float, alpha: float, power: float) -> int:
    """Patients that show a difference of `effect` in accuracy, or equal systems within that margin.

    n = (z(1-alpha/2) + z(power))^2 discordance / effect^2: the variance of a paired difference of proportions
    near no difference (Liu et al. 2002, doi 10.1002/sim.1012).
    """
    if not (0 < discordance <= 1 and 0 < effect < 1):
        raise BadInput("discordance and effect must lie between 0 and 1")
    return math.ceil(z_sum(alpha, power) ** 2 * discordance / effect**2)


@dataclass(frozen=True)
class SplitPlan:
    """What a holdout of one size can show."""

    share: float
    patients: int
    """Patients in the holdout."""
    superiority_mde: float
    """Smallest gain in accuracy that exact McNemar would show."""
    margin_mde: float
    """Smallest margin within which equal systems would be shown not to differ."""
    enough: bool
    """Whether both effects of interest can be judged."""


def plan_split(  # noqa: PLR0913 - a design has this many parts
    patients: int,
    *,
    effect: float,
    margin: float,
    discordance_base: float,
    discordance_classical: float,
    alpha: float,
    power: float = 0.8,
    shares: tuple[float, ...] = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
) -> tuple[SplitPlan, ...]:
    """What each holdout share can show, smallest first: take the first that is enough.

    effect: gain over the base that matters; margin: allowed loss against the classical model. The
    discordances are the expected shares of patients on whom candidate and base, candidate and classical model
    differ.
    """
    plans = []
    for share in shares:
        n = round(patients * share)
        gain = mcnemar_mde(n, discordance_base, alpha, power)
        loss = paired_mde(math.sqrt(discordance_classical / n), alpha, power)
        plans.append(SplitPlan(share, n, gain, loss, gain <= effect and loss <= margin))
    return tuple(plans)
