"""The folder of a comparison, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from primum.records.compared import ComparisonRun
from primum.reports.compare import cells
from primum.reports.files import json_text, write_folder
from primum.reports.tables import csv_text

MARKER = "compare.json"


def write_comparison(
    out: Path, run: ComparisonRun, answers: Mapping[str, dict[str, tuple[str, ...]]]
) -> Path:
    """Write compare.html, results.csv, pairs.csv, a table of answers per task, the figures and compare.json.

    `answers` is task -> system -> what it said of each record. Returns the page. Raises as `write_folder`.
    """
    write_folder(out, lambda folder: _write(folder, run, answers), MARKER)
    return out / "compare.html"


def _write(folder: Path, run: ComparisonRun, answers: Mapping[str, dict[str, tuple[str, ...]]]) -> None:
    from primum.reports import figures  # late: matplotlib
    from primum.reports.compare.figure import drawing_of
    from primum.reports.compare.page import comparison_page

    texts = {
        "results.csv": csv_text([cells.RESULT_COLUMNS, *cells.result_rows(run)]),
        "pairs.csv": csv_text([cells.PAIR_COLUMNS, *cells.pair_rows(run)]),
        "compare.html": comparison_page(run),
        MARKER: json_text(run),
    }
    for table in run.tables:
        rows = cells.answer_rows(table, answers[table.ground.task])
        texts[f"answers_{table.ground.task}.csv"] = csv_text(rows)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    drawn = [drawing_of(table) for table in run.tables]
    figures.save(tuple(drawing for drawing in drawn if drawing is not None), folder / "figures")
