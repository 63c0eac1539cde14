"""One site's page: what was seen in its window. Static, autoescaped, no script, no patient's value."""

from __future__ import annotations

from typing import Any

from primum.records.watch import DriftReport, Estimate, Performance
from primum.reports.watch import words
from primum.reports.watch.effects import effects
from primum.reports.watch.ranking import loudest_first, main_reason


def site_page(report: DriftReport, *, overview: str = "", evidently: str = "") -> str:
    """Write the page of one site. Pure: an identical report gives the identical text.

    `overview` and `evidently` are relative addresses of what lies beside it; empty: no link.
    """
    from primum.reports.html import template  # late: matplotlib takes a second that only a page should pay

    return template("watch/site.html.j2").render(
        report=report,
        badge=words.BADGES[report.status],
        meaning=words.meaning(report),
        reason=main_reason(report),
        window=words.window(report),
        alarms=loudest_first(report.alarms),
        findings=loudest_first(report.findings),
        figure=effects(report.findings),
        tiles=_tiles(report),
        measures=_measures(report.performance_before, report.performance, report.estimate),
        overview=overview,
        evidently=evidently,
        words=words,
    )


def _tiles(report: DriftReport) -> list[tuple[str, str, str]]:
    """The few numbers of the first screen: name, value, what to compare it with."""
    whose = "of this site" if report.reference_scope == "site" else "of all sites: too few of its own"
    tiles = [
        ("Window", f"{report.current_records:,}", "records"),
        ("Reference", f"{report.reference_records:,}", f"training records {whose}"),
        ("Outcomes known", f"{report.outcome_records:,}", "watched records, also from before the window"),
    ]
    now, before = report.performance, report.performance_before
    if now is None:
        return tiles
    for name, metric in (("Observed over expected", "observed_expected"), ("AUROC", "auroc")):
        found = getattr(now, metric)
        if words.known(found):
            past = getattr(before, metric) if before is not None else None
            told = [f"95% interval {words.ends(found)}"] if words.ends(found) else []
            told += [f"before {words.value(past)}"] if words.known(past) else []
            tiles.append((name, words.value(found), "; ".join(told)))
    return tiles


Cell = tuple[str, str]
"""A value and its interval."""

_MEASURES = (
    ("AUROC", "auroc", "0.5 is guessing, 1 is best"),
    ("Macro-F1", "macro_f1", "1 is best"),
    ("Accuracy", "accuracy", "1 is best"),
    (
        "Observed over expected",
        "observed_expected",
        "1 is right; above 1 there are more events than foretold",
    ),
    ("Calibration slope", "slope", "1 is right; below 1 the probabilities are too extreme"),
    ("Brier", "brier", "0 is best"),
)


def _measures(
    before: Performance | None, now: Performance | None, estimate: Estimate | None
) -> list[tuple[str, str, Cell, Cell, str]]:
    """Measure, how to read it, before, now, and what the scores alone say; none where nothing is known."""
    if before is None and now is None and estimate is None:
        return []
    rows = []
    for name, metric, hint in _MEASURES:
        guess = getattr(estimate, metric, None) if estimate is not None else None
        rows.append((name, hint, _cell(before, metric), _cell(now, metric), words.metric(guess)))
    return rows


def _cell(performance: Performance | None, metric: str) -> Cell:
    found: Any = getattr(performance, metric, None)
    if isinstance(found, float):
        return words.metric(found), ""
    return words.value(found), words.ends(found)
