"""What a comparison of models made and found."""

from __future__ import annotations

from typing import Literal

from primum.records.data import Predictions
from primum.records.frozen import Frozen
from primum.records.watch import Interval

SystemKind = Literal["fine-tuned", "base", "classical", "majority"]


class Cell(Frozen):
    """One model on one task with one seed."""

    task: str
    model: str
    seed: int

    @property
    def name(self) -> str:
        """How people and folders call it."""
        return f"{self.task} {self.model} seed {self.seed}"


class Ground(Frozen):
    """The records of a task that all cells are compared on, and what classical models say of them.

    `patients` and `gold` follow `record_ids`. They are the validation part of the task's split: no cell
    learns from it, and the holdout stays closed.
    """

    task: str
    split: str
    """The split version."""
    labels: tuple[str, ...]
    positive: str | None
    metric: str
    effect: float
    """The difference in `metric` that matters to the clinic."""
    fitted: int
    """Records that models learn from."""
    tuned: int
    """Records that their epochs, ranks and temperatures are chosen on."""
    record_ids: tuple[str, ...]
    patients: tuple[str, ...]
    gold: tuple[str, ...]
    classical: dict[str, Predictions] = {}
    notes: tuple[str, ...] = ()


class Cost(Frozen):
    """What a cell took."""

    base_id: str
    numerics: str
    rank: int
    best_epoch: int
    train_seconds: float
    seconds_to_best: float
    adapter_bytes: int
    latency_p50_ms: float
    latency_p95_ms: float
    """Of single records, one after the other."""
    cut: int
    """Records whose text did not fit and was cut."""


class CellResult(Frozen):
    """What came of a cell; one that failed says why and has nothing else."""

    cell: Cell
    error: str | None = None
    base: Predictions | None = None
    """The bare base model, without an example."""
    adapter: Predictions | None = None
    base_unread: float | None = None
    """Share of the written answers that cannot be read; None: none were written."""
    adapter_unread: float | None = None
    cost: Cost | None = None


class SystemRow(Frozen):
    """One line of a task's table. Seeds are pooled: each record counts once a seed, patients are resampled."""

    system: str
    kind: SystemKind
    seeds: int
    failed: tuple[str, ...] = ()
    """Why cells of it are missing."""
    metrics: dict[str, Interval] = {}
    least: float | None = None
    """The primary metric of the worst seed."""
    most: float | None = None
    unread: float | None = None
    """Share of answers that could not be read, of scored ones; all count as wrong."""
    unread_written: float | None = None
    """The same where the model wrote its answer freely."""
    cost: Cost | None = None
    """Of the first seed."""


class Pair(Frozen):
    """Two systems on the same records: first minus second."""

    first: str
    second: str
    difference: Interval
    p: float
    p_adjusted: float
    """After Holm, over the pairs of the task."""
    won: int
    """Patients whom the first gets more right."""
    lost: int
    labels_needed: int | None = None
    """More labelled patients that would show the difference that matters; None where one was shown."""


class TaskTable(Frozen):
    """What a comparison found on one task, the best system first."""

    ground: Ground
    rows: tuple[SystemRow, ...]
    pairs: tuple[Pair, ...]
    summary: str
    """One or two sentences: who is shown better than whom, or that none is."""


class ComparisonRun(Frozen):
    """One run of the compare pipeline."""

    at: str
    alpha: float
    tables: tuple[TaskTable, ...]
    failed: dict[str, str] = {}
    """Task or cell -> why it could not be compared."""
