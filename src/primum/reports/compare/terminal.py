"""The last words of a comparison."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from primum.records.compared import ComparisonRun, TaskTable
from primum.reports.compare import cells
from primum.reports.tables import number

_BROKEN = {
    "accuracy": "Accu-\nracy",
    "macro_f1": "Macro\nF1",
    "balanced_accuracy": "Bal.\nacc.",
    "precision": "Preci-\nsion",
    "recall": "Re-\ncall",
    "specificity": "Speci-\nficity",
    "balance_gap": "Bal.\ngap",
}
"""Headings on two lines, so that the table fits 80 columns."""


def print_comparison(console: Console, run: ComparisonRun, page: Path) -> None:
    """Print each task's table and summary, what failed, and where to read on. Nothing is read as markup."""
    for table in run.tables:
        console.print(_table(table))
        console.print(Text(table.summary, style="bold"))
        console.print()
    for name, why in run.failed.items():
        console.print(Text(f"{name}: {why}", style="bold red"))
    if run.failed:
        console.print(
            Text("The same command tries these again and repeats nothing that is done.", style="red")
        )
    console.print(Text("Report: ").append(str(page), style="bold"), soft_wrap=True)


def _table(found: TaskTable) -> Table:
    title = Text(f"{found.ground.task}: {len(found.ground.record_ids):,} records of validation", style="bold")
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("System", overflow="fold", min_width=18)
    metrics = cells.metrics_of(found)
    for metric in metrics:
        table.add_column(_BROKEN[metric], justify="right", no_wrap=True)
    table.add_column("Un-\nread", justify="right", no_wrap=True)
    for row in found.rows:
        values = [row.metrics[m].value if m in row.metrics else None for m in metrics]
        style = "bold cyan" if row.kind == "fine-tuned" else None
        table.add_row(Text(cells.name_of(row)), *map(number, values), cells.share(row.unread), style=style)
    return table
