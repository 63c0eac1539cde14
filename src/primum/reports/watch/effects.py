"""The sizes of all differences on one scale, as inline SVG: made by a template, for a thousand pages a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from primum.records.watch import Finding
from primum.reports.watch import words
from primum.reports.watch.ranking import loudest_first, severity

MOST = 30
"""Findings that are drawn; the table has all."""
ROW, TOP, LEFT, RIGHT, WIDTH = 17, 26, 175, 385, 480
_LARGEST = 4.0
"""Multiples of the threshold that the axis reaches; what is larger stands at its end, as an arrow."""


@dataclass(frozen=True)
class Mark:
    """One line of the figure; positions in the SVG's units."""

    y: float
    x: float
    label: str
    said: str
    alarm: bool
    beyond: bool


@dataclass(frozen=True)
class Effects:
    """The figure and what stands in the table alone."""

    svg: Markup
    left: int


def effects(findings: Iterable[Finding]) -> Effects | None:
    """Draw each effect in multiples of the threshold from which it matters; None where none has a size."""
    from primum.reports.html import template

    ordered = loudest_first(findings)
    sized = [(f, times) for f in ordered if (times := severity(f)) is not None]
    if not sized:
        return None
    marks = [_mark(i, finding, times) for i, (finding, times) in enumerate(sized[:MOST])]
    svg = template("watch/effects.html.j2").render(
        marks=marks,
        ticks=[(_x(t), f"{t:g}×") for t in range(int(_LARGEST) + 1)],
        height=TOP + ROW * len(marks) + 6,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        width=WIDTH,
        alt="; ".join(f"{m.label}: {m.said} the threshold{', ALARM' if m.alarm else ''}" for m in marks),
    )
    return Effects(Markup(svg), len(ordered) - len(marks))  # noqa: S704 - written by a template that escapes


def _mark(i: int, finding: Finding, times: float) -> Mark:
    y = TOP + ROW * (i + 0.5)
    said = f"{times:.1f}×" if times < 100 else "over 100×"
    label = words.cut(f"{finding.column} · {words.KINDS[finding.kind]}", 32)
    return Mark(y, _x(min(times, _LARGEST)), label, said, finding.alarm, times > _LARGEST)


def _x(times: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * times / _LARGEST, 1)
