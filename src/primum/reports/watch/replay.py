"""Many retrain runs in a row: which site alarmed when, what was done, what the gate said, and what it brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import escape

from primum.records.watch import Action, DriftReport, Interval, RetrainRun, SiteOutcome, WatchStatus
from primum.reports import tables
from primum.reports.watch import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from primum.reports.plots import Drawn

Rows = Sequence[tuple[str, RetrainRun]]
"""A label of the moment (such as 1994-03) and the run that stood on it."""

MOST = 45
"""Sites that are drawn; the table has all."""
LETTERS: dict[Action, str] = {"recalibrate": "C", "retrain": "T"}
SIGNS = {"PROMOTE": "✓", "REJECT": "✕", "HOLD": "?"}

COLUMNS = (
    "When",
    "Site",
    "Seen",
    "Alarms",
    "Due",
    "Gate",
    "Served before",
    "Serves after",
    "O/E before",
    "O/E after",
)


def replay_table(rows: Rows) -> str:
    """Markdown table: a row per moment and site where something alarmed, failed or was done.

    Sites that were quiet, too small or stayed without an alarm are counted in one row per moment.
    """
    lines = [line for when, run in rows for line in _lines(when, run)]
    return tables.markdown(COLUMNS, lines)


def _lines(when: str, run: RetrainRun) -> list[list[str]]:
    outcomes = {outcome.site: outcome for outcome in run.outcomes}
    actions = {plan.site: plan.action for plan in run.plans}
    reports = {report.site: report for report in run.watch.reports}
    told, silent = [], []
    for site in dict.fromkeys((*reports, *outcomes)):
        report, outcome = reports.get(site), outcomes.get(site)
        if _eventful(report, outcome):
            told.append(_line(when, site, report, outcome, actions.get(site)))
        elif report is not None:
            silent.append(report.status)
    counts = [f"{silent.count(s):,} {s}" for s in ("too few", "quiet") if s in silent]
    if counts:
        told.append([when, f"{len(silent):,} more", ", ".join(counts), *[""] * 7])
    return told


def _eventful(report: DriftReport | None, outcome: SiteOutcome | None) -> bool:
    loud = report is not None and report.status in ("alarm", "failed")
    done = outcome is not None and (
        outcome.verdict is not None or outcome.rolled_back or outcome.error is not None
    )
    return loud or done


def _line(
    when: str, site: str, report: DriftReport | None, outcome: SiteOutcome | None, planned: Action | None
) -> list[str]:
    action = outcome.action if outcome is not None else planned
    return [
        when,
        site,
        report.status if report is not None else tables.NO_VALUE,
        ", ".join(dict.fromkeys(f.column for f in report.alarms)) if report is not None else "",
        words.ACTIONS[action] if action is not None else tables.NO_VALUE,
        _gate(outcome),
        *(_before_after(outcome)),
    ]


def _gate(outcome: SiteOutcome | None) -> str:
    if outcome is None:
        return tables.NO_VALUE
    told = ["FAILED"] if outcome.error is not None else []
    told += ["rolled back"] if outcome.rolled_back else []
    told += [outcome.verdict] if outcome.verdict is not None else []
    if outcome.verdict == "HOLD" and outcome.labels_needed is not None:
        told[-1] += f" ({outcome.labels_needed:,} more)"
    return ", ".join(told) or tables.NO_VALUE


def _before_after(outcome: SiteOutcome | None) -> list[str]:
    if outcome is None:
        return [tables.NO_VALUE] * 4
    served = [outcome.champion_before or tables.NO_VALUE, outcome.champion_after or tables.NO_VALUE]
    return [*served, words.both(outcome.calibration_before), words.both(outcome.calibration_after)]


def replay_figure(rows: Rows, *, band: tuple[float, float] = (0.8, 1.25)) -> str:
    """One SVG that stands alone or inside a page: sites by moments, and observed over expected before and after.

    Form tells what colour tells: dot quiet, diamond alarm, open square too few, cross failed; the letters say
    what was done (C recalibrated, T trained, R rolled back), the sign what the gate said (! it is unfinished).
    Deterministic; empty where there is nothing to draw.
    """
    from primum.reports import figures  # late: matplotlib

    drawers = {"replay": ("Sites over time", lambda all_: _draw(all_, band))}
    drawing = next(iter(figures.drawn(rows, drawers)), None)
    if drawing is None:
        return ""
    svg = drawing.svg[drawing.svg.index("<svg") :]
    spoken = f'<svg role="img" aria-label="{escape(f"{drawing.heading}. {drawing.caption} {drawing.alt}")}" '
    return svg.replace("<svg ", spoken, 1)


def _draw(rows: Rows, band: tuple[float, float]) -> Drawn | None:
    from matplotlib.figure import Figure

    from primum.reports.plots import INK, PAPER

    sites, left = _sites(rows)
    if not sites:
        return None
    wide = 1.6 + 0.34 * len(rows)
    figure = Figure(figsize=(wide + 3.4, 1.5 + 0.24 * len(sites)), layout="constrained", facecolor=PAPER)
    grid, ratios = figure.subplots(1, 2, sharey=True, width_ratios=[wide, 2.6])
    _grid(grid, rows, sites)
    _ratios(ratios, rows, sites, band)
    grid.set_yticks(range(len(sites)), [words.cut(site, 22) for site in sites], color=INK)
    grid.set_ylim(len(sites) - 0.4, -0.6)
    caption = (
        "Left: dot quiet, diamond alarm, open square too few to judge, cross failed; C recalibrated, T trained, "
        "R rolled back; ✓ promoted, ? held, ✕ rejected, ! unfinished. Right: observed over expected on each "
        "judged holdout, circle before, diamond after; shaded: the gate's band."
    )
    caption += f" {left:,} sites without any event are left out." if left else ""
    return figure, caption, "; ".join(_spoken(when, run) for when, run in rows)


def _sites(rows: Rows) -> tuple[list[str], int]:
    """Sites by name, and how many were left out: where there are too many, those with the fewest events."""
    events: dict[str, int] = {}
    for _, run in rows:
        outcomes = {outcome.site: outcome for outcome in run.outcomes}
        reports = {report.site: report for report in run.watch.reports}
        for site in (*reports, *(s for s in outcomes if s not in reports)):
            done = 10 * (_marks(outcomes.get(site)) != "")
            events[site] = events.get(site, 0) + done + _eventful(reports.get(site), outcomes.get(site))
    most = sorted(events, key=lambda site: (-events[site], site))[:MOST]
    return sorted(most), len(events) - len(most)


def _marks(outcome: SiteOutcome | None) -> str:
    """What was done and what the gate said, in signs."""
    if outcome is None:
        return ""
    done = LETTERS.get(outcome.action, "") if outcome.verdict is not None or outcome.error is not None else ""
    sign = "!" if outcome.error is not None else SIGNS.get(outcome.verdict or "", "")
    return f"{done}{sign}{'R' if outcome.rolled_back else ''}"


def _grid(ax: Axes, rows: Rows, sites: Sequence[str]) -> None:
    from primum.reports.plots import GREY, GRID, INK, MUTED, ORANGE, PURPLE

    styles: dict[WatchStatus, tuple[str, str, float, bool]] = {
        "quiet": (".", GREY, 4, True),
        "alarm": ("D", ORANGE, 4.2, True),
        "too few": ("s", PURPLE, 4.2, False),
        "failed": ("x", INK, 5, True),
    }
    place = {site: y for y, site in enumerate(sites)}
    ax.hlines(range(len(sites)), -0.5, len(rows) - 0.5, color=GRID, linewidth=0.4, zorder=0)
    for x, (_, run) in enumerate(rows):
        for status, (mark, colour, size, full) in styles.items():
            ys = [place[r.site] for r in run.watch.reports if r.status == status and r.site in place]
            face = colour if full else "none"
            ax.plot([x - 0.22] * len(ys), ys, mark, color=colour, markersize=size, markerfacecolor=face)
        for outcome in run.outcomes:
            if (said := _marks(outcome)) and outcome.site in place:
                y = place[outcome.site]
                ax.text(x, y, said, color=INK, fontsize=7, fontweight="bold", va="center_baseline")
    ax.set_xlim(-0.6, len(rows) - 0.3)
    ax.set_xticks(
        range(len(rows)),
        [words.cut(when, 12) for when, _ in rows],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(
        "• quiet, ◆ alarm, □ too few, × failed\n"
        "C recalibrated, T trained, R rolled back; ✓ promoted, ? held, ✕ rejected, ! unfinished",
        color=MUTED,
        fontsize=7.5,
    )


def _ratios(ax: Axes, rows: Rows, sites: Sequence[str], band: tuple[float, float]) -> None:
    from primum.reports.plots import MUTED
    from primum.reports.watch.calibration import axis, point

    place = {site: y for y, site in enumerate(sites)}
    judged = [o for _, run in rows for o in run.outcomes if o.site in place and _measured(o)]
    drawn: list[Interval | None] = []
    for site, y in place.items():
        of_site = [outcome for outcome in judged if outcome.site == site]
        for i, outcome in enumerate(of_site):
            here = y + (i + 0.5) / len(of_site) * 0.8 - 0.4
            point(ax, here - 0.1 / len(of_site), outcome.calibration_before, after=False)
            point(ax, here + 0.1 / len(of_site), outcome.calibration_after, after=True)
            drawn += [outcome.calibration_before, outcome.calibration_after]
    axis(ax, band, drawn)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_title("○ before, ◆ after", color=MUTED, fontsize=7.5)


def _measured(outcome: SiteOutcome) -> bool:
    return words.known(outcome.calibration_before) or words.known(outcome.calibration_after)


def _spoken(when: str, run: RetrainRun) -> str:
    statuses = [report.status for report in run.watch.reports]
    seen = ", ".join(
        f"{statuses.count(s)} {s}" for s in ("failed", "alarm", "too few", "quiet") if s in statuses
    )
    done = ", ".join(f"{words.cut(o.site, 60)} {_marks(o)}" for o in run.outcomes if _marks(o))
    return f"{words.cut(when, 20)}: {seen or 'no site'}" + (f"; {done}" if done else "")
