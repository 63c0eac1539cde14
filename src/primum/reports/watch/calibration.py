"""Observed over expected events before and after, per site, with the gate's band."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from primum.records.watch import Interval, RetrainRun, SiteOutcome
from primum.reports import figures
from primum.reports.figures import Drawing
from primum.reports.plots import BLUE, GRID, INK, MUTED, ORANGE, PAPER, Drawn
from primum.reports.watch import words

MOST = 40
"""Sites that are drawn; the table has all."""
_LEAST, _LARGEST = 1 / 16, 16.0
"""The axis never reaches further; an end beyond it is cut there."""


def calibration_drawing(run: RetrainRun, band: tuple[float, float]) -> Drawing | None:
    """Draw every judged site; None where no site has a calibration. Deterministic for an identical run."""
    found = [o for o in run.outcomes if words.known(o.calibration_before) or words.known(o.calibration_after)]
    ordered = sorted(found, key=lambda o: (-_off(o.calibration_before), o.site))
    drawers = {"calibration": ("Observed over expected, before and after", lambda all_: _draw(all_, band))}
    return next(iter(figures.drawn(ordered, drawers)), None)


def _off(ratio: Interval | None) -> float:
    """How far from 1, on the log scale."""
    if ratio is None or ratio.value is None or not words.known(ratio):
        return 0.0
    return abs(math.log(max(ratio.value, _LEAST)))


def _draw(outcomes: Sequence[SiteOutcome], band: tuple[float, float]) -> Drawn | None:
    if not outcomes:
        return None
    drawn = outcomes[:MOST]
    figure = Figure(figsize=(5.4, 0.9 + 0.36 * len(drawn)), layout="constrained", facecolor=PAPER)
    ax = figure.subplots()
    for y, outcome in enumerate(drawn):
        point(ax, y - 0.14, outcome.calibration_before, after=False)
        point(ax, y + 0.14, outcome.calibration_after, after=True)
        verdict = outcome.verdict or "no verdict"
        where = ax.get_yaxis_transform()
        ax.text(1.02, y, verdict, transform=where, va="center", fontsize=7.5, color=INK)
    axis(ax, band, [i for o in drawn for i in (o.calibration_before, o.calibration_after)])
    ax.set_yticks(range(len(drawn)), [words.cut(o.site, 24) for o in drawn], color=INK)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    ax.set_title("open circle: champion before · filled diamond: candidate", color=MUTED)
    alt = "; ".join(
        f"{words.cut(o.site, 60)}: before {words.both(o.calibration_before)}, after {words.both(o.calibration_after)}"
        for o in drawn
    )
    left = len(outcomes) - len(drawn)
    caption = (
        "On the site's holdout with 95% intervals, logarithmic; the worst first. 1 is right; above it more "
        f"events happen than were foretold. Shaded: the gate's {band[0]:g} to {band[1]:g}."
    )
    return figure, caption + (f" {left:,} more sites stand in the table." if left else ""), alt


def point(ax: Axes, y: float, ratio: Interval | None, *, after: bool) -> None:
    """Draw a ratio with its interval: open circle before, filled diamond after."""
    if ratio is None or ratio.value is None or not words.known(ratio):
        return
    colour, mark = (BLUE, "D") if after else (ORANGE, "o")
    ends = [ratio.value if end is None else end for end in (ratio.low, ratio.high)]
    ax.plot([_within(end) for end in ends], [y, y], color=colour, linewidth=1.1)
    face = colour if after else PAPER
    ax.plot([_within(ratio.value)], [y], mark, color=colour, markersize=4.5, markerfacecolor=face)


def axis(ax: Axes, band: tuple[float, float], ratios: Sequence[Interval | None]) -> None:
    """Make x logarithmic with 1 and the gate's band marked, wide enough for every ratio."""
    ends = [
        _within(end)
        for ratio in ratios
        if ratio is not None and words.known(ratio)
        for end in (ratio.low, ratio.value, ratio.high)
        if end is not None
    ]
    low, high = min([*ends, 0.7]) / 1.08, max([*ends, 1.4]) * 1.08
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [t for t in (0.0625, 0.125, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 8.0, 16.0) if low <= t <= high]
    if high / low > 6:
        ticks = [t for t in ticks if t not in (0.8, 1.25)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvspan(*band, facecolor=GRID, alpha=0.55, linewidth=0, zorder=0)
    ax.axvline(1, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    ax.set_xlabel("observed over expected events")


def _within(ratio: float) -> float:
    return min(max(ratio, _LEAST), _LARGEST) if not math.isnan(ratio) else 1.0
