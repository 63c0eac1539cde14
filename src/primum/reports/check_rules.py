"""When each check of the gate passes, in words with the numbers of its configuration."""

from __future__ import annotations

from collections.abc import Callable

from primum.config.gate import MarginCheck
from primum.reports import tables
from primum.reports.facts import RunFacts
from primum.reports.shown import Shown


def _margin(check: MarginCheck, facts: Shown) -> str:
    if check.superiority:
        return f"lower bound of the difference in {metric(facts)} above 0, and exact McNemar in its favour"
    return f"lower bound of the difference in {metric(facts)} above -{check.margin:g}"


def metric(facts: Shown) -> str:
    """The primary metric inside a sentence."""
    return tables.metric(facts.primary_metric)


def marks(facts: Shown) -> str:
    """The declared decision thresholds; empty where there are none."""
    return ", ".join(f"{t:g}" for t in facts.decision_thresholds)


def _net_benefit(facts: Shown) -> str:
    if not facts.decision_thresholds:
        return "no decision threshold is declared, so it passes without being asked"
    return f"at {marks(facts)} the net benefit is not below treating all and treating none"


def _coverage(facts: Shown) -> str:
    check = facts.gate.coverage
    referred = (
        f", and at most {check.max_referred:g} are referred to a human" if check.max_referred < 1 else ""
    )
    least = check.target - check.tolerance
    return f"lower bound of the share of label sets that hold the truth above {least:g}{referred}"


def _latency(facts: Shown) -> str:
    budget = facts.config.task.latency_p95_ms if isinstance(facts, RunFacts) else None
    if budget is None:
        return "no budget is set, so it passes without being asked"
    return f"95% of the answers within {budget:g} ms"


RULES: dict[str, Callable[[Shown], str]] = {
    "leakage": lambda f: "training and holdout share no patient, feature row or near-duplicate text",
    "parsed": lambda f: f"at least {f.gate.parsed.min_share:g} of the answers can be read",
    "beats_base": lambda f: (
        f"lower bound of the gain in {metric(f)} over the base above 0, and exact McNemar "
        "over patients in its favour"
    ),
    "beats_majority": lambda f: (
        "lower bound of the gain in balanced accuracy over the most frequent class above "
        "0, and accuracy not below it"
    ),
    "not_worse_than_classical": lambda f: (
        _margin(f.gate.not_worse_than_classical, f)
        + ", against the classical model that was best on validation"
    ),
    "not_worse_than_champion": lambda f: (
        _margin(f.gate.not_worse_than_champion, f)
        + ", against the model in production, scored anew; passes where there is none"
    ),
    "not_worse_than_anchor": lambda f: (
        _margin(f.gate.not_worse_than_anchor, f)
        + ", against the first promoted model; passes where there is none"
    ),
    "balance": lambda f: (
        f"recall and specificity (or the classes' recalls) differ by at most {f.gate.balance.max_gap:g}"
    ),
    "calibration": lambda f: (
        f"observed over expected events within {f.gate.calibration.min_observed_expected:g} "
        f"and {f.gate.calibration.max_observed_expected:g}, Brier at most {f.gate.calibration.brier_margin:g} worse "
        "than the best classical model's"
    ),
    "coverage": _coverage,
    "net_benefit": _net_benefit,
    "subgroups": lambda f: (
        f"in every subgroup with {f.gate.subgroups.min_events} records of each class "
        f"the lower bound of the difference in {metric(f)} is above -{f.gate.subgroups.margin:g}, against "
        "production or else the base; smaller ones are not assessed"
    ),
    "privacy": lambda f: (
        "training records told from holdout records, by the loss alone and against the base's: upper bound of the "
        f"AUROC at most {f.gate.privacy.max_auroc:g}; an adapter trained with canaries never passes"
    ),
    "latency": _latency,
}
"""Check -> when it passes; every check of the gate stands here."""
