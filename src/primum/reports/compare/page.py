"""The page of a comparison: per task the table, the figure, and every pairwise difference."""

from __future__ import annotations

from primum.records.compared import ComparisonRun
from primum.reports.compare import cells


def comparison_page(run: ComparisonRun) -> str:
    """Write the page. Pure: an identical run gives the identical text."""
    from primum.reports.compare.figure import drawing_of  # late: matplotlib
    from primum.reports.html import inline, template

    drawings = [drawing_of(table) for table in run.tables]
    return template("compare/page.html.j2").render(
        run=run,
        tables=[
            (table, drawing, inline(drawing) if drawing is not None else None)
            for table, drawing in zip(run.tables, drawings, strict=True)
        ],
        cells=cells,
    )
