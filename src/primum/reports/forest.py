"""The forest plot of paired differences, in the groups that the gate asks different things of."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from primum.records import CheckResult
from primum.reports.plots import BLUE, INK, MUTED, ORANGE, PAPER, Drawn, short
from primum.reports.shown import Shown
from primum.reports.tables import METRICS, title


def differences(facts: Shown) -> Drawn | None:
    """Forest plot: adapter minus comparator of every check that has a difference, with its interval."""
    found = [c for c in facts.verdict.evidence.checks if isinstance(c.statistics.get("delta"), int | float)]
    better = [c for c in found if c.statistics.get("margin") is None]
    groups = [
        (name, checks)
        for name, checks in (
            ("must be better", better),
            ("must not be worse", [c for c in found if c not in better]),
        )
        if checks
    ]
    if not groups:
        return None
    figure = Figure(
        figsize=(4.7, 0.8 + 0.3 * len(groups) + 0.42 * len(found)), layout="constrained", facecolor=PAPER
    )
    heights = [len(checks) + 0.4 for _, checks in groups]
    axes = figure.subplots(len(groups), squeeze=False, height_ratios=heights)
    for ax, (name, checks) in zip(axes.flat, groups, strict=True):
        _forest(ax, checks)
        ax.set_title(name, color=INK, fontweight="bold")
    axes.flat[-1].set_xlabel("adapter minus comparator (right of 0: adapter better)")
    caption = (
        "Point and interval at this look's alpha, from resampling patients; each group has its own scale. "
        "Dotted mark: the allowed loss. A diamond marks a check that did not pass."
    )
    alt = "; ".join(f"{c.name.replace('_', ' ')}: {_interval(c)}, {c.status}" for c in found)
    return figure, caption, alt


def _forest(ax: Axes, checks: list[CheckResult]) -> None:
    ax.axvline(0, color=MUTED, linewidth=0.8)
    for y, check in enumerate(checks):
        delta, low, high, margin = (_value(check, k) for k in ("delta", "lower", "upper", "margin"))
        point = delta or 0.0
        colour, mark = (BLUE, "o") if check.status == "pass" else (ORANGE, "D")
        ends = [point if low is None else low, point if high is None else high]
        ax.plot(ends, [y, y], color=colour)
        ax.plot([point], [y], mark, color=colour, markersize=5)
        if margin is not None:
            ax.plot([-margin, -margin], [y - 0.35, y + 0.35], color=INK, linestyle=(0, (1, 1)))
        ax.text(
            1.02,
            y,
            _interval(check),
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=7.5,
            color=INK,
        )
    ax.set_yticks(
        range(len(checks)), [_against(c) for c in checks], color=INK, fontsize=7.5, multialignment="right"
    )
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.08)
    ax.set_ylim(len(checks) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def _value(check: CheckResult, name: str) -> float | None:
    value = check.statistics.get(name)
    return float(value) if isinstance(value, int | float) else None


def _interval(check: CheckResult) -> str:
    low, high = (_value(check, k) for k in ("lower", "upper"))
    ends = (f"{v:+.3f}" if v is not None else "unbounded" for v in (low, high))
    return f"{_value(check, 'delta') or 0:+.3f} ({' to '.join(ends)})"


def _against(check: CheckResult) -> str:
    metric = METRICS.get(str(check.statistics.get("metric")), "Difference")
    rival = short(title(str(check.statistics.get("rival", "comparator"))))
    return f"{rival}\n{metric[0].lower()}{metric[1:]}"
