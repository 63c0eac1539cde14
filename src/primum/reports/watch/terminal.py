"""The last words of drift and retrain: the worst sites, what was due, where to read on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from primum.records.watch import DriftReport, Performance, RetrainRun, SiteOutcome, WatchRun, WatchStatus
from primum.reports import tables
from primum.reports.watch import words
from primum.reports.watch.outcomes import Course, courses, gist, left_alone, summary
from primum.reports.watch.overview import headline
from primum.reports.watch.ranking import STATUSES, main_reason, worst_first

MOST = 30
"""Sites that are listed; the pages have all."""
FEW = 10
"""Quiet sites fill the list up to so many."""
_STYLES: dict[WatchStatus, str] = {
    "failed": "bold white on red",
    "alarm": "bold red",
    "too few": "bold magenta",
    "quiet": "green",
}
_VERDICTS = {"PROMOTE": "bold green", "REJECT": "bold red", "HOLD": "bold yellow"}


def print_watch(console: Console, run: WatchRun, out: Path) -> None:
    """Print all sites in one sentence, the worst in a table, and where the pages lie.

    Names and reasons are printed as they are: nothing in them is read as markup or moves the cursor.
    """
    ordered = worst_first(run.reports)
    loud = sum(report.status != "quiet" for report in ordered)
    listed = min(max(loud, FEW), MOST)
    console.print(_line(f"{run.task} as of {words.moment(run.at)}. {headline(run)}", "bold"))
    if ordered:
        console.print(_sites(ordered[:listed]))
    if more := _more(ordered[listed:]):
        console.print(_line(more))
    console.print(Text("Report: ").append(str(out / "overview.html"), style="bold"), soft_wrap=True)


def _sites(reports: Sequence[DriftReport]) -> Table:
    table = _table()
    table.add_column("Site", overflow="fold", max_width=24)
    table.add_column("Status", no_wrap=True)
    for heading in ("Records", "O/E", "AUROC"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Why", ratio=1)
    for report in reports:
        table.add_row(
            _line(report.site),
            Text(report.status.upper(), style=_STYLES[report.status]),
            f"{report.current_records:,}",
            *_measured(report.performance),
            _line(main_reason(report), width=200),
        )
    return table


def _measured(now: Performance | None) -> tuple[str, str]:
    if now is None:
        return tables.NO_VALUE, tables.NO_VALUE
    return words.value(now.observed_expected, 2), words.value(now.auroc, 2)


def _more(rest: Sequence[DriftReport]) -> str:
    """What the table leaves out, by status."""
    counts = Counter(report.status for report in rest)
    parts = [f"{counts[s]:,} {s} {'site' if counts[s] == 1 else 'sites'}" for s in STATUSES if counts[s]]
    return f"and {', '.join(parts)}" if parts else ""


def print_retrain(console: Console, run: RetrainRun, out: Path) -> None:
    """Print what was due, what came of it, what failed, and which sites stay as they are."""
    due = courses(run)
    console.print(
        _line(f"{run.task} as of {words.moment(run.at)}, cycle {run.cycle}. {summary(run)}", "bold")
    )
    if due:
        console.print(_due(due[:MOST]))
    if len(due) > MOST:
        console.print(_line(f"and {words.count(len(due) - MOST, 'more site')} in the report"))
    champions = {report.site: report.champion for report in run.watch.reports}
    staying = [course for course in left_alone(run) if course.action == "stay"]
    for course in staying[:MOST]:
        serves = f" ({champions[course.site]} serves)" if champions.get(course.site) else ""
        console.print(_line(f"{course.site}{serves}: {gist(course)}", "magenta"))
    if len(staying) > MOST:
        more = words.count(len(staying) - MOST, "more site stays as it is", "more sites stay as they are")
        console.print(_line(f"and {more}", "magenta"))
    if any(course.unfinished for course in due):
        console.print(
            _line("Not everything is done: the same command continues, and repeats nothing.", "bold red")
        )
    console.print(Text("Report: ").append(str(out / "retrain.html"), style="bold"), soft_wrap=True)


def _due(due: Sequence[Course]) -> Table:
    table = _table()
    table.add_column("Site", overflow="fold", max_width=24)
    table.add_column("Due", no_wrap=True)
    table.add_column("Came of it", no_wrap=True)
    table.add_column("O/E", justify="right", no_wrap=True)
    table.add_column("In words", ratio=1)
    for course in due:
        table.add_row(
            _line(course.site),
            words.ACTIONS[course.action],
            _result(course),
            _change(course.outcome),
            _line(gist(course), width=200),
        )
    return table


def _result(course: Course) -> Text:
    lines = [Text(word, style=_VERDICTS.get(word, "bold red")) for word in course.results]
    return Text("\n").join(lines)


def _change(outcome: SiteOutcome | None) -> str:
    if outcome is None:
        return tables.NO_VALUE
    before, after = (words.value(i, 2) for i in (outcome.calibration_before, outcome.calibration_after))
    return f"{before} → {after}" if {before, after} != {tables.NO_VALUE} else tables.NO_VALUE


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _line(text: str, style: str = "", width: int = 10_000) -> Text:
    return Text(words.cut(text, width), style=style)
