"""The forest plot of paired differences, in the groups that the gate asks different things of."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from primum.records import CheckResult, CheckStatus
from primum.reports import subgroups, tables
from primum.reports.plots import BLUE, INK, MUTED, ORANGE, PAPER, PURPLE, Drawn, short
from primum.reports.shown import Shown
from primum.reports.tables import title

MOST_GROUPS = 30
"""Subgroups that are drawn; the table of subgroups lists all of them."""
_SHOUTED: dict[CheckStatus, str] = {"fail": "FAILED", "hold": "ON HOLD", "not assessed": "NOT ASSESSED"}
_WORST: tuple[CheckStatus, ...] = ("fail", "not assessed", "hold", "pass")


@dataclass(frozen=True)
class Line:
    """One line of the plot."""

    label: str
    status: CheckStatus
    delta: float | None
    lower: float | None
    upper: float | None
    margin: float | None

    @property
    def said(self) -> str:
        """The difference with its interval."""
        if self.delta is None:
            return ""
        ends = (f"{v:+.3f}" if v is not None else "unbounded" for v in (self.lower, self.upper))
        return f"{self.delta:+.3f} ({' to '.join(ends)})"

    @property
    def spoken(self) -> str:
        """The whole line in words."""
        return f"{self.label.replace(chr(10), ', ')}: {self.said or 'no difference'}, {self.status}"


def differences(facts: Shown) -> Drawn | None:
    """Forest plot: adapter minus comparator of every check that has a difference, and of every subgroup."""
    checks = [_of_check(c) for c in facts.verdict.evidence.checks if _number(c, "delta") is not None]
    parts, left = _of_subgroups(facts)
    groups = [
        (name, lines)
        for name, lines in (
            ("must be better", [line for line in checks if line.margin is None]),
            ("must not be worse", [line for line in checks if line.margin is not None]),
            (f"subgroups: must not be worse than {title(subgroups.rival(facts))}", parts),
        )
        if lines
    ]
    if not groups:
        return None
    heights = [len(lines) + 0.4 for _, lines in groups]
    figure = Figure(
        figsize=(4.7, 0.8 + 0.3 * len(groups) + 0.42 * sum(len(lines) for _, lines in groups)),
        layout="constrained",
        facecolor=PAPER,
    )
    axes = figure.subplots(len(groups), squeeze=False, height_ratios=heights)
    for ax, (name, lines) in zip(axes.flat, groups, strict=True):
        _forest(ax, lines)
        ax.set_title(name, color=INK, fontweight="bold")
    axes.flat[-1].set_xlabel("adapter minus comparator (right of 0: adapter better)")
    spoken = [f"{name}: {line.spoken}" for name, lines in groups for line in lines]
    return figure, _caption(len(parts), left), "; ".join(spoken)


def _caption(drawn: int, left: int) -> str:
    told = (
        "Point and interval at this look's alpha, from resampling patients; each group has its own scale. "
        "Dotted mark: the allowed loss. Diamond and coloured line: not passed."
    )
    if drawn:
        told += " Hatched line: too few to be assessed, which is no pass."
    return told + (f" {left} more subgroups stand in the table of subgroups." if left else "")


def _of_check(check: CheckResult) -> Line:
    metric = tables.metric(str(check.statistics.get("metric", "difference")))
    against = short(title(str(check.statistics.get("rival", "comparator"))))
    numbers = (_number(check, key) for key in ("delta", "lower", "upper", "margin"))
    return Line(f"{against}\n{metric}", check.status, *numbers)


def _number(check: CheckResult, name: str) -> float | None:
    value = check.statistics.get(name)
    return float(value) if isinstance(value, int | float) else None


def _of_subgroups(facts: Shown) -> tuple[list[Line], int]:
    """A line per subgroup and how many were left out: where there are too many, the worst news are drawn."""
    found = subgroups.rows(facts)
    worst = sorted(range(len(found)), key=lambda i: _WORST.index(found[i].status))[:MOST_GROUPS]
    margin = facts.gate.subgroups.margin
    lines = [
        Line(
            f"{short(row.name.replace('=', ': '), 26)}\nn {row.records}, events {row.events}",
            row.status,
            row.delta,
            row.lower,
            row.upper,
            margin if row.delta is not None else None,
        )
        for row in (found[i] for i in sorted(worst))
    ]
    return lines, len(found) - len(lines)


def _forest(ax: Axes, lines: list[Line]) -> None:
    ax.axvline(0, color=MUTED, linewidth=0.8)
    if all(line.delta is None for line in lines):
        ax.set_xlim(-0.1, 0.1)
    for y, line in enumerate(lines):
        _band(ax, y, line)
        if line.delta is not None:
            _point(ax, y, line)
    ax.set_yticks(
        range(len(lines)), [line.label for line in lines], color=INK, fontsize=7.5, multialignment="right"
    )
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.08)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def _band(ax: Axes, y: int, line: Line) -> None:
    """What did not pass is coloured from edge to edge; what could not be assessed is hatched besides."""
    if line.status == "pass":
        return
    unknown = line.status == "not assessed"
    colour = PURPLE if unknown else ORANGE
    ax.axhspan(y - 0.46, y + 0.46, facecolor=colour, alpha=0.16, linewidth=0)
    if unknown:
        ax.axhspan(
            y - 0.46, y + 0.46, facecolor="none", edgecolor=colour, alpha=0.6, hatch="////", linewidth=0
        )
    shout = f"{line.said}\n{_SHOUTED[line.status]}" if line.said else _SHOUTED[line.status]
    where = ax.get_yaxis_transform()
    ax.text(1.02, y, shout, transform=where, va="center", fontsize=7.5, color=colour, fontweight="bold")


def _point(ax: Axes, y: int, line: Line) -> None:
    point = line.delta or 0.0
    colour, mark = (BLUE, "o") if line.status == "pass" else (ORANGE, "D")
    ends = [point if line.lower is None else line.lower, point if line.upper is None else line.upper]
    ax.plot(ends, [y, y], color=colour)
    ax.plot([point], [y], mark, color=colour, markersize=5)
    if line.margin is not None:
        ax.plot([-line.margin] * 2, [y - 0.35, y + 0.35], color=INK, linestyle=(0, (1, 1)))
    if line.status == "pass":
        where = ax.get_yaxis_transform()
        ax.text(1.02, y, line.said, transform=where, va="center", fontsize=7.5, color=INK)
