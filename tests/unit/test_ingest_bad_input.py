"""Every way a source can be wrong ends in one line with file, row, column and mend, and writes nothing."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from test_ingest import HEADER, ROWS, make_task

from primum.errors import BadInput
from primum.ingest import ingest

GOOD = [row for row in ROWS if "\n" not in row]


def refusal(tmp_path: Path, content: bytes | str | None, name: str = "data.csv", **changes: Any) -> str:
    """The message that ingest ends in; checks what all messages have in common."""
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    kind = "jsonl" if "jsonl" in name else "parquet" if "parquet" in name else "csv"
    task = make_task(**{"source": {"kind": kind, "path": name}, **changes})
    with pytest.raises(BadInput) as caught:
        ingest(task, tmp_path, tmp_path / "out", 1)
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path) not in message, "a machine path stands in the message"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not (tmp_path / "out").exists()
    return message


def csv(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


CASES = {
    "no bytes": ("", ["data.csv: the file is empty"]),
    "header only": (HEADER + "\n", ["data.csv: the file holds no rows"]),
    "missing column": (
        csv(*GOOD, header=HEADER.replace("age", "Agee")),
        ["data.csv: no column 'age'", "`features`", "the nearest column is 'Agee'"],
    ),
    "missing label": (
        csv(*GOOD, header=HEADER.replace("outcome", "result")),
        ["no column 'outcome'", "`label.column`"],
    ),
    "no header": (
        csv(*["5,1,2,2020-01,64,1,3,1"] * 3, header="5,1,2,2020-01,64,1,3,1"),
        ["no column 'id'", "`keys.record_id`", "the first line holds numbers"],
    ),
    "semicolons": (csv(*GOOD).replace(",", ";"), ["no column 'id'", "separated by ';'"]),
    "column twice": (csv("1,2", header="age,age"), ["no column 'id'"]),
    "unknown label": (
        csv(*GOOD, "5,p9,north,,50,1,,2"),
        ["data.csv, row 4, column 'outcome': '2': unknown label value", "'0', '1'", "`label.classes`"],
    ),
    "text for a number": (
        csv(*GOOD, "5,p9,north,,Smith,1,,1"),
        ["data.csv, row 4, column 'age': text in a number column", "`missing`"],
    ),
    "a customary mark": (csv(*GOOD, "5,p9,north,,n/a,1,,1"), ["row 4, column 'age'", "('n/a')", "`missing`"]),
    "decimal comma": (csv(*GOOD, '5,p9,north,,"6,5",1,,1'), ["row 4, column 'age'", "a point, not a comma"]),
    "below range": (
        csv(*GOOD, "5,p9,north,,-3,1,,1"),
        ["row 4, column 'age': -3 is below the declared minimum 18 years", "change the range"],
    ),
    "above range": (csv(*GOOD, "5,p9,north,,1e3,1,,1"), ["row 4, column 'age': 1000 is above", "110 years"]),
    "not finite": (csv(*GOOD, "5,p9,north,,1e999,1,,1"), ["row 4, column 'age': not a finite number"]),
    "category": (csv(*GOOD, "5,p9,north,,50,3,,1"), ["row 4, column 'sex': value not allowed", "'1', '2'"]),
    "duplicate id": (
        csv(*GOOD, "1.0,p9,north,,50,1,,1"),
        ["data.csv, row 4, column 'id': this record id stands already in row 1"],
    ),
    "empty id": (csv(*GOOD, ",p9,north,,50,1,,1"), ["row 4, column 'id': is empty", "`keys.record_id`"]),
    "empty patient": (csv(*GOOD, "5,,north,,50,1,,1"), ["row 4, column 'person': is empty"]),
    "one class": (
        csv(*[f"{i},p{i},north,,50,1,,1" for i in range(5)]),
        ["data.csv, column 'outcome': all 5 labelled rows are of class 'yes'", "at least two classes"],
    ),
    "no label at all": (csv("1,p1,north,,50,1,,"), ["column 'outcome': no row has a label"]),
    "two sites": (
        csv(*GOOD, "5,p1,south,,50,1,,1"),
        ["data.csv, row 4, column 'ward': the patient of this row has another site in row 1"],
    ),
    "not UTF-8": (
        csv(*GOOD).encode() + b"5,p9,north,,50,1,M\xfcller,1\n",
        ["data.csv, row 4, column 'note': not UTF-8", "save the file as UTF-8"],
    ),
    "header not UTF-8": (b"id,\xe4ge\n1,2\n", ["data.csv, header: not UTF-8"]),
    "UTF-16": (csv(*GOOD).encode("utf-16"), ["data.csv, header: not UTF-8"]),
    "huge cell": (
        csv(*GOOD, f"5,p9,north,,50,1,{'x' * 2_000_000},1"),
        ["data.csv, row 4: the cell is larger than 1 MB"],
    ),
    "cell of 1 MB": (
        csv(*GOOD, f"5,p9,north,,50,1,{'x' * 1_000_000},1"),
        ["row 4, column 'note': the cell is larger than 1 MB"],
    ),
    "time": (csv(*GOOD, "5,p9,north,2020-13,50,1,,1"), ["row 4, column 'when': not a time", "ISO 8601"]),
    "too few cells": (csv(*GOOD, "", "5,p9,north"), ["data.csv, row 4: 3 cells where the header has 8"]),
    "too many cells": (csv("1,p1,north,,50,1,a, b,1"), ["data.csv, row 1: 9 cells where the header has 8"]),
    "open quote": (
        csv(*GOOD, '5,p9,north,,50,1,"no end,1', "6,p8,north,,50,1,,0"),
        ["row 4: a quote is never closed"],
    ),
    "text after a quote": (csv('1,p1,north,,50,1,"a" b,1'), ["data.csv, row 1: not valid CSV"]),
}


@pytest.mark.parametrize("name", CASES)
def test_csv(tmp_path: Path, name: str) -> None:
    content, parts = CASES[name]
    message = refusal(tmp_path, content)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("secret", ["Smith", "Jane Miller was seen by her daughter"])
def test_no_cell_text_in_messages(tmp_path: Path, secret: str) -> None:
    for row in (
        f"5,p9,north,,{secret},1,,1",
        f"5,p9,north,,50,{secret},,1",
        f"5,p9,north,{secret},50,1,,1",
        f"1,p9,north,,50,1,{secret},1",
    ):
        assert secret not in refusal(tmp_path, csv(*GOOD, row))
    assert secret not in refusal(tmp_path, csv(*GOOD, header=HEADER.replace("outcome", secret)))


def test_a_long_label_value_is_not_shown(tmp_path: Path) -> None:
    message = refusal(tmp_path, csv(*GOOD, "5,p9,north,,50,1,,a sentence about the patient"))
    assert "row 4, column 'outcome': unknown label value" in message
    assert "sentence" not in message


def test_required_feature(tmp_path: Path) -> None:
    features = [{"column": "age", "required": True, "missing": [0]}]
    message = refusal(tmp_path, csv(*GOOD), features=features)
    assert "row 2, column 'age': is not recorded, but the task requires it" in message


def test_the_first_bad_row_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, csv(*GOOD, "5,p9,north,,50,7,,1", "6,p9,north,,200,1,,1"))
    assert "row 4, column 'sex'" in message


def test_rows_are_counted_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.ingest.sources.CHUNK_ROWS", 2)
    message = refusal(
        tmp_path, csv(*[f"{i},p{i},north,,50,1,,{i % 2}" for i in range(6)], "7,p,north,,5,1,,1")
    )
    assert "row 7, column 'age'" in message
    message = refusal(tmp_path, csv(*[f"{i % 5},p{i},north,,50,1,,{i % 2}" for i in range(6)]))
    assert "row 6, column 'id': this record id stands already in row 1" in message


def test_one_class_left_by_the_sample(tmp_path: Path) -> None:
    source = {"path": "data.csv", "sample": 1}
    assert "all 1 labelled rows" in refusal(tmp_path, csv(*GOOD), source=source)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "data.csv: no such file" in refusal(tmp_path, None)
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv: is a folder" in refusal(tmp_path, None, "folder.csv")
    whole = gzip.compress(csv(*GOOD).encode())
    assert "cut.csv.gz: cannot be read (EOFError)" in refusal(tmp_path, whole[:-20], "cut.csv.gz")
    assert "plain.csv.gz: cannot be read (BadGzipFile)" in refusal(tmp_path, csv(*GOOD), "plain.csv.gz")
    assert "bad.parquet: cannot be read (ArrowInvalid)" in refusal(tmp_path, csv(*GOOD), "bad.parquet")


LINE = '{"id": 1, "person": "p", "ward": "n", "when": null, "age": 20, "sex": 1, "note": "", "outcome": 0}\n'


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "data.jsonl: the file is empty"),
        (LINE.encode() + b"\n{'id': 2}\n", "data.jsonl, row 2: not valid JSON"),
        (LINE.encode() + b"[1]\n", "data.jsonl, row 2: not a JSON object"),
        (LINE.encode() + b'{"note": "\xfc"}\n', "data.jsonl, row 2, byte 10: not UTF-8"),
        (LINE.replace("20", "[20]").encode(), "data.jsonl, row 1, column 'age': holds a list or an object"),
        (LINE.replace("20", "Infinity").encode(), "data.jsonl, row 1, column 'age'"),
        (LINE.replace("20", "true").encode(), "data.jsonl, row 1, column 'age': text in a number column"),
        (LINE.replace('""', '"\\ud800"').encode(), "data.jsonl, row 1, column 'note': not UTF-8"),
        (LINE.replace('"note"', '"notes"').encode(), "no column 'note'"),
    ],
)
def test_jsonl(tmp_path: Path, content: bytes, part: str) -> None:
    assert part in refusal(tmp_path, content, "data.jsonl")


def test_column_twice(tmp_path: Path) -> None:
    message = refusal(tmp_path, csv(*GOOD, header=HEADER.replace("note", "age")), features=["age"])
    assert "the column 'age' stands 2 times in the header" in message


@pytest.mark.parametrize(
    ("features", "part"),
    [
        ([{"column": "site"}], "feature 'site': is the name of a canonical column"),
        ([{"column": "sex", "values": {1: "male", "1.0": "m"}}], "two of the declared values mean '1'"),
        ([{"column": "sex", "kind": "number", "values": {1: "male"}}], "`values` are for categories"),
    ],
)
def test_task_that_cannot_be_ingested(tmp_path: Path, features: list[dict[str, Any]], part: str) -> None:
    assert part in refusal(tmp_path, csv(*GOOD), features=features)


def test_unknown_sklearn_set(tmp_path: Path) -> None:
    assert "scikit-learn bundles no 'boston'" in refusal(
        tmp_path, None, source={"kind": "sklearn", "name": "boston"}
    )
