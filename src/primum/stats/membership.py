"""What a model gives away of whom it learned from: membership inference, and the exposure of planted canaries.

A *score* (n,) is higher the more a record looks like one of the training: the log-probability of its true label
(the negative loss; Yeom et al. 2018, doi 10.1109/CSF.2018.00027), or how far that lies above what a reference
model says that has not seen it (Carlini et al. 2022, arXiv 2112.03570, section VI-D; Mireshghallah et al. 2022,
arXiv 2203.03929). -inf is a record of which nothing could be read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import beta, norm
from scipy.stats import t as student

from primum.errors import BadInput
from primum.stats.delong import components
from primum.stats.intervals import share_interval
from primum.stats.resample import check_level, patient_index, percentile_interval

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

GUESSED = (1.0, 0.5, 0.25)
"""Shares of the canaries, the clearest ones, that an attacker of `epsilon_bound` makes a guess about."""


@dataclass(frozen=True)
class Membership:
    """AUROC of telling members from others, its two-sided interval and its standard error."""

    auroc: float
    lower: float
    upper: float
    se: float


@dataclass(frozen=True)
class TruePositives:
    """Share of the members that are found where at most a given share of the others is taken for one."""

    tpr: float
    lower: float
    upper: float
    fpr: float
    """As reached, at most the one asked for."""


@dataclass(frozen=True)
class Exposure:
    """Mean exposure of the planted canaries, in bits, with its two-sided interval."""

    mean: float
    lower: float
    upper: float
    most: float
    """The largest one."""


def membership(
    members: Floats,
    others: Floats,
    alpha: float,
    *,
    member_patients: NDArray[Any] | None = None,
    other_patients: NDArray[Any] | None = None,
) -> Membership:
    """AUROC of scores of members (m,) against others (n,), ties half, with an interval over patients.

    No patient is both. The variance is that of structural components summed by patient (DeLong et al. 1988;
    clustered: Obuchowski 1997, doi 10.2307/2533958); the interval is built on the logit scale (Pepe 2003, section
    5.2) with Student's t on the smaller number of patients less one. Scores that are all alike get the variance
    of Hanley & McNeil instead of none; where all pairs are ordered alike the open end is what that many
    patients could hide, (alpha / 2) ** (1 / patients). Raises BadInput with fewer than 2 patients on either side.
    """
    check_level(alpha, 100)
    sides = [(members, member_patients), (others, other_patients)]
    patients = [patient_index(np.arange(s.size) if p is None else np.asarray(p)) for s, p in sides]
    fewest = min(count for _, count in patients)
    if fewest < 2:
        raise BadInput("membership inference needs at least 2 patients in training and 2 outside of it")
    auroc, inside, outside = components(
        np.arange(members.size + others.size) < members.size, np.concatenate([members, others])
    )
    se = math.sqrt(_variance(inside, auroc, *patients[0]) + _variance(outside, auroc, *patients[1]))
    if auroc in (0.0, 1.0):
        hidden = (alpha / 2) ** (1 / fewest)
        return Membership(auroc, hidden if auroc else 0.0, 1.0 if auroc else 1 - hidden, se)
    se = se or math.sqrt(auroc_variance(auroc, patients[0][1], patients[1][1]))
    half = float(student.ppf(1 - alpha / 2, fewest - 1)) * se / (auroc * (1 - auroc))
    return Membership(auroc, float(expit(logit(auroc) - half)), float(expit(logit(auroc) + half)), se)


def _variance(parts: Floats, auroc: float, patient: Ints, count: int) -> float:
    """Of one side's part in the AUROC: components (m,) summed by patient."""
    off = np.bincount(patient, weights=parts - auroc, minlength=count)
    return float((off**2).sum()) * count / (count - 1) / parts.size**2


def auroc_variance(auroc: float, members: int, others: int) -> float:
    """Variance of an AUROC of independent records (Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747)."""
    both, one = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = (members - 1) * (both - auroc**2) + (others - 1) * (one - auroc**2)
    return (auroc * (1 - auroc) + spread) / (members * others)


def records_needed(auroc: float, half: float, alpha: float, power: float = 0.5) -> int:
    """Members, and as many others, until an AUROC is known to within `half`.

    With power above 0.5 it is the number at which a model of that AUROC is shown to lie less than `half` away
    from it with that probability. Raises BadInput unless 0 < auroc < 1 and half > 0.
    """
    if not (0 < auroc < 1 and half > 0):
        raise BadInput("the AUROC must lie between 0 and 1, and the half-width above 0")
    wanted = half / float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
    low, high = 1, 2
    while auroc_variance(auroc, high, high) > wanted**2:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = auroc_variance(auroc, middle, middle) <= wanted**2
        low, high = (low, middle) if enough else (middle, high)
    return high


def true_positives(
    members: Floats,
    others: Floats,
    fpr: float,
    alpha: float,
    *,
    member_patients: NDArray[Any] | None = None,
) -> TruePositives | None:
    """Share of the members (m,) above the threshold that at most a share `fpr` of the others (n,) exceeds.

    An average such as the AUROC hides an attack that is sure of a few (Carlini et al. 2022). Ties are not
    exceeded. The interval is exact over members (`share_interval`); the threshold is taken as given. None where
    `fpr` is less than one of the others.
    """
    allowed = math.floor(fpr * others.size + 1e-9)
    if allowed < 1 or not members.size:
        return None
    threshold = np.sort(others)[::-1][min(allowed, others.size - 1)]
    found = members > threshold
    patients = np.arange(members.size) if member_patients is None else np.asarray(member_patients)
    known = share_interval(found, patients, alpha)
    reached = float((others > threshold).mean())
    return TruePositives(float(found.mean()), known.lower, known.upper, reached)


def exposures(planted: Floats, reference: Floats, *, ties_before: bool) -> Floats:
    """Exposure (k,) in bits of canaries (k,) that were planted, ranked among reference ones (r,) that were not.

    log2 |R| - log2 rank with |R| = r + 1 (Carlini et al. 2019, "The Secret Sharer", section 4.3). A canary that
    left no trace has 1 / ln 2 = 1.44 bits on average. `ties_before`: a tied reference ranks before the planted
    one, which makes the exposure least; else after it.
    """
    better = _better(planted, reference, ties_before)
    return np.asarray(math.log2(reference.size + 1) - np.log2(1.0 + better.sum(0)))


def _better(planted: Floats, reference: Floats, ties_before: bool) -> NDArray[np.bool_]:
    """(r, k): which reference canary ranks before which planted one."""
    above, wanted = reference[:, None], planted[None, :]
    return np.asarray(above >= wanted if ties_before else above > wanted)


def mean_exposure(
    planted: Floats, reference: Floats, alpha: float, resamples: int, rng: np.random.Generator
) -> Exposure:
    """Mean exposure with a percentile interval, planted (k,) and reference canaries (r,) resampled alike.

    Of ties the lower end assumes the least and the upper end the most; the mean is halfway.
    """
    check_level(alpha, resamples)
    k, r = planted.size, reference.size
    drawn = rng.multinomial(k, np.full(k, 1 / k), resamples), rng.multinomial(r, np.full(r, 1 / r), resamples)

    def replicates(ties_before: bool) -> Floats:
        ranks = 1.0 + drawn[1] @ _better(planted, reference, ties_before)
        return np.asarray((drawn[0] * (math.log2(r + 1) - np.log2(ranks))).mean(1))

    least, most = (exposures(planted, reference, ties_before=before) for before in (True, False))
    return Exposure(
        mean=float((least + most).mean() / 2),
        lower=percentile_interval(replicates(True), alpha)[0],
        upper=percentile_interval(replicates(False), alpha)[1],
        most=float(most.max()),
    )


def epsilon_bound(planted: Floats, reference: Floats, alpha: float) -> float:
    """Lower bound, in nats, of the epsilon of any pure differential privacy that the training can have had.

    The one-run audit of Steinke, Nasr & Jagielski 2023 (arXiv 2305.08846, theorem 5.2 at delta 0): each canary
    was planted by the toss of a fair coin; of the clearest scores the upper half is guessed to be planted and
    the lower not; under epsilon the number of right guesses is at most binomial with p = e^eps / (1 + e^eps).
    Ties count as wrong guesses. alpha is one-sided and divided over the numbers of guesses that are tried.
    """
    coin = np.concatenate([np.ones(planted.size, bool), np.zeros(reference.size, bool)])
    scores = np.concatenate([planted, reference])
    lows = [0.5]
    for share in GUESSED:
        each = math.floor(share * scores.size / 2)
        if each:
            top = np.lexsort((coin, -scores))[:each]
            rest = np.setdiff1d(np.arange(scores.size), top)
            bottom = rest[np.lexsort((~coin[rest], scores[rest]))[:each]]
            right = int(coin[top].sum() + (~coin[bottom]).sum())
            lows.append(float(beta.ppf(alpha / len(GUESSED), right, 2 * each - right + 1)) if right else 0.0)
    return float(logit(max(lows)))
