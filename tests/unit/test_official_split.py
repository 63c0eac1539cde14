"""A benchmark's own split is kept; what leaks between its parts is counted, named by row and, if asked, dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from primum.config import TaskConfig, load_run
from primum.errors import BadInput
from primum.ingest import ingest
from primum.records import Lineage
from primum.rotation import rotate
from primum.split import Assignment, assign, leakage
from primum.split_folder import write_parts

WORDS = np.array([a + b for a in "bcdfghklmnprst" for b in ("ale", "one", "ite", "ark", "um", "ost")])
COLUMNS = {"fold": {"column": "fold", "train": ["1", 2], "validation": 3, "test": [4]}}


def text(number: int, words: int = 30) -> str:
    return " ".join(np.random.default_rng(number).choice(WORDS, words))


def task_of(official: dict[str, Any] | None, **more: Any) -> TaskConfig:
    split = {"official": official, "min_test": 10, "min_per_class": 2} | more.pop("split", {})
    return TaskConfig.model_validate(
        {
            "name": "bench",
            "source": {"kind": "json", "path": "bench.json"},
            "label": {"column": "y", "classes": ["no", "yes"]},
            "features": [{"column": "note", "kind": "text"}],
            "prompt": {"question": "Is it?"},
            "split": split,
        }
        | more
    )


def bench(folds: dict[int, int]) -> list[dict[str, Any]]:
    """Rows of each fold (fold -> how many), each with a text of its own."""
    rows = [fold for fold, count in folds.items() for _ in range(count)]
    return [{"fold": fold, "y": ["no", "yes"][i % 2], "note": text(i)} for i, fold in enumerate(rows)]


def run(
    folder: Path, rows: list[dict[str, Any]], task: TaskConfig, seed: int = 1
) -> tuple[pd.DataFrame, Assignment]:
    (folder / "bench.json").write_text(json.dumps(rows), encoding="utf-8")
    report = ingest(task, folder, folder / "out", seed)
    records = pd.read_parquet(report.path)
    return records, assign(records, task, seed)


def test_a_column_of_folds_is_kept(tmp_path: Path) -> None:
    records, found = run(tmp_path, bench({1: 20, 2: 10, 3: 10, 4: 20}), task_of(COLUMNS["fold"]))
    assert list(found.part) == list(records["official"])
    assert pd.Series(found.part).value_counts().to_dict() == {"train": 30, "test": 20, "validation": 10}
    assert found.notes == ()
    assert sorted(records["row"]) == list(range(1, 61))


def test_without_validation_it_is_taken_from_training_by_patient(tmp_path: Path) -> None:
    rows = [row | {"who": i // 2} for i, row in enumerate(bench({1: 80, 4: 20}))]
    task = task_of(COLUMNS["fold"], keys={"patient_id": "who"})
    records, found = run(tmp_path, rows, task)
    assert ((records["official"] == "test") == (found.part == "test")).all(), "the test part is as published"
    assert (found.part == "validation").sum() == pytest.approx(80 * 0.15 / 0.65, abs=2)
    assert records.groupby("patient_id")["official"].count().max() == 2
    assert (pd.Series(found.part).groupby(records["patient_id"]).nunique() == 1).all()
    assert (
        run(tmp_path, rows[::-1], task)[1].notes
        == found.notes
        == (f"official split: {(found.part == 'validation').sum()} validation records are from training",)
    )
    assert (run(tmp_path, rows, task, seed=2)[1].part != found.part).any()


def leaky() -> list[dict[str, Any]]:
    """Row 2 (training) is a test text, row 3 nearly one of validation, row 22 (validation) nearly one of test."""
    rows = bench({1: 20, 3: 10, 4: 15})
    rows[1] |= {"note": rows[30]["note"].upper() + "!"}
    rows[2] |= {"note": rows[25]["note"] + " and so on"}
    rows[21] |= {"note": "before that " + rows[40]["note"]}
    return rows


def test_leaks_are_counted_and_named_by_row_and_the_gate_still_sees_them(tmp_path: Path) -> None:
    records, found = run(tmp_path, leaky(), task_of(COLUMNS["fold"]))
    assert found.notes == (
        "official split: 1 train record(s) share patient, row or text with the test part: row 2",
        "official split: 1 validation record(s) share patient, row or text with the test part: row 22",
        "official split: 1 train record(s) share patient, row or text with the validation part: row 3",
    )
    assert not any(word in " ".join(found.notes) for word in WORDS[:3]), "no text is shown"
    learned, test = records[found.part != "test"], records[found.part == "test"]
    assert leakage(learned, test, task_of(COLUMNS["fold"])).near_duplicates == 2


def test_dropped_leaks_leave_the_test_part_whole(tmp_path: Path) -> None:
    task = task_of(COLUMNS["fold"] | {"drop_leaks": True})
    records, found = run(tmp_path, leaky(), task)
    assert set(records.loc[found.part == "", "row"]) == {2, 3, 22}
    assert found.notes[-1] == "official split: 3 record(s) were left out (drop_leaks)"
    learned = records[np.isin(found.part, ["train", "validation"])]
    shared = leakage(learned, records[found.part == "test"], task)
    assert (shared.patients, shared.identical_rows, shared.near_duplicates) == (0, 0, 0)
    assert (found.part == "test").sum() == 15
    folder = tmp_path / "split"
    folder.mkdir()
    write_parts(folder, tmp_path / "out" / "records.parquet", found, task, 1, Lineage(), "all")
    assert len(pd.read_parquet(folder / "train.parquet")) == 18


def test_a_patient_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    rows = [row | {"who": i} for i, row in enumerate(bench({1: 20, 3: 10, 4: 15}))]
    rows[0]["who"] = rows[30]["who"]
    _, found = run(tmp_path, rows, task_of(COLUMNS["fold"], keys={"patient_id": "who"}))
    assert found.notes == (
        "official split: 1 train record(s) share patient, row or text with the test part: row 1",
    )


def test_the_same_patient_number_in_the_parts_of_one_dataset_is_one_patient(tmp_path: Path) -> None:
    rows = [row | {"id": i % 20, "who": i % 20} for i, row in enumerate(bench({1: 20, 4: 20}))]
    parts = []
    for name, own in (("train", rows[:20]), ("test", rows[20:])):
        (tmp_path / f"{name}.json").write_text(json.dumps({str(row["id"]): row for row in own}))
        parts.append({"name": "bench", "part": name, "source": {"kind": "json", "path": f"{name}.json"}})
    source = {"kind": "mix", "parts": parts}
    alone = task_of({}, source=source, keys={"record_id": "id"})
    records, found = run(tmp_path, [], alone)
    assert set(records["record_id"]) == {f"bench/{p}/{i}" for p in ("train", "test") for i in range(20)}
    assert set(records["site"]) == {"all"}, "the parts of one dataset are no sites"
    assert not [note for note in found.notes if "share" in note]
    tied = task_of({}, source=source, keys={"record_id": "id", "patient_id": "who"})
    notes = run(tmp_path, [], tied)[1].notes
    assert sum("share patient" in note for note in notes) == 2


@pytest.mark.parametrize(
    ("folds", "official", "line"),
    [
        (
            {1: 20, 3: 10},
            COLUMNS["fold"],
            "no labelled record of the official test part (column 'fold'); list",
        ),
        (
            {3: 20, 4: 20},
            COLUMNS["fold"],
            "no labelled record of the official train part (column 'fold'); list",
        ),
        ({1: 20, 3: 10, 4: 5}, COLUMNS["fold"], "the holdout would hold 5 of 35 patients and needs 10"),
        (
            {1: 20, 3: 1, 4: 20},
            COLUMNS["fold"],
            "class 'yes' is too small: of its 20 records train 10, validation 0",
        ),
        (
            {1: 20, 3: 10, 4: 20, 7: 1},
            COLUMNS["fold"],
            "bench.json, row 51, column 'fold': belongs to no part",
        ),
        ({1: 20}, {"column": "split"}, "no column 'split', which `split.official.column` of the task names"),
    ],
)
def test_a_benchmark_without_what_was_asked_for(
    tmp_path: Path, folds: dict[int, int], official: dict[str, Any], line: str
) -> None:
    with pytest.raises(BadInput) as problem:
        run(tmp_path, bench(folds), task_of(official))
    assert line in str(problem.value)
    assert "\n" not in str(problem.value)


PARTS = {"kind": "mix", "parts": [{"name": "b", "part": p, "source": {"path": p}} for p in ("train", "test")]}


@pytest.mark.parametrize(
    ("official", "more", "line"),
    [
        ({}, {}, "name the column that holds the benchmark's own split"),
        (None, {"source": PARTS}, "say `split: {official: {}}` as well"),
        ({"column": "fold"}, {"source": PARTS}, "one of the two"),
        ({"column": "fold", "train": [1], "test": [1]}, {}, "one value means two parts"),
        ({"column": "fold", "test": []}, {}, "needs values that mean train and values that mean test"),
        ({"column": "note"}, {}, "which no model may see"),
    ],
)
def test_a_configuration_that_does_not_fit(
    official: dict[str, Any] | None, more: dict[str, Any], line: str
) -> None:
    with pytest.raises(ValueError, match=line.replace("{", r"\{").replace("}", r"\}")):
        task_of(official, **more)


def test_there_is_no_next_holdout(tmp_path: Path) -> None:
    task = task_of(COLUMNS["fold"])
    records, _ = run(tmp_path, bench({1: 20, 3: 10, 4: 20}), task)
    with pytest.raises(BadInput, match="keeps a benchmark's own split, which has one test part"):
        rotate(records, records.head(0), task, 1)


def test_a_split_that_asks_for_none_of_it_keeps_its_manifest(tmp_path: Path) -> None:
    task = task_of(None)
    records, found = run(tmp_path, bench({1: 60}), task)
    assert "official" not in records
    write_parts(tmp_path, tmp_path / "out" / "records.parquet", found, task, 1, Lineage(), "all")
    held = json.loads((tmp_path / "split.json").read_text())["split"]
    assert not {"official", "contamination"} & set(held), "its hash is the one that it always had"


def test_mts_dialog(project: Path, shared_data: Path, tmp_path: Path) -> None:
    """The published figures of the data: 1,201 / 100 / 200 dialogues; a few stand in two parts."""
    task = load_run(project / "configs", None, {"task": "mts_header"}).task
    report = ingest(task, project, tmp_path, 42)
    records = pd.read_parquet(report.path)
    found = assign(records, task, 42)
    assert records["official"].value_counts().to_dict() == {"train": 1201, "test": 200, "validation": 100}
    assert pd.Series(found.part).value_counts().to_dict() == {
        "train": 1193,
        "test": 200,
        "validation": 100,
        "": 8,
    }
    assert found.notes[0].startswith(
        "official split: 4 train record(s) share patient, row or text with the test"
    )
    learned = records[np.isin(found.part, ["train", "validation"])]
    assert leakage(learned, records[found.part == "test"], task).near_duplicates == 0
