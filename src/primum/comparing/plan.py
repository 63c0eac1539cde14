"""What a comparison is going to do, and where what it has finished is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from primum.comparing.analysis import table
from primum.comparing.ground import prepare
from primum.config import RunConfig
from primum.failures import why_one
from primum.journal import once
from primum.records import Frozen, Predictions, SplitVersion
from primum.records.compared import Cell, CellResult, ComparisonRun, Ground
from primum.workspace import Workspace, only_run


class Planned(Frozen):
    """A cell and the configuration that it runs with."""

    cell: Cell
    config: RunConfig


class Standing(Frozen):
    """A task's ground and split, or why it has none."""

    task: str
    split: SplitVersion | None = None
    ground: Ground | None = None
    error: str | None = None


class Comparison(Frozen):
    """Everything that the steps of a comparison share."""

    cells: tuple[Planned, ...]
    grounds: tuple[Standing, ...]
    folder: str
    out: str

    def planned(self, name: str) -> Planned:
        """The cell of that name."""
        return next(planned for planned in self.cells if planned.cell.name == name)

    def standing(self, task: str) -> Standing:
        """The ground of that task."""
        return next(found for found in self.grounds if found.task == task)


def open_comparison(
    workspace: Workspace, cells: tuple[Planned, ...], code: str, out: str, progress: Callable[[str], None]
) -> Comparison:
    """Prepare every task once. A task that cannot be read is named and leaves the others whole.

    What is finished lies in a folder that is named after code, cells and splits, so the same command continues it.
    """
    grounds = []
    for task in dict.fromkeys(planned.cell.task for planned in cells):
        config = next(planned.config for planned in cells if planned.cell.task == task)
        progress(f"{task}: records and classical models")
        try:
            with only_run(workspace, task, progress):  # a finetune of the task may be moving its split
                split, ground = prepare(workspace, config)
            grounds.append(Standing(task=task, split=split, ground=ground))
        except Exception as error:  # one task must not stop the others
            grounds.append(Standing(task=task, error=why_one(error)))
    named = [planned.config.content_hash() for planned in cells]
    versions = [found.split.dvc_hash for found in grounds if found.split is not None]
    key = hashlib.sha256("\n".join([code, *named, *versions]).encode()).hexdigest()[:16]
    folder = workspace.state / "compare" / key
    return Comparison(cells=cells, grounds=tuple(grounds), folder=str(folder), out=out)


def finished(comparison: Comparison, planned: Planned, make: Callable[[Path], CellResult]) -> CellResult:
    """The result of a cell, made once; one that fails says why, is not kept, and is tried again by a next call."""
    cell, folder = planned.cell, Path(comparison.folder)
    standing = comparison.standing(cell.task)
    if standing.error is not None:
        return CellResult(cell=cell, error=standing.error)
    name = f"{cell.task}+{cell.model}+{cell.seed}"  # no name holds a plus: none is another's
    try:
        return once(folder, name, CellResult, lambda: make(folder / "work" / name))
    except Exception as error:  # one cell must not stop the others
        return CellResult(cell=cell, error=why_one(error))


def conclude(
    comparison: Comparison, results: tuple[CellResult, ...], at: str
) -> tuple[ComparisonRun, dict[str, dict[str, tuple[str, ...]]]]:
    """The finished comparison, and task -> system -> what it said of each record."""
    tables, answers = [], {}
    for found in comparison.grounds:
        if found.ground is None:
            continue
        config = next(planned.config for planned in comparison.cells if planned.cell.task == found.task)
        mine = [result for result in results if result.cell.task == found.task]
        tables.append(table(found.ground, mine, config.compare, config.seed))
        answers[found.task] = _answers(found.ground, mine)
    failed = {found.task: found.error for found in comparison.grounds if found.error is not None}
    failed |= {r.cell.name: r.error for r in results if r.error is not None and r.cell.task not in failed}
    alpha = comparison.cells[0].config.compare.alpha
    return ComparisonRun(at=at, alpha=alpha, tables=tuple(tables), failed=failed), answers


def _answers(ground: Ground, results: list[CellResult]) -> dict[str, tuple[str, ...]]:
    """System (one per seed) -> its answers, for who wants to compute something else."""
    said: dict[str, Predictions] = {**ground.classical}
    for result in results:
        if result.base is not None:
            said[f"{result.cell.model} (base)"] = result.base
        if result.adapter is not None:
            said[f"{result.cell.model} seed {result.cell.seed}"] = result.adapter
    return {name: predictions.predicted for name, predictions in said.items()}
