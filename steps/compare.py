"""The stages of a comparison: the tasks' records, one model after the other, the table.

Cells are mapped by name, and results travel as JSON: of a list's elements ZenML takes the type from the source
tree (`src.primum`), where it is another class than the installed one.
"""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step
from zenml.types import HTMLString

from primum.backends import open_backend
from primum.comparing import plan
from primum.comparing.cell import run_cell
from primum.comparing.ground import parts_of
from primum.comparing.plan import Comparison, Planned
from primum.progress import say, show
from primum.records import Frozen
from primum.records.compared import CellResult, ComparisonRun
from primum.registry import utc_now
from primum.reports.compare import comparison_page, write_comparison
from primum.stack.store import code_hash
from primum.workspace import find_workspace, held


class Cells(Frozen):
    """What is to be compared."""

    planned: tuple[Planned, ...]


@step(enable_cache=False)  # the sources may have changed; finished cells are kept beside
def open_comparison(
    cells: Cells, output: str
) -> tuple[Annotated[Comparison, "comparison"], Annotated[list[str], "cells"]]:
    """Read every task, and name what is to be done."""
    opened = plan.open_comparison(find_workspace(), cells.planned, code_hash(), output, say)
    return opened, [planned.cell.name for planned in cells.planned]


@step(enable_cache=False)
def compare_cell(cell: str, comparison: Comparison) -> Annotated[str, "result"]:
    """Train and score one model. A failure there is this cell's result and leaves the others whole."""
    workspace, planned = find_workspace(), comparison.planned(cell)
    config = planned.config

    def make(folder: Path) -> CellResult:
        split = comparison.standing(planned.cell.task).split
        if split is None:
            raise RuntimeError("a task without a split has no cell to make")
        backend = open_backend(config.model, config.stack, workspace.project)
        return run_cell(planned.cell, config, parts_of(workspace, split, config), backend, folder, show)

    with held(workspace, "compare.cell", cell, lambda _: None):  # one model in memory at a time
        say(cell)
        result = plan.finished(comparison, planned, make)
    if result.error is not None:
        say(f"{cell}: failed: {result.error}")
    return result.model_dump_json()


@step(enable_cache=False)
def report_comparison(
    comparison: Comparison, results: list[str]
) -> tuple[Annotated[HTMLString, "comparison_page"], Annotated[ComparisonRun, "comparison_run"]]:
    """Write the folder of the comparison; its page is shown in the dashboard."""
    found = tuple(map(CellResult.model_validate_json, results))
    run, answers = plan.conclude(comparison, found, f"{utc_now():%Y-%m-%d %H:%M}")
    write_comparison(Path(comparison.out), run, answers)
    log_metadata({table.ground.task: table.summary for table in run.tables})
    return HTMLString(comparison_page(run)), run
