"""What ingest writes: columns, ids, samples and notes, whatever the order of the rows."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.config import TaskConfig
from primum.errors import BadInput, Unavailable
from primum.ingest import identity, ingest, ingest_unlabelled
from primum.ingest.notes import spike
from primum.records import IngestReport

HEADER = "id,person,ward,when,age,sex,note,outcome"
ROWS = [
    "1,p1,north,2020-01,64,1,breathless on exertion,1",
    "2,p1,north,2020-02-03,0,2.0,,0",
    '3,p2,south,2020-02-03 10:30,71.5,1.0,"two lines,\nand a comma",0.0',
    "4,p3,south,,,,well,1.0",
]


def make_task(**changes: Any) -> TaskConfig:
    data: dict[str, Any] = {
        "name": "demo",
        "source": {"path": "data.csv"},
        "keys": {"record_id": "id", "patient_id": "person", "site": "ward", "time": "when"},
        "label": {"column": "outcome", "classes": {"no": 0, "yes": 1}},
        "features": [
            {"column": "age", "unit": "years", "minimum": 18, "maximum": 110, "missing": [0, "unknown"]},
            {"column": "sex", "values": {1: "male", 2: "female"}, "missing": [9]},
            {"column": "note", "kind": "text"},
        ],
        "prompt": {"question": "Outcome?"},
    }
    return TaskConfig.model_validate(data | changes)


def run(tmp_path: Path, rows: list[str], seed: int = 1, **changes: Any) -> tuple[IngestReport, pd.DataFrame]:
    (tmp_path / "data.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    report = ingest(make_task(**changes), tmp_path, tmp_path / "out", seed)
    return report, pd.read_parquet(report.path)


def test_writes_canonical_columns(tmp_path: Path) -> None:
    report, records = run(tmp_path, ROWS)
    assert list(records) == ["record_id", "patient_id", "site", "time", "label", "age", "sex", "note"]
    assert list(records["record_id"]) == ["1", "2", "3", "4"]
    assert list(records["label"]) == ["yes", "no", "no", "yes"]
    assert records["age"].dtype == np.float64
    assert records["age"].tolist()[:1] == [64.0]
    assert list(records["sex"][:3]) == ["1", "2", "1"]
    assert list(records["time"][:3]) == ["2020-01", "2020-02-03", "2020-02-03T10:30:00"]
    assert records["note"][2] == "two lines,\nand a comma"
    assert report.rows == 4
    assert report.patients == 3
    assert report.sites == ("north", "south")
    assert report.label_counts == {"no": 2, "yes": 2}


def test_missing_values_in_disguise_are_counted(tmp_path: Path) -> None:
    report, records = run(tmp_path, [*ROWS, "5,p4,south,,unknown,9.0,NaN,0"])
    assert report.missing == {"age": 3, "sex": 2, "note": 2}
    assert report.disguised == {"age": 2, "sex": 1, "note": 0}
    assert records["age"].isna().sum() == 3


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    report, records = run(tmp_path, [*ROWS, "5,p4,south,,40,1,well,", "6,p5,south,,40,1,well, "])
    assert len(records) == report.rows == 4
    assert report.notes == ("2 row(s) without a label were left out",)


def test_an_absent_class_is_noted(tmp_path: Path) -> None:
    label = {"column": "outcome", "classes": {"no": 0, "yes": 1, "maybe": 2}}
    report, _ = run(tmp_path, ROWS, label=label)
    assert report.label_counts["maybe"] == 0
    assert "no record of class 'maybe'" in report.notes


def test_without_keys_ids_come_from_the_content(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0], ROWS[0]]
    report, records = run(tmp_path, rows, keys={})
    again, shuffled = run(tmp_path, rows[::-1], keys={})
    ids = set(records["record_id"])
    assert records["record_id"].str.fullmatch(r"row-[0-9a-f]{12}(-[23])?").all()
    assert {i.partition("-")[2][12:] for i in ids} == {"", "-2", "-3"}
    assert list(records["patient_id"]) == list(records["record_id"])
    assert set(records["site"]) == {"all"}
    assert "2 row(s) are identical to an earlier one" in report.notes
    assert again.sha256 == report.sha256
    pd.testing.assert_frame_equal(records, shuffled)


def test_ids_that_share_their_digits_follow_the_full_hash() -> None:
    low, high = "a" * 12 + "0" * 52, "a" * 12 + "f" * 52
    assert identity.ids_from([high, low, "b" * 64]) == [
        "row-aaaaaaaaaaaa-2",
        "row-aaaaaaaaaaaa",
        "row-bbbbbbbbbbbb",
    ]
    assert identity.ids_from([low, high]) == ["row-aaaaaaaaaaaa", "row-aaaaaaaaaaaa-2"]


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(12)), seed=st.integers(0, 5))
def test_sample_depends_on_ids_and_seed_only(order: list[int], seed: int) -> None:
    ids = [f"r{i}" for i in range(12)]
    shuffled = [ids[i] for i in order]
    kept = {ids[i] for i in identity.sample(ids, 5, seed)}
    assert len(kept) == 5
    assert {shuffled[i] for i in identity.sample(shuffled, 5, seed)} == kept


def test_sample_size_and_seed(tmp_path: Path) -> None:
    rows = [f"{i},p{i},north,,{20 + i},1,,{i % 2}" for i in range(60)]
    source = {"path": "data.csv", "sample": 20}
    report, first = run(tmp_path, rows, seed=1, source=source)
    random.Random(3).shuffle(rows)  # noqa: S311
    _, same = run(tmp_path, rows, seed=1, source=source)
    _, other = run(tmp_path, rows, seed=2, source=source)
    assert len(first) == 20
    assert report.notes == ("sample: 20 of 60 labelled rows kept (seed 1)",)
    assert list(first["record_id"]) == list(same["record_id"])
    assert list(first["record_id"]) != list(other["record_id"])
    everything, _ = run(tmp_path, rows, source={"path": "data.csv", "sample": 500})
    assert everything.rows == 60


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(18, 110), CELL), min_size=2, max_size=20), st.randoms())
def test_order_independent(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[float, str]], shuffle: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("order")
    frame = pd.DataFrame(
        [{"age": age, "note": note, "outcome": i % 2} for i, (age, note) in enumerate(cells)]
    )
    features = ["age", {"column": "note", "kind": "text"}]
    hashes = set()
    for _ in range(2):
        frame.to_csv(folder / "data.csv", index=False)
        hashes.add(ingest(make_task(keys={}, features=features), folder, folder / "out", 0).sha256)
        frame = frame.sample(frac=1, random_state=shuffle.randrange(99))
    assert len(hashes) == 1


def test_numbers_survive_exactly(tmp_path: Path) -> None:
    numbers = ["+5", ".5", "5.", "-3e2", "0.1", "1E-3", " 7 ", "123456789.123"]
    rows = [f"{i},p{i},north,,{number},1,,{i % 2}" for i, number in enumerate(numbers)]
    _, records = run(tmp_path, rows, features=["age"])
    assert records["age"].tolist() == [5, 0.5, 5, -300, 0.1, 0.001, 7, 123456789.123]


def test_undeclared_code_for_missing_is_named(tmp_path: Path) -> None:
    rows = [f"{i},p{i},north,,{0 if i % 8 == 0 else 150 + 3 * i},1,,{i % 2}" for i in range(80)]
    report, _ = run(tmp_path, rows, features=["age"])
    assert report.notes == (
        "warning: 'age' is 0 in 10 rows; if that means not recorded, list it under `missing` of the feature",
    )
    quiet, _ = run(tmp_path, rows, features=[{"column": "age", "missing": [0]}])
    assert quiet.notes == ()


def test_undeclared_mark_in_an_open_category_is_named(tmp_path: Path) -> None:
    rows = [f"{i},p{i},north,,20,{'Unknown' if i < 3 else 'a'},,{i % 2}" for i in range(9)]
    report, _ = run(tmp_path, rows, features=[{"column": "sex", "kind": "category"}])
    assert report.notes[0].startswith("warning: 'sex' is 'Unknown' in 3 rows")


CHOLESTEROL = np.random.default_rng(1).normal(246, 52, 200).round()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([0] * 20 + list(CHOLESTEROL), 0.0),
        ([999] * 20 + list(CHOLESTEROL), 999.0),
        ([0] * 3 + list(CHOLESTEROL), None),  # below 5%: an outlier perhaps, no habit
        ([0] * 50 + [1] * 50, None),  # a flag
        ([0, 1, 2, 3, 4] * 20, None),  # a score
        (
            np.round(np.random.default_rng(0).exponential(1, 300), 1).tolist() + [0.0] * 100,
            None,
        ),  # true zeros
        ([], None),
    ],
)
def test_spike(values: list[float], code: float | None) -> None:
    assert spike(np.array(values, dtype=float)) == code


def test_unlabelled_records_for_prediction(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("id,person,ward,when,age,sex,note\n9,p1,north,,30,1,\n8,p2,south,,40,2,well\n")
    report = ingest_unlabelled(make_task(), file, tmp_path / "out")
    records = pd.read_parquet(report.path)
    assert list(records["record_id"]) == ["8", "9"]
    assert list(records["row"]) == [2, 1]
    assert records["label"].isna().all()
    assert report.label_counts == {}
    file.write_text("id,person,ward,when,age,sex,note\n9,p1,north,,300,1,\n")
    with pytest.raises(BadInput, match="row 1, column 'age': 300 is above the declared maximum 110 years"):
        ingest_unlabelled(make_task(), file, tmp_path / "out")
    with pytest.raises(BadInput, match=r"new\.xlsx: unknown kind of file"):
        ingest_unlabelled(make_task(), tmp_path / "new.xlsx", tmp_path / "out")


def test_progress_ends_complete(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("\n".join([HEADER, *ROWS]))
    calls: list[tuple[str, int, int]] = []
    ingest(make_task(), tmp_path, tmp_path / "out", 0, lambda *call: calls.append(call))
    assert calls[-1] == ("ingest", 4, 4)
    assert all(done < total for _, done, total in calls[:-1])


def test_a_target_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(Unavailable, match="out: cannot be written"):
        run(tmp_path, ROWS)
    with pytest.raises(Unavailable, match="cannot be written"):
        ingest(make_task(), tmp_path, tmp_path / "out" / "deeper", 1)


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    report, _ = run(tmp_path, ROWS)
    before = Path(report.path).read_bytes()
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(Unavailable, match=r"cannot be written.*No space left on device"):
        run(tmp_path, ROWS[:3])
    assert Path(report.path).read_bytes() == before
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["records.parquet"]
    assert all(letter in string.hexdigits for letter in report.sha256)
