"""The check that no declared subgroup is harmed: each site, sex, age band ... with enough events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from primum.gate.case import (
    MIN_PATIENTS,
    Case,
    Statistics,
    end,
    more,
    obstacle,
    result,
    system_words,
    unjudged,
)
from primum.gate.comparisons import compared
from primum.records import CheckResult, CheckStatus
from primum.stats.metrics import Coded
from primum.stats.power import labels_needed, paired_mde


@dataclass(frozen=True)
class Group:
    """What was found in one subgroup."""

    name: str
    status: CheckStatus
    clause: str
    statistics: Statistics
    labels_needed: int | None = None


def subgroups(case: Case) -> CheckResult:
    """In every subgroup with enough events the candidate is not worse than production, or else than the base.

    Smaller subgroups are listed as not assessed. Where none is large enough the check itself is not assessed.
    """
    name = "subgroups"
    rival = "champion" if "champion" in case.panel.systems else "base"
    why = obstacle(case, rival)
    if why:
        return unjudged(case, name, why)
    groups = [_judged(case, rival, *group) for group in _groups(case)]
    if not groups:
        return result(case, name, "pass", "No subgroup is declared and there is one site.")
    by_status = {status: [g for g in groups if g.status == status] for status in ("fail", "hold", "pass")}
    statistics = {f"{g.name}|{key}": value for g in groups for key, value in g.statistics.items()}
    skipped = [group.name for group in groups if group.status == "not assessed"]
    if len(skipped) == len(groups):
        few = case.config.subgroups.min_events
        return unjudged(case, name, f"no subgroup has {few} records of each class: {', '.join(skipped)}")
    status: CheckStatus = "fail" if by_status["fail"] else "hold" if by_status["hold"] else "pass"
    margin, other = case.config.subgroups.margin, system_words(rival)
    opening = {
        "pass": f"Not worse than {other} by more than {margin:g} in any assessed subgroup",
        "fail": f"Worse than {other} in a subgroup",
        "hold": f"Cannot tell whether it is worse than {other} in a subgroup",
    }[status]
    needed = max((g.labels_needed or 0 for g in by_status["hold"]), default=0) or None
    told = "; ".join(group.clause for group in by_status[status])
    listed = f" Not assessed: {', '.join(skipped)}." if skipped else ""
    waiting = more(needed) if status == "hold" else ""
    labels = needed if status == "hold" else None
    return result(case, name, status, f"{opening}: {told}.{listed}{waiting}", statistics, labels)


def _groups(case: Case) -> Iterator[tuple[str, Coded]]:
    columns = dict(case.panel.subgroups)
    if len(set(case.panel.sites)) > 1:
        columns = {"site": case.panel.sites, **columns}
    for column, values in columns.items():
        held = np.array(values, dtype=str)
        for value in sorted(set(values)):
            yield f"{column}={value}", case.coded.rows(held == value)


def _judged(case: Case, rival: str, name: str, coded: Coded) -> Group:
    check = case.config.subgroups
    sizes = np.bincount(coded.gold, minlength=coded.classes)
    events = int(sizes[coded.positive]) if coded.classes == 2 else int(sizes.max())
    facts: Statistics = {"patients": coded.patient_count, "events": events}
    enough = int((sizes >= check.min_events).sum())
    too_few = enough < 2 or coded.patient_count < MIN_PATIENTS
    if too_few:
        return Group(name, "not assessed", name, {**facts, "status": "not assessed"})
    part = replace(case, coded=coded)
    # Where two systems cannot differ, none that differ need be imagined.
    pseudo = not case.decides_as(rival)
    found = compared(part, f"subgroups {name}", rival, case.task.primary_metric, pseudo_patients=pseudo)
    d = found.difference
    detectable = paired_mde(d.se, case.alpha, case.config.power)
    status: CheckStatus = "hold"
    if d.lower > -check.margin or not pseudo:
        status = "pass"
    elif d.upper < 0 or detectable <= check.margin:
        status = "fail"
    needed = None
    if status == "hold" and check.margin > 0 and np.isfinite(d.se):
        share = coded.patient_count / case.coded.patient_count
        more_here = labels_needed(found.patients, d.se, check.margin, case.alpha, case.config.power)
        needed = int(np.ceil(more_here / share))
    clause = f"{name} {d.delta:+.3f} ({end(d.lower)} to {end(d.upper)}, {found.patients} patients)"
    numbers: Statistics = {"delta": d.delta, "lower": d.lower, "upper": d.upper, "status": status}
    return Group(name, status, clause, {**facts, **numbers}, needed)
