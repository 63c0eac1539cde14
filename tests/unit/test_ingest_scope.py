"""Which records are read: a site's, those that exist on a day, those whose outcome is known; repeated deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_ingest import HEADER, make_task

from primum import moments
from primum.config import TaskConfig
from primum.errors import BadInput
from primum.ingest import by_site, ingest, ingest_unlabelled, ingest_window
from primum.ingest.sites import plain
from primum.records import IngestReport

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROWS = [
    "1,p1,north,1994-01,64,1,,1",
    "2,p2,north,1994-01-15,50,2,,0",
    "3,p3,north,1994-03,71,1,,",
    "4,p4,south,1994-02,40,1,,1",
    "5,p5,south,1994-06-01T10:00:00,41,2,,0",
    "6,p6,south,,42,2,,0",
]
LABEL = {"column": "outcome", "classes": {"no": 0, "yes": 1}}


def day(text: str) -> datetime:
    return moments.ends(text)


def task_of(days: int = 0, **changes: Any) -> TaskConfig:
    return make_task(label={**LABEL, "matures_after_days": days}, **changes)


def write(folder: Path, rows: list[str], header: str = HEADER) -> None:
    (folder / "data.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def run(
    folder: Path, rows: list[str] = ROWS, days: int = 0, changes: dict[str, Any] | None = None, **scope: Any
) -> tuple[IngestReport, list[str]]:
    write(folder, rows)
    report = ingest(task_of(days, **changes or {}), folder, folder / "out", 1, **{"now": NOW, **scope})
    return report, list(pd.read_parquet(report.path)["record_id"])


def window(
    folder: Path, rows: list[str] = ROWS, days: int = 0, **scope: Any
) -> tuple[IngestReport, pd.DataFrame]:
    write(folder, rows)
    report = ingest_window(task_of(days), folder, folder / "out", now=NOW, **scope)
    return report, pd.read_parquet(report.path)


def refusal(folder: Path, rows: list[str] = ROWS, **arguments: Any) -> str:
    before = sorted(folder.glob("out/*"))
    with pytest.raises(BadInput) as caught:
        run(folder, rows, **arguments)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert sorted(folder.glob("out/*")) == before
    return str(caught.value)


def test_without_scope_nothing_changes(tmp_path: Path) -> None:
    report, ids = run(tmp_path)
    assert ids == ["1", "2", "4", "5", "6"]
    assert report.notes == ("1 row(s) without a label were left out",)
    assert report.left_out == {"unlabelled": 1}
    late, _ = run(tmp_path, at=day("2000"))
    assert late.sha256 == report.sha256
    dated, _ = run(tmp_path, ROWS[:5])
    matured, _ = run(tmp_path, ROWS[:5], days=183)
    assert matured.sha256 == dated.sha256
    assert matured.notes == dated.notes


def test_records_of_later_do_not_exist(tmp_path: Path) -> None:
    report, ids = run(tmp_path, at=day("1994-02"))
    assert ids == ["1", "2", "4", "6"], "a record without a time exists always"
    assert report.notes == ("2 record(s) later than 1994-02-28 were left out",)
    assert report.left_out == {"later": 2}
    _, ids = run(tmp_path, [*ROWS, "7,p7,south,1994,43,1,,1"], at=day("1994-06-01"))
    assert ids == ["1", "2", "4", "5", "6"], "1994 may mean December"
    _, ids = run(tmp_path, at=datetime(1994, 2, 28, tzinfo=UTC))
    assert ids == ["1", "2", "6"], "the month was not over at midnight"


def test_outcomes_take_their_time(tmp_path: Path) -> None:
    report, ids = run(tmp_path, days=28, at=day("1994-02-28"))
    assert ids == ["1", "2"]
    assert report.notes == (
        "2 record(s) later than 1994-02-28 were left out",
        "1 record(s) without a time were left out",
        "1 record(s) whose outcome is not known yet (28 days) were left out",
    )
    assert report.left_out == {"later": 2, "undated": 1, "immature": 1}
    message = refusal(tmp_path, days=29, at=day("1994-02-28"))
    assert message == (
        "data.csv as of 1994-02-28, column 'outcome': all 1 labelled rows are of class 'no'; "
        "a task needs records of at least two classes"
    )


def test_without_a_day_maturity_is_judged_now(tmp_path: Path) -> None:
    report, ids = run(tmp_path, ROWS, days=100, now=day("1994-06-02"))
    assert ids == ["1", "2"]
    assert report.left_out == {"undated": 1, "immature": 3}
    assert report.notes[1] == "3 record(s) whose outcome is not known yet (100 days) were left out"


def test_a_day_in_the_future_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, at=day("2026-11-30"))
    assert message == "--at 2026-11-30: lies in the future (today is 2026-11-21); give a day up to today"
    assert run(tmp_path, at=day("2026-11-21"))[0].rows == 5


def test_a_past_day_without_times_is_noted(tmp_path: Path) -> None:
    keys = {"keys": {"record_id": "id"}}
    report, _ = run(tmp_path, changes=keys, at=day("1994-02"))
    assert report.rows == 5
    assert report.notes[-1] == (
        "the task names no column of times (keys.time): every record counts as present at any date"
    )
    assert run(tmp_path, changes=keys, at=NOW)[0].notes == ("1 row(s) without a label were left out",)


def test_no_record_left_says_by_which_rule(tmp_path: Path) -> None:
    rows = ROWS[:5]
    assert refusal(tmp_path, rows, at=day("1992")) == (
        "data.csv: no record as of 1992-12-31 is left: 5 record(s) later than 1992-12-31 (the first is of 1994-01); "
        "give a later --at"
    )
    assert refusal(tmp_path, rows, site="south", at=day("1994-01")) == (
        "data.csv: no record of site 'south' as of 1994-01-31 is left: 2 record(s) later than 1994-01-31 "
        "(the first is of 1994-02); give a later --at"
    )
    assert refusal(tmp_path, rows, site="south", days=183, at=day("1994-07")) == (
        "data.csv: no record of site 'south' as of 1994-07-31 is left: 2 record(s) whose outcome is not known yet "
        "(183 days); give a later --at, or correct label.matures_after_days of the task"
    )
    undated = [row.replace("1994-01-15", "").replace("1994-01,", ",") for row in ROWS[:2]]
    assert refusal(tmp_path, undated, days=183) == (
        "data.csv: no record is left: 2 record(s) without a time; fill in the column of keys.time"
    )
    unlabelled = [*rows, "7,p7,east,1994-01-02,64,1,,"]
    assert refusal(tmp_path, unlabelled, site="east", at=day("1994")) == (
        "data.csv: no record of site 'east' as of 1994-12-31 is left: 1 row(s) without a label; "
        "fill in the column of the label"
    )


def test_the_first_record_is_named_by_its_month_only(tmp_path: Path) -> None:
    message = refusal(tmp_path, [ROWS[1], ROWS[3]], at=day("1992"))
    assert "(the first is of 1994-01)" in message
    assert "1994-01-15" not in message


def test_the_sample_is_drawn_from_what_is_left(tmp_path: Path) -> None:
    rows = [f"{i},p{i},w{i % 2},{1990 + i % 4},50,1,,{i // 4 % 2}" for i in range(80)]
    few = {"source": {"path": "data.csv", "sample": 10}}
    report, ids = run(tmp_path, rows, changes=few, site="w1", at=day("1991"))
    assert len(ids) == 10
    assert report.notes[-1] == "sample: 10 of 20 labelled rows kept (seed 1)"
    assert all(int(i) % 4 == 1 for i in ids)
    assert run(tmp_path, rows[::-1], changes=few, site="w1", at=day("1991"))[0].sha256 == report.sha256


def test_one_site(tmp_path: Path) -> None:
    report, ids = run(tmp_path, site="south")
    assert ids == ["4", "5", "6"]
    assert report.sites == ("south",)
    assert report.notes == ("3 record(s) of other sites were left out",)
    assert report.left_out == {"other sites": 3}


def test_the_whole_file_is_checked_whatever_the_site(tmp_path: Path) -> None:
    assert "row 7, column 'age': 200 is above" in refusal(
        tmp_path, [*ROWS, "7,p7,north,1994-01,200,1,,1"], site="south"
    )


def test_unknown_sites(tmp_path: Path) -> None:
    assert refusal(tmp_path, site="South ") == (
        "data.csv: unknown site 'South '; did you mean 'south'? Known (2): 'south', 'north'"
    )
    assert refusal(tmp_path, site="Ulm").endswith("unknown site 'Ulm'. Known (2): 'north', 'south'")
    rows = [f"{i},p{i},ward {i},1994,50,1,,{i % 2}" for i in range(40)]
    message = refusal(tmp_path, rows, site="ward_7b")
    assert "did you mean 'ward 7'? Known (40): 'ward 7', " in message
    assert message.count("'ward ") == 11
    assert message.endswith(" and 30 more")
    heart = {"keys": {"record_id": "id"}}
    assert refusal(tmp_path, changes=heart, site="north") == (
        "task 'demo' names no column of sites (keys.site); leave --site away"
    )


def test_no_site_may_be_called_all(tmp_path: Path) -> None:
    message = refusal(tmp_path, [*ROWS, "7,p7,all,1994,50,1,,1"])
    assert message == "data.csv, column 'ward': a site is named 'all', which means every site; rename it"
    alone = [row.replace("north", "all").replace("south", "all") for row in ROWS]
    assert run(tmp_path, alone)[0].sites == ("all",)


def test_sites_that_look_like_one_are_noted(tmp_path: Path) -> None:
    names = ["St. Mary", "st mary", "ST-MARY", "Łódź", "Lodz", "Kraków", "krakow", "ward 1-1", "ward 11"]
    rows = [f"{i},p{i},{name},1994,50,1,,{i % 2}" for i, name in enumerate(names * 2)]
    report, _ = run(tmp_path, [row.replace("p", f"p{i}", 1) for i, row in enumerate(rows)])
    assert report.notes == (
        "sites 'Kraków' and 'krakow' look like one: renamed?",
        "sites 'ST-MARY', 'St. Mary' and 'st mary' look like one: renamed?",
    )
    one, _ = run(tmp_path, [row.replace("p", f"p{i}", 1) for i, row in enumerate(rows)], site="krakow")
    assert [note for note in one.notes if "look" in note] == [report.notes[0]]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("St. Mary", "st_mary", True),
        ("Straße 1", "STRASSE1", True),
        ("1.1", "1-1", True),
        ("1.1", "11", False),
        ("??", "--", False),
        ("北京", "上海", False),
    ],
)
def test_plain_names(one: str, other: str, same: bool) -> None:
    assert (plain(one) == plain(other)) is same


def test_a_patient_whose_site_was_renamed(tmp_path: Path) -> None:
    message = refusal(tmp_path, [*ROWS, "7,p1,North,1994-02,64,1,,1"])
    assert "column 'ward': the patient of this row has another site in row 1" in message
    assert "'North' and 'north' look like one: if the site was renamed, give it one name" in message


def test_a_batch_that_was_delivered_twice_is_kept_once(tmp_path: Path) -> None:
    once, ids = run(tmp_path)
    again = [ROWS[4].replace("41", "41.0"), ROWS[0], ROWS[5], ROWS[0]]
    twice, same = run(tmp_path, [*ROWS, *again])
    assert same == ids
    assert twice.sha256 == once.sha256
    assert twice.notes[0] == "4 row(s) were delivered twice and are kept once"
    assert twice.left_out == {"repeated": 4, "unlabelled": 1}
    back, _ = run(tmp_path, [*again, *ROWS][::-1], site="north", days=10)
    assert back.left_out == {"repeated": 4, "other sites": 3, "unlabelled": 1}


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("1,p1,north,1994-01,65,1,,1", "age"),
        ("1,p1,north,1994-01,,1,,1", "age"),
        ("1,p1,north,1994-01,64,1,cough,1", "note"),
        ("1,p1,north,1994-01,64,1,,0", "outcome"),
        ("1,p1,north,1994-02,64,1,,1", "when"),
        ("1,p9,north,1994-01,64,1,,1", "person"),
        ("1,p1,east,1994-01,64,1,,1", "ward"),
    ],
)
def test_one_id_with_two_contents_is_refused(tmp_path: Path, row: str, column: str) -> None:
    assert refusal(tmp_path, [*ROWS, ROWS[1], row, ROWS[0]]) == (
        f"data.csv, row 8, column 'id': this record id stands already in row 1 with another '{column}'; "
        "ids must be unique"
    )


def test_what_is_predicted_must_not_repeat(tmp_path: Path) -> None:
    write(tmp_path, [*ROWS, ROWS[0]])
    with pytest.raises(
        BadInput, match="row 7, column 'id': this record id stands already in row 1; ids must be"
    ):
        ingest_unlabelled(task_of(), tmp_path / "data.csv", tmp_path / "out")


def test_repeated_rows_without_ids_are_kept_and_noted(tmp_path: Path) -> None:
    keys = {"keys": {"site": "ward"}}
    report, ids = run(tmp_path, [*ROWS, *ROWS], changes=keys)
    assert len(ids) == 10
    assert report.notes[:2] == (
        "6 row(s) are identical to an earlier one",
        "was a batch delivered twice? with a column of ids (keys.record_id) such rows are kept once",
    )
    few = [f"{i},p{i},north,1994,{20 + i},1,,{i % 2}" for i in range(20)]
    assert run(tmp_path, [*few, few[0]], changes=keys)[0].notes == (
        "1 row(s) are identical to an earlier one",
    )


@pytest.mark.parametrize(
    ("header", "row", "part"),
    [
        (HEADER.replace("age", "AGE_Y"), "", "data.csv: no column 'age', which `features` of the task names"),
        (HEADER.replace("ward", "hospital"), "", "no column 'ward', which `keys.site` of the task names"),
        (HEADER.replace("when", "date"), "", "no column 'when', which `keys.time` of the task names"),
        (
            HEADER.replace("outcome", "result"),
            "",
            "no column 'outcome', which `label.column` of the task names",
        ),
        (HEADER, "7,p7,north,1994,adult,1,,1", "row 7, column 'age': text in a number column"),
        (HEADER, "7,p7,north,1994,50,male,,1", "row 7, column 'sex': value not allowed"),
        (HEADER, "7,p7,north,1994,50,1,,yes", "row 7, column 'outcome': 'yes': unknown label value"),
    ],
)
def test_a_column_that_vanished_or_changed(tmp_path: Path, header: str, row: str, part: str) -> None:
    for read in (ingest_window, lambda *a, **k: ingest(*a, 1, **k)):
        write(tmp_path, [*ROWS, row] if row else ROWS, header)
        with pytest.raises(BadInput) as caught:
            read(task_of(), tmp_path, tmp_path / "out", at=day("1995"))
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_a_window_holds_what_exists_labelled_or_not(tmp_path: Path) -> None:
    report, records = window(tmp_path, days=30, at=day("1994-03"))
    assert list(records.columns) == [
        "record_id", "patient_id", "site", "time", "label", "age", "sex", "note", "matured",
    ]  # fmt: skip
    assert list(records["record_id"]) == ["1", "2", "3", "4", "6"]
    assert records["matured"].dtype == bool
    assert list(records["matured"]) == [True, True, False, True, False]
    assert list(records["label"].fillna("-")) == ["yes", "no", "-", "yes", "-"]
    assert report.notes == ("1 record(s) later than 1994-03-31 were left out",)
    assert report.label_counts == {"no": 1, "yes": 2}


def test_an_outcome_that_is_recorded_too_early_is_not_shown(tmp_path: Path) -> None:
    report, records = window(tmp_path, ROWS[:5], days=183, at=day("1994-06-30"))
    assert records["label"].isna().all()
    assert not records["matured"].any()
    assert report.label_counts == {}
    _, records = window(tmp_path, days=0, at=day("1994-06-30"))
    assert list(records["matured"]) == [True, True, False, True, True, True], "record 3 has no label"


def test_a_window_begins(tmp_path: Path) -> None:
    report, records = window(tmp_path, at=day("1994-03"), since=moments.begins("1994-02"))
    assert list(records["record_id"]) == ["3", "4"]
    assert report.left_out == {"later": 1, "earlier": 2, "undated": 1}
    assert report.notes[1] == "2 record(s) before 1994-02-01 were left out"
    _, spanning = window(tmp_path, at=day("1994-03"), since=moments.begins("1994-01-20"))
    assert list(spanning["record_id"]) == ["1", "3", "4"], "1994-01 ended in the window"


def test_windows_side_by_side_share_no_record_and_lose_none(tmp_path: Path) -> None:
    seen: list[str] = []
    since = moments.begins("1990")
    for end in map(day, ["1994-01-20", "1994-02-10", "1994-03-15", "1994-04", "1994"]):
        seen += list(window(tmp_path, at=end, since=since)[1]["record_id"])
        since = end + timedelta(microseconds=1)
    assert sorted(seen) == ["1", "2", "3", "4", "5"]


def test_a_window_without_records(tmp_path: Path) -> None:
    def refused(**scope: Any) -> str:
        with pytest.raises(BadInput) as caught:
            window(tmp_path, ROWS[:5], **scope)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert refused(at=day("1995"), since=moments.begins("1994-08")) == (
        "data.csv: no record since 1994-08-01 as of 1995-12-31 is left: 5 record(s) before "
        "1994-08-01; give an earlier --since"
    )
    assert "no record as of 1993-12-31 is left: 5 record(s) later" in refused(at=day("1993"))
    assert refused(at=day("1994"), since=moments.begins("1995")) == (
        "--since 1995-01-01: is later than the window's end, 1994-12-31; give an earlier day"
    )
    write(tmp_path, ROWS)
    with pytest.raises(BadInput, match=r"names no column of times \(keys.time\); leave --since away"):
        ingest_window(
            make_task(keys={}), tmp_path, tmp_path / "out", at=day("1995"), since=moments.begins("1994")
        )


def test_records_by_site(tmp_path: Path) -> None:
    report, _ = window(tmp_path, at=day("1995"))
    whole = pd.read_parquet(report.path)
    sites = by_site(Path(report.path))
    assert list(sites) == ["north", "south"]
    for site, records in sites.items():
        expected = whole[whole["site"] == site].reset_index(drop=True)
        pd.testing.assert_frame_equal(records, expected)
    sites["north"].loc[0, "age"] = 99.0
    assert sites["south"]["age"][0] == 40, "frames do not change each other"


def test_a_feature_named_matured_is_refused(tmp_path: Path) -> None:
    assert "feature 'matured': is the name of a canonical column" in refusal(
        tmp_path, changes={"features": ["matured"]}
    )
