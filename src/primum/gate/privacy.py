"""The check of memory: can training records be told from others by what the candidate says of them?

Two attacks on the true label's log-probability: alone, and less that of the base, which has not seen the record.
The check passes when the upper bound of both AUROCs lies at or below `max_auroc` and fails when a lower bound lies
above it; each interval is at half the look's alpha. An adapter that was trained with canaries can fail, on their
exposure too, and never pass: it holds records that are false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from primum.gate.case import (
    CANDIDATE,
    MIN_PATIENTS,
    Case,
    Statistics,
    for_precision,
    level,
    more,
    obstacle,
    result,
    unjudged,
)
from primum.records import CheckResult, Signals
from primum.stats.membership import (
    Floats,
    Membership,
    TruePositives,
    epsilon_bound,
    mean_exposure,
    membership,
    records_needed,
    true_positives,
)

NAME = "privacy"
ATTACKS = {"loss": "by the loss", "loss_difference": "by the loss against the base's"}
RATES = (0.01, 0.1)
"""False-positive rates at which the share of members found is told."""
NEAR = 0.005
"""An AUROC this close to the limit is not resolved by any number of records that one could ask for."""


def privacy(case: Case) -> CheckResult:
    """Training records cannot be told from holdout records much better than by tossing a coin."""
    found, audit = _records(case), case.privacy
    if audit is None or audit.planted is None or audit.reference is None:
        return found
    return _audited_only(case, audit.planted, audit.reference, found)


def _records(case: Case) -> CheckResult:
    audit, why = case.privacy, obstacle(case, CANDIDATE)
    if why is None and audit is None:
        why = "what the candidate says of its training records is not known"
    if why is None and audit is not None:
        why = audit.unlike
    if why is not None or audit is None or audit.members is None or audit.others is None:
        return unjudged(case, NAME, why or "no training record was scored")
    fewest = min(len(set(side.patients)) for side in (audit.members, audit.others))
    if fewest < MIN_PATIENTS:
        return unjudged(case, NAME, f"{fewest} patients can be compared, and {MIN_PATIENTS} are needed")
    return _judged(case, audit.members, audit.others)


@dataclass(frozen=True)
class _Attack:
    name: str
    found: Membership
    rates: dict[float, TruePositives]
    """False-positive rate asked for -> members found; without those that the holdout is too small for."""

    @property
    def statistics(self) -> Statistics:
        made: Statistics = {
            f"{self.name}|auroc": self.found.auroc,
            f"{self.name}|lower": self.found.lower,
            f"{self.name}|upper": self.found.upper,
        }
        for rate, known in self.rates.items():
            key = f"{self.name}|tpr_at_{rate:g}"
            made |= {key: known.tpr, f"{key}_lower": known.lower, f"{key}_upper": known.upper}
        return made


def _judged(case: Case, members: Signals, others: Signals) -> CheckResult:
    limit = case.config.privacy.max_auroc
    attacks = [_attack(case, name, members, others) for name in ATTACKS]
    worst = max(attacks, key=lambda attack: attack.found.auroc)
    clauses = "; ".join(f"{ATTACKS[a.name]} AUROC {_interval(a.found)}" for a in attacks)
    clause = (
        f"{len(members.adapter)} training against {len(others.adapter)} holdout records, {clauses} "
        f"({level(case.alpha)} intervals, both together), at most {limit:g} is allowed"
    )
    statistics: Statistics = {
        "members": len(members.adapter),
        "others": len(others.adapter),
        "max_auroc": limit,
        **{key: value for attack in attacks for key, value in attack.statistics.items()},
    }
    if all(attack.found.upper <= limit for attack in attacks):
        reason = f"Training records can hardly be told from others: {clause}.{_found(worst)}"
        return result(case, NAME, "pass", reason, statistics)
    if any(attack.found.lower > limit for attack in attacks):
        reason = f"The adapter remembers its training records: {clause}.{_found(worst)} Train it less."
        return result(case, NAME, "fail", reason, statistics)
    needed = _needed(case, len(set(others.patients)), attacks)
    reason = f"Cannot tell whether the adapter remembers its training records: {clause}.{more(needed)}"
    return result(case, NAME, "hold", reason, statistics, needed)


def _attack(case: Case, name: str, members: Signals, others: Signals) -> _Attack:
    inside, outside = _scores(members, name), _scores(others, name)
    patients = np.array(members.patients)
    found = membership(
        inside, outside, case.alpha / 2, member_patients=patients, other_patients=np.array(others.patients)
    )
    rates = {r: true_positives(inside, outside, r, case.alpha, member_patients=patients) for r in RATES}
    return _Attack(name, found, {rate: known for rate, known in rates.items() if known is not None})


def _scores(signals: Signals, name: str) -> Floats:
    """(n,) higher is more like a member; what could not be read looks like none."""
    adapter, base = (
        np.array([-math.inf if value is None else value for value in side])
        for side in (signals.adapter, signals.base)
    )
    if name == "loss":
        return adapter
    read = np.isfinite(adapter) & np.isfinite(base)
    return np.where(read, adapter - np.where(read, base, 0.0), -math.inf)


def _interval(found: Membership) -> str:
    return f"{found.auroc:.3f} ({found.lower:.3f} to {found.upper:.3f})"


def _found(attack: _Attack) -> str:
    """How many members the better attack is sure of, where the holdout is large enough to say."""
    for rate, known in attack.rates.items():
        return f" At {rate:.0%} false alarms {known.tpr:.1%} of the training records are found."
    return ""


def _needed(case: Case, patients: int, attacks: list[_Attack]) -> int | None:
    """More patients until the limit is told from what was seen, or from no memory at all, whichever takes more."""
    limit, needed = case.config.privacy.max_auroc, []
    for attack in attacks:
        off = abs(attack.found.auroc - limit)
        half = max(attack.found.upper - attack.found.auroc, attack.found.auroc - attack.found.lower)
        if not attack.found.lower > limit and attack.found.upper > limit:
            needed.append(for_precision(patients, half, off) if off > NEAR else None)
    planned = records_needed(0.5, limit - 0.5, case.alpha / 2, case.config.power) - patients
    return None if None in needed else max(1, planned, *(n for n in needed if n is not None))


def _audited_only(case: Case, inside: Signals, outside: Signals, found: CheckResult) -> CheckResult:
    """The verdict on an adapter with canaries: required whatever the configuration says, and never a pass."""
    limit, alpha = case.config.privacy.max_exposure, case.alpha
    planted, reference = (_scores(side, "loss_difference") for side in (inside, outside))
    said = (
        f"It was trained with {planted.size} made-up records, to be audited and not to be used: "
        "train again without (model.recipe.canaries: 0)"
    )
    if min(planted.size, reference.size) < MIN_PATIENTS or not alpha > 0:
        return _forced(case, found, found.status == "fail", f"{said}.", {})
    bits = mean_exposure(planted, reference, alpha, case.config.resamples, case.generator(NAME))
    epsilon = epsilon_bound(planted, reference, alpha)
    clause = (
        f"Mean exposure of the canaries {bits.mean:.2f} bits ({level(alpha)} interval {bits.lower:.2f} to "
        f"{bits.upper:.2f}; 1.44 is no trace, at most {limit:g} is allowed), epsilon at least {epsilon:.2f}"
    )
    statistics: Statistics = {
        "planted": planted.size,
        "reference": reference.size,
        "exposure": bits.mean,
        "exposure_lower": bits.lower,
        "exposure_upper": bits.upper,
        "exposure_most": bits.most,
        "max_exposure": limit,
        "epsilon_lower": epsilon,
    }
    return _forced(
        case, found, found.status == "fail" or bits.lower > limit, f"{said}. {clause}.", statistics
    )


def _forced(case: Case, found: CheckResult, failed: bool, said: str, statistics: Statistics) -> CheckResult:
    made = result(case, NAME, "fail" if failed else "hold", f"{said} {found.reason}")
    return made.model_copy(update={"required": True, "statistics": {**found.statistics, **statistics}})
