"""The cells of a comparison's tables: the same for page, CSV and terminal."""

from __future__ import annotations

from collections.abc import Iterator

from primum.records.compared import ComparisonRun, Pair, SystemRow, TaskTable
from primum.records.watch import Interval
from primum.reports.tables import NO_VALUE, number, title

HEADINGS = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "balanced_accuracy": "Balanced acc.",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "balance_gap": "Balance gap",
}
"""Metric -> its heading, in the order of the table."""
KINDS = {"fine-tuned": "fine-tuned", "base": "as it came", "classical": "classical", "majority": "one answer"}


def name_of(row: SystemRow) -> str:
    """What people call a system."""
    return title(row.system)


def metrics_of(table: TaskTable) -> tuple[str, ...]:
    """The metrics that the task has, in the order of the table."""
    had = {metric for row in table.rows for metric in row.metrics}
    return tuple(metric for metric in HEADINGS if metric in had)


def both(found: Interval | None) -> str:
    """A value with its interval, or a dash."""
    if found is None or found.value is None:
        return NO_VALUE
    return f"{found.value:.3f} ({_end(found.low)} to {_end(found.high)})"


def share(value: float | None) -> str:
    """A share in per cent; 'none' for exactly 0."""
    return NO_VALUE if value is None else ("none" if value == 0 else f"{100 * value:.1f}%")


def spread(row: SystemRow) -> str:
    """The primary metric of the worst and the best seed."""
    return NO_VALUE if row.seeds < 2 else f"{number(row.least)} to {number(row.most)}"


def cost(row: SystemRow) -> tuple[str, str, str, str]:
    """Minutes to the best epoch, adapter in MB, latency at the median and the 95th percentile in ms."""
    if row.cost is None:
        return (NO_VALUE,) * 4
    return (
        f"{row.cost.seconds_to_best / 60:.1f}",
        f"{row.cost.adapter_bytes / 1e6:.2f}",
        f"{row.cost.latency_p50_ms:.0f}",
        f"{row.cost.latency_p95_ms:.0f}",
    )


RESULT_COLUMNS = (
    "task", "system", "kind", "seeds", "metric", "value", "lower", "upper", "unread", "unread_written",
    "seconds_to_best", "adapter_bytes", "latency_p50_ms", "latency_p95_ms", "failed",
)  # fmt: skip
PAIR_COLUMNS = ("task", "metric", "first", "second", "difference", "lower", "upper", "p", "p_holm", "won", "lost",
                "labels_needed")  # fmt: skip


def result_rows(run: ComparisonRun) -> Iterator[list[object]]:
    """One row per system and metric; a system that failed everywhere has one row without a metric."""
    for table in run.tables:
        for row in table.rows:
            took = row.cost
            costs = (
                [took.seconds_to_best, took.adapter_bytes, took.latency_p50_ms, took.latency_p95_ms]
                if took
                else [None] * 4
            )
            found: list[tuple[str | None, Interval | None]] = [*row.metrics.items()] or [(None, None)]
            for metric, value in found:
                ends = [value.value, value.low, value.high] if value else [None] * 3
                head = [table.ground.task, row.system, row.kind, row.seeds, metric]
                yield [*head, *ends, row.unread, row.unread_written, *costs, "; ".join(row.failed)]


def pair_rows(run: ComparisonRun) -> Iterator[list[object]]:
    """One row per pair."""
    for table in run.tables:
        for pair in table.pairs:
            d = pair.difference
            yield [
                table.ground.task, table.ground.metric, pair.first, pair.second, d.value, d.low, d.high,
                pair.p, pair.p_adjusted, pair.won, pair.lost, pair.labels_needed,
            ]  # fmt: skip


def answer_rows(table: TaskTable, answers: dict[str, tuple[str, ...]]) -> Iterator[list[object]]:
    """One row per compared record: its id, its label, what each system said."""
    ground = table.ground
    yield ["record_id", "label", *answers]
    for number_, (record, gold) in enumerate(zip(ground.record_ids, ground.gold, strict=True)):
        yield [record, gold, *(said[number_] for said in answers.values())]


def p_value(pair: Pair) -> str:
    """Holm's p-value as journals print it."""
    return "< 0.0001" if pair.p_adjusted < 0.0001 else f"{pair.p_adjusted:.4f}"


def _end(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:.3f}"
