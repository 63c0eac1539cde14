"""Statuses, kinds and numbers, as pages, terminal and Markdown say them."""

from __future__ import annotations

import math

from primum.records.judged import Outcome
from primum.records.watch import Action, DriftReport, Finding, FindingKind, Interval, WatchStatus
from primum.reports import tables

BADGES: dict[WatchStatus, str] = {"failed": "dead", "alarm": "fail", "too few": "not", "quiet": "pass"}
"""Status -> class of its badge in the pages' style."""

MEANINGS: dict[WatchStatus, str] = {
    "failed": "This site could not be looked at. Nothing is known of it, so it does not count as fine.",
    "alarm": "What came in differs from what the champion learned from, by enough to matter.",
    "too few": "Too few records to judge this site. It was not found to be fine: it was not judged.",
    "quiet": "No comparison differed by enough to matter. These records cannot show more than that.",
}

KINDS: dict[FindingKind, str] = {
    "outcome": "outcome",
    "calibration": "calibration",
    "prevalence": "prevalence",
    "score": "score",
    "schema": "columns",
    "missing": "missing",
    "text": "text",
    "input": "input",
}
"""Kind of finding -> its heading, in the order of the heat strip."""

_OF_OUTCOMES: dict[FindingKind, str] = {"outcome": "discrimination", "calibration": "calibration"}

ACTIONS: dict[Action, str] = {
    "none": "nothing due",
    "recalibrate": "recalibrate",
    "retrain": "retrain",
    "stay": "stay as it is",
    "blocked": "blocked",
}

VERDICTS: dict[Outcome, str] = {"PROMOTE": "pass", "REJECT": "fail", "HOLD": "hold"}
"""Outcome -> class of its badge."""


def meaning(report: DriftReport) -> str:
    """What the status means, in plain words."""
    said = MEANINGS[report.status]
    if report.status not in ("quiet", "alarm"):
        return said
    if not report.outcome_records:
        return f"{said} No outcome is known: whether the answers are still right was not looked at."
    compared = {finding.kind for finding in report.findings}
    absent = [name for kind, name in _OF_OUTCOMES.items() if kind not in compared]
    return f"{said} Not compared, for want of outcomes: {' and '.join(absent)}." if absent else said


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(text: str | None) -> str:
    """A moment to the minute; a midnight is a date."""
    if text is None:
        return ""
    day, _, clock = text.partition("T")
    return day if not clock or clock.startswith("00:00:00") else f"{day} {clock[:5]}"


def window(report: DriftReport) -> str:
    """From when to when the window's records are."""
    if report.since is None:
        return f"everything up to {moment(report.until)} that the champion did not learn from"
    return f"{moment(report.since)} to {moment(report.until)}"


def value(interval: Interval | None, digits: int = 3) -> str:
    """The value alone; an undefined one is a dash."""
    found = interval.value if interval is not None else None
    return tables.number(found, digits) if found is None or math.isfinite(found) else tables.NO_VALUE


def ends(interval: Interval | None, digits: int = 2) -> str:
    """The interval alone; empty where there is none."""
    if interval is None or not known(interval) or interval.low is None or interval.high is None:
        return ""
    return tables.ends(interval.low, interval.high, digits)


def both(interval: Interval | None, digits: int = 2) -> str:
    """Value and interval on one line."""
    found = ends(interval, digits)
    return value(interval, digits) + (f" ({found})" if found else "")


def known(interval: Interval | None) -> bool:
    """Whether there is a number to show."""
    return interval is not None and interval.value is not None and math.isfinite(interval.value)


def metric(number: float | None) -> str:
    """Write a metric that has no interval."""
    return tables.NO_VALUE if number is None or not math.isfinite(number) else tables.number(number)


def p_value(p: float | None) -> str:
    """Write a p-value; never as 0."""
    return tables.NO_VALUE if p is None or not math.isfinite(p) else tables.statistic("p", float(p))


def size(number: float | None) -> str:
    """Write an effect or its threshold to three digits."""
    return tables.NO_VALUE if number is None or not math.isfinite(number) else f"{number:.3g}"


def effect(finding: Finding) -> str:
    """The effect with its name."""
    told = size(finding.effect)
    return f"{finding.effect_name} {told}" if finding.effect_name and finding.effect is not None else told


def cut(text: str, width: int) -> str:
    """One printable line of at most `width` signs."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"
