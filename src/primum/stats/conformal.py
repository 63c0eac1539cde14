"""Split-conformal label sets: which labels cannot be excluded, with a guaranteed coverage.

Ours rather than a library's: the method is one quantile, and the guarantee hangs on details (the (n+1)
correction, the answer for a site without calibration records) that belong in plain sight.

Vovk, Gammerman & Shafer 2005; Sadinle, Lei & Wasserman 2019, doi 10.1080/01621459.2017.1395341 (score
1 - p(label)). Coverage holds on average over validation sets and new records that are exchangeable with them;
records of one patient are not independent, so keep one record per patient in the fit where they are many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput
from primum.stats.calibration import check_log_probs

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Conformal:
    """Fitted thresholds: a label belongs to the set where 1 - p(label) <= threshold of the record's site."""

    coverage: float
    thresholds: dict[str, float]
    """Site -> threshold; infinite (every label) where the site had too few validation records."""

    def threshold(self, site: str) -> float:
        """The site's threshold; infinity, a promise of nothing, where validation had no such site."""
        return self.thresholds.get(site, math.inf)

    def label_sets(self, log_probs: Floats, sites: Sequence[str]) -> Bools:
        """Which labels cannot be excluded (n, K). Unreadable rows (NaN) keep every label."""
        limits = np.array([self.threshold(site) for site in sites])
        scores = 1 - np.exp(log_probs)
        return np.isnan(scores) | (scores <= limits[:, None] + 1e-12)


def fit_conformal(log_probs: Floats, gold: Ints, sites: Sequence[str], coverage: float = 0.9) -> Conformal:
    """Fit one threshold per site on validation: log_probs (n, K), gold (n,), sites (n,).

    The ceil((n+1) coverage)-th smallest score 1 - p(gold). Sites apart, so that coverage holds in each of
    them.
    """
    if not 0 < coverage < 1:
        raise BadInput(f"coverage must lie between 0 and 1, not {coverage:g}")
    check_log_probs(log_probs, gold)
    if len(sites) != gold.size:
        raise BadInput(f"{len(sites)} sites for {gold.size} records; give one each")
    scores = 1 - np.exp(log_probs[np.arange(gold.size), gold])
    held = np.array(sites, dtype=str)
    return Conformal(coverage, {str(s): _threshold(scores[held == s], coverage) for s in np.unique(held)})


def _threshold(scores: Floats, coverage: float) -> float:
    place = math.ceil((scores.size + 1) * coverage - 1e-9)
    return math.inf if place > scores.size else float(np.sort(scores)[place - 1])


def refer_to_human(sets: Bools) -> Bools:
    """Records (n,) whose set (n, K) is not one single label."""
    return sets.sum(1) != 1


def observed_coverage(sets: Bools, gold: Ints) -> float:
    """Share of records whose set holds the gold label."""
    if gold.size == 0:
        raise BadInput("no records: coverage needs at least one")
    return float(sets[np.arange(gold.size), gold].mean())
