"""The page of all sites, worst first. Static; small enough for a thousand sites."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from primum.records.watch import DriftReport, Interval, WatchRun, WatchStatus
from primum.reports.watch import words
from primum.reports.watch.ranking import STATUSES, main_reason, worst_first

_REASON = 160
"""Signs of a reason in the table; the site's page has all of it."""
_SPAN = math.log(4.0)
"""The small axis of observed over expected reaches from a quarter to four."""
_HALF = 60.0


@dataclass(frozen=True)
class Bar:
    """Observed over expected on a small logarithmic axis of 120 units; 60 is 1."""

    x: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One site as the table shows it."""

    report: DriftReport
    link: str
    reason: str
    alarms: tuple[int | None, ...]
    """Alarms of each kind in the order of KINDS; None: nothing was compared."""
    ratio: Interval | None
    bar: Bar | None
    auroc: Interval | None
    before: str


def overview_page(run: WatchRun, links: Mapping[str, str] = {}, *, retrain: str = "") -> str:
    """Write the page of all sites. Pure: an identical run gives the identical text.

    `links` has a site's own page as a relative address, `retrain` that of the page of what was done; sites
    without one are named only (inside the dashboard's frame no link would open).
    """
    from primum.reports.html import template  # late: matplotlib takes a second that only a page should pay

    rows = [_row(report, links.get(report.site, "")) for report in worst_first(run.reports)]
    return template("watch/overview.html.j2").render(
        run=run,
        rows=rows,
        tally=tally(run),
        headline=headline(run),
        unjudged=sum(report.status in ("too few", "failed") for report in run.reports),
        kinds=words.KINDS,
        retrain=retrain,
        timed=run.since is not None and any(report.since is not None for report in run.reports),
        words=words,
    )


def tally(run: WatchRun) -> list[tuple[WatchStatus, int]]:
    """How many sites are in each status, the worst first."""
    counts = Counter(report.status for report in run.reports)
    return [(status, counts[status]) for status in STATUSES]


def headline(run: WatchRun) -> str:
    """All sites in one sentence."""
    counts = dict(tally(run))
    told = [f"{counts['alarm']:,} alarm"] if counts["alarm"] else ["none alarms"]
    told += [f"{counts['failed']:,} could not be looked at"] if counts["failed"] else []
    told += [f"{counts['too few']:,} have too few records to be judged"] if counts["too few"] else []
    told += [f"{counts['quiet']:,} are quiet"] if counts["quiet"] else []
    return f"Of {words.count(len(run.reports), 'site')} {', '.join(told)}."


def _row(report: DriftReport, link: str) -> Row:
    now, before = report.performance, report.performance_before
    past = before.auroc if before is not None else None
    ratio = now.observed_expected if now is not None and words.known(now.observed_expected) else None
    auroc = now.auroc if now is not None and words.known(now.auroc) else None
    reason = words.cut(main_reason(report), _REASON)
    before_said = words.value(past, 2) if auroc is not None and words.known(past) else ""
    return Row(report, link, reason, _alarms(report), ratio, _bar(ratio), auroc, before_said)


def _alarms(report: DriftReport) -> tuple[int | None, ...]:
    compared = {finding.kind for finding in report.findings}
    alarms = Counter(finding.kind for finding in report.alarms)
    return tuple(alarms[kind] if kind in compared else None for kind in words.KINDS)


def _bar(ratio: Interval | None) -> Bar | None:
    if ratio is None or ratio.value is None:
        return None
    low = ratio.value if ratio.low is None else ratio.low
    high = ratio.value if ratio.high is None else ratio.high
    return Bar(_place(ratio.value), _place(low), _place(high))


def _place(ratio: float) -> float:
    if not ratio > 0:
        return 4.0
    return round(min(max(_HALF + (_HALF - 4) * math.log(ratio) / _SPAN, 4.0), 2 * _HALF - 4), 1)
