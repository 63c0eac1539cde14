"""Every system's primary metric with its interval, the best first."""

from __future__ import annotations

from matplotlib.figure import Figure

from primum.records.compared import TaskTable
from primum.reports import figures
from primum.reports.compare.cells import HEADINGS, both, name_of
from primum.reports.figures import Drawing
from primum.reports.plots import BLUE, GREY, INK, MUTED, ORANGE, PAPER, Drawn, short

MARKS = {"fine-tuned": ("o", BLUE), "base": ("s", GREY), "classical": ("D", ORANGE), "majority": ("|", INK)}


def drawing_of(table: TaskTable) -> Drawing | None:
    """Draw a task's systems; None where none has a value. Deterministic for an identical table."""
    heading = f"{HEADINGS[table.ground.metric]} on {len(table.ground.record_ids)} records"
    return next(iter(figures.drawn(table, {f"compare-{table.ground.task}": (heading, _draw)})), None)


def _draw(table: TaskTable) -> Drawn | None:
    metric = table.ground.metric
    rows = [row for row in table.rows if row.metrics.get(metric) and row.metrics[metric].value is not None]
    if not rows:
        return None
    figure = Figure(figsize=(6.2, 0.9 + 0.3 * len(rows)), layout="constrained", facecolor=PAPER)
    ax = figure.subplots()
    for y, row in enumerate(rows):
        found = row.metrics[metric]
        mark, colour = MARKS[row.kind]
        value = found.value or 0.0
        ends = [value if end is None else end for end in (found.low, found.high)]
        ax.plot(ends, [y, y], color=colour, linewidth=1.2)
        ax.plot([value], [y], mark, color=colour, markersize=6)
    plain = [row.metrics[metric].value for row in rows if row.kind in ("classical", "majority")]
    best = max((value for value in plain if value is not None), default=None)
    if best is not None:
        ax.axvline(best, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    ax.set_yticks(range(len(rows)), [short(name_of(row), 34) for row in rows], color=INK)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(HEADINGS[metric].lower())
    ax.set_title("circle: fine-tuned · square: as it came · diamond: classical", color=MUTED)
    caption = (
        "Intervals resample patients. Dashed: the best classical model; what lies to the left of it has not earned "
        "its place."
    )
    alt = "; ".join(f"{name_of(row)}: {both(row.metrics[metric])}" for row in rows)
    return figure, caption, alt
