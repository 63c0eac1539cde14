"""The last words of `primum gate`: what was compared, the verdict and why, every check, where to read on."""

from __future__ import annotations

import re
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from primum.records import CheckResult
from primum.reports import tables
from primum.reports.facts import ADAPTER
from primum.reports.gate_facts import TableFacts, notes
from primum.reports.terminal import MARKS, verdict_panel

SHOWN = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "recall": "Recall",
    "specificity": "Specificity",
    "auroc": "AUROC",
}


def print_gate(console: Console, facts: TableFacts, report: Path) -> None:
    """Print results, verdict, checks and notes. Nothing in names and reasons is read as markup."""
    if not facts.exhausted:
        console.print(_results(facts))
    console.print(verdict_panel(facts))
    console.print(_checks(facts))
    for note in notes(facts):
        console.print(Text(f"Note: {note}"))
    console.print(Text("Report: ").append(str(report), style="bold"), soft_wrap=True)


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _results(facts: TableFacts) -> Table:
    n = len(facts.panel.gold)
    table = _table(f"{facts.name}: {n:,} records, {facts.patients:,} patients (95% intervals)")
    table.add_column("System")
    for heading in SHOWN.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for system in facts.systems:
        cells = (_with_interval(facts, system, metric) for metric in SHOWN)
        table.add_row(Text(tables.title(system)), *cells, style="bold cyan" if system == ADAPTER else None)
    return table


def _with_interval(facts: TableFacts, system: str, metric: str) -> str:
    found = facts.intervals[system].get(metric)
    if found is None or found.value is None:
        return tables.NO_VALUE
    return f"{found.value:.3f}\n{tables.ends(found.lower, found.upper)}"


def _checks(facts: TableFacts) -> Table:
    table = _table("Checks of the gate")
    table.add_column("Check", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Found")
    for check in facts.verdict.evidence.checks:
        name = check.name.replace("_", " ") + ("" if check.required else "\n(not required)")
        table.add_row(Text(name), Text(check.status, style=MARKS[check.status]), Text(found_words(check)))
    return table


def found_words(check: CheckResult) -> str:
    """The gist of a reason: its first clause, and the difference with its interval where there is one."""
    if not check.statistics:
        return check.reason
    opening = re.split(r"[:;]\s|\.(?:\s|$)", check.reason, maxsplit=1)[0]
    delta, lower, upper = (check.statistics.get(key) for key in ("delta", "lower", "upper"))
    if not isinstance(delta, float):
        return f"{opening}."
    ends = " to ".join(f"{end:+.3f}" if isinstance(end, float) else "unbounded" for end in (lower, upper))
    return f"{opening}: {delta:+.3f} ({ends})."
