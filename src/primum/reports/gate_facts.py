"""What the reports of `primum gate` say, as one frozen value: every one of them is a pure function of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from primum.config import GateConfig
from primum.records import Panel, Verdict
from primum.reports.facts import ADAPTER, BASE, MAJORITY
from primum.reports.limits import CALIBRATION_EVENTS
from primum.stats.intervals import MetricInterval

INTERVAL_ALPHA = 0.05
"""Two-sided, for the intervals that describe one system; the checks' intervals are at the look's alpha."""


@dataclass(frozen=True)
class TableFacts:
    """A table of paired predictions and what the gate made of it."""

    name: str
    """File name of the table."""
    panel: Panel
    verdict: Verdict
    config: GateConfig
    primary_metric: str
    effect_of_interest: float
    classical: str | None
    """The classical model that the candidate was compared with."""
    intervals: dict[str, dict[str, MetricInterval]]
    """System -> metric -> value and interval; empty on an exhausted holdout."""
    code_version: str
    decision_thresholds: tuple[float, ...] = ()
    """Probabilities of the positive class from which the clinic would act."""
    holdout: str | None = None
    """Its name in the ledger; None where no look was reserved."""
    ledger_entry: str | None = None
    """Hash of the decision's entry."""
    roles: dict[str, str] = field(default_factory=dict)
    """Part that a system plays -> what the table calls it."""
    own_majority: bool = False
    """Whether the majority class was the table's own column."""
    cached: bool = False
    """The ledger held the decision on this very table: it is shown again and no look was spent."""

    @property
    def systems(self) -> tuple[str, ...]:
        """The panel's systems, in the order of every table."""
        known = [name for name in (BASE, ADAPTER, MAJORITY) if name in self.panel.systems]
        return (*known, *sorted(set(self.panel.systems) - set(known)))

    @property
    def exhausted(self) -> bool:
        """True when the planned looks were spent before: its results stay closed in every report."""
        return self.verdict.evidence.look.exhausted

    @property
    def gate(self) -> GateConfig:
        """What the candidate had to show."""
        return self.config

    @property
    def patients(self) -> int:
        """Patients in the table."""
        return len(set(self.panel.patient_ids))

    def metric(self, system: str, name: str) -> float | None:
        """A metric as the gate's evidence has it; None = undefined."""
        return self.verdict.evidence.metrics.get(system, {}).get(name)


def notes(facts: TableFacts) -> list[str]:
    """What a reader must know beside the verdict: the look, who was judged, how to settle what is absent."""
    said = [_look(facts)]
    if facts.roles:
        named = ", ".join(f"'{name}' is the {_part(role)}" for role, name in facts.roles.items())
        said.append(f"As named: {named}; tables and evidence use the names of the parts.")
    if not facts.own_majority:
        said.append(
            "The table has no majority column: always answering the most frequent gold label of these very "
            "records stands for it, the strictest choice."
        )
    unasked = _unasked(facts)
    if unasked:
        said.append(f"Not asked, and so passed: {'; '.join(unasked)}.")
    absent = absent_checks(facts)
    if absent:
        said.append(
            f"The table lacks what {', '.join(absent)} must see, and a required check that cannot be judged "
            "holds the promotion. Add it, or say in a gate file (--config) which of them is not required: "
            f"`{absent[0]}: {{required: false}}`."
        )
    return said


def _unasked(facts: TableFacts) -> list[str]:
    """Checks that had nothing to compare with, and how to ask them."""
    systems = facts.panel.systems
    ways = {
        "a model in production (column champion)": "champion" in systems,
        "the first promoted model (column anchor)": "anchor" in systems,
        "net benefit (--threshold)": "net_benefit" not in _passed_empty(facts),
        "subgroups (columns subgroup_NAME or site)": "subgroups" not in _passed_empty(facts),
    }
    return [] if facts.exhausted else [way for way, asked in ways.items() if not asked]


def _passed_empty(facts: TableFacts) -> set[str]:
    checks = facts.verdict.evidence.checks
    return {check.name for check in checks if check.status == "pass" and not check.statistics}


def absent_checks(facts: TableFacts) -> list[str]:
    """Required checks whose data the table lacks, whatever its size."""
    if facts.exhausted:
        return []
    return [
        check.name
        for check in facts.verdict.evidence.checks
        if check.required and check.status == "hold" and not check.statistics and check.labels_needed is None
    ]


def _look(facts: TableFacts) -> str:
    look = facts.verdict.evidence.look
    if facts.holdout is None:
        return (
            f"No --holdout was named: this counts as the first of {look.planned} planned looks (alpha "
            f"{look.alpha:.4g}), and nothing was written down, so nothing shows how often these records "
            "were looked at before."
        )
    if look.exhausted:
        return f"All {look.planned} planned looks at holdout '{facts.holdout}' were spent before."
    counted = f"Look {look.number} of {look.planned} at holdout '{facts.holdout}', alpha {look.alpha:.4g}"
    if facts.cached:
        return f"{counted}: this very table was judged there before, so the decision stands."
    return f"{counted}; it was reserved before anything was scored, and the decision is in the ledger."


def _part(role: str) -> str:
    return "candidate (adapter)" if role == ADAPTER else role


def limits(facts: TableFacts) -> list[str]:
    """What this verdict cannot say."""
    counts = Counter(facts.panel.gold)
    rare = min(facts.panel.labels, key=lambda label: counts[label])
    said = [
        "Only predictions were seen. Whether the candidate or any threshold, prompt or rank of it was chosen "
        "on these records, the table cannot tell; if it was, the numbers are too good.",
        "It says nothing about other hospitals, devices, or later years; re-test before use there.",
        "The comparison is retrospective, on recorded cases. It does not show that patients fare better when "
        "the candidate is used, and this program is not a medical device.",
    ]
    if counts[rare] < CALIBRATION_EVENTS:
        said.append(
            f"The table holds {counts[rare]} records of '{rare}', fewer than the {CALIBRATION_EVENTS} that a "
            "calibration curve needs (Van Calster et al. 2016)."
        )
    if facts.patients == len(facts.panel.gold):
        said.append(
            "Each record counts as a patient of its own. If patients come more than once, add a column "
            "`patient`, or the intervals are too narrow."
        )
    for check in facts.verdict.evidence.checks:
        if check.status == "not assessed":
            said.append(f"Not assessed: {check.name.replace('_', ' ')} ({check.reason.rstrip('.')}).")
    return said
