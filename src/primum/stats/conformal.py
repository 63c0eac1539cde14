"""Split-conformal label sets: which labels cannot be excluded, with a guaranteed coverage of each class.

Score 1 - p(label) ("least ambiguous sets", Sadinle, Lei & Wasserman 2019, doi 10.1080/01621459.2017.1395341),
one threshold per class and site (Mondrian categories: Vovk, Gammerman & Shafer 2005, section 4.5). Per class,
because a coverage over all records can be met by never naming a rare disease. Ours rather than a library's:
docs/decisions/0009-conformal.md.

The promise holds on average over validation sets, for new patients that are exchangeable with the validation
patients of their class and site. Of a patient with several records of a class the worst score counts, so that
records of one patient are not taken for independent evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from primum.errors import BadInput
from primum.records import Frozen
from primum.stats.calibration import check_log_probs

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Basis = Literal["site", "pooled", "pooled (site never seen)"]

EVERY_LABEL = 1.0
"""The threshold that excludes nothing, for 1 - p never exceeds it: the answer where too few were seen."""


class Conformal(Frozen):
    """Fitted thresholds: a label is in the set where 1 - p(label) is at most its threshold at the site."""

    coverage: float
    """The share of each class's patients whose set holds their label, as promised."""
    pooled: tuple[float, ...]
    """Threshold of each label over all sites; 1 (never excluded) where its class had too few patients."""
    sites: dict[str, tuple[float, ...]] = {}
    """Site -> its own thresholds, where it had enough patients of every class."""
    patients: dict[str, tuple[int, ...]]
    """Site -> validation patients of each class: what the thresholds rest on."""

    def basis(self, site: str) -> Basis:
        """Whose thresholds a record of the site gets: its own, or the pooled ones."""
        if site in self.sites or [site] == list(self.patients):  # of one site, pooled is its own
            return "site"
        return "pooled" if site in self.patients else "pooled (site never seen)"

    def label_sets(self, log_probs: Floats, sites: Sequence[str]) -> Bools:
        """Which labels cannot be excluded (n, K), from log_probs (n, K). Unreadable rows (NaN) keep all."""
        limits = np.array([self.sites.get(site, self.pooled) for site in sites]).reshape(log_probs.shape)
        scores = 1 - np.exp(log_probs)
        return np.isnan(scores) | (scores <= limits + 1e-12)


def patients_needed(coverage: float) -> int:
    """Patients of a class below which no finite threshold has this coverage: 9 for 0.9, 19 for 0.95."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def fit_conformal(
    log_probs: Floats, gold: Ints, sites: Sequence[str], patients: Sequence[str], coverage: float = 0.9
) -> Conformal:
    """Fit on validation records: log_probs (n, K), gold (n,), sites (n,), patients (n,).

    Each threshold is the ceil((n+1) coverage)-th smallest score of n patients. A site with too few patients
    of any class for that uses the pooled thresholds. Raises BadInput for what cannot be fitted on.
    """
    if not 0 < coverage < 1:
        raise BadInput(f"coverage must lie between 0 and 1, not {coverage:g}")
    check_log_probs(log_probs, gold)
    if not len(sites) == len(patients) == gold.size:
        raise BadInput(f"{len(sites)} sites, {len(patients)} patients, {gold.size} records; give one each")
    held, label, score = _worst_of_patient(log_probs, gold, sites, patients)
    classes, needed = log_probs.shape[1], patients_needed(coverage)
    of_site = {str(s): [score[(held == s) & (label == k)] for k in range(classes)] for s in np.unique(held)}
    own = {s: _thresholds(parts, coverage) for s, parts in of_site.items() if _least(parts) >= needed}
    return Conformal(
        coverage=coverage,
        pooled=_thresholds([score[label == k] for k in range(classes)], coverage),
        sites=own if len(of_site) > 1 else {},
        patients={s: tuple(part.size for part in parts) for s, parts in of_site.items()},
    )


def _worst_of_patient(
    log_probs: Floats, gold: Ints, sites: Sequence[str], patients: Sequence[str]
) -> tuple[NDArray[np.str_], Ints, Floats]:
    """Site, label and largest score of every patient at a site with records of a label."""
    scores = 1 - np.exp(log_probs[np.arange(gold.size), gold])
    keys = np.array(list(zip(sites, patients, map(str, gold), strict=True)), dtype=str)
    kept, index = np.unique(keys, axis=0, return_inverse=True)
    worst = np.full(len(kept), -np.inf)
    np.maximum.at(worst, index.reshape(-1), scores)
    return kept[:, 0], kept[:, 2].astype(int), worst


def _least(parts: Sequence[Floats]) -> int:
    return min(part.size for part in parts)


def _thresholds(parts: Sequence[Floats], coverage: float) -> tuple[float, ...]:
    return tuple(_threshold(part, coverage) for part in parts)


def _threshold(scores: Floats, coverage: float) -> float:
    place = math.ceil((scores.size + 1) * coverage - 1e-9)
    return EVERY_LABEL if place > scores.size else float(np.sort(scores)[place - 1])


def refer_to_human(sets: Bools, predicted: Ints) -> Bools:
    """Records (n,) whose set (n, K) is not exactly the predicted label (n,), -1 = unreadable."""
    alone = (sets.sum(1) == 1) & (predicted >= 0)
    return ~(alone & sets[np.arange(predicted.size), np.maximum(predicted, 0)])
