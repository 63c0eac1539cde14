"""Times as ingest writes them, and every way a clock or an export can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from test_ingest import HEADER, make_task

from primum.errors import BadInput
from primum.ingest import ingest, ingest_unlabelled, ingest_window
from primum.ingest.place import Place
from primum.ingest.times import read_time
from primum.records import IngestReport

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run(folder: Path, *times: str, now: datetime = NOW) -> IngestReport:
    rows = [f"{i},p{i},north,{time},50,1,,{i % 2}" for i, time in enumerate((*times, "2020", "2021"))]
    (folder / "data.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return ingest(make_task(), folder, folder / "out", 1, now=now)


CANONICAL = {
    "1994": "1994",
    "1994-01": "1994-01",
    "1994-01-31": "1994-01-31",
    "19940131": "1994-01-31",
    "1994-W05-1": "1994-01-31",
    "1994-W05": "1994-02-06",  # a week has no canonical text of its own: its last day
    "1994-01-31 10:30": "1994-01-31T10:30:00",
    "19940131T103000Z": "1994-01-31T10:30:00+00:00",
    "1994-01-31T10:30:00.5+02:00": "1994-01-31T10:30:00.500000+02:00",
}


@pytest.mark.parametrize("raw", CANONICAL)
def test_canonical_texts(raw: str) -> None:
    read = read_time(pa.array([raw, None]), Place("data.csv", 1, "when"))
    assert read.to_pylist() == [CANONICAL[raw], None]


WRONG = {
    "13/02/2024": "a date with the day first; write year-month-day, such as 1995-10-24",
    "02/13/2024": "a date with the month first; write year-month-day",
    "3.4.24 10:30": "a date with the day or month first; write year-month-day",
    "1706745600": "looks like seconds since 1970 (Unix time); write ISO 8601",
    "1995010112": "looks like seconds since 1970",
    "1706745600000": "looks like milliseconds since 1970",
    "2024011310304": "looks like milliseconds since 1970",  # Python reads 2024-01-13T03:04 from it
    "1.7067456e+12": "looks like milliseconds since 1970",
    "1706745600000000": "looks like microseconds since 1970",
    "45335": "looks like a day number of Excel; format the cells as dates, or write ISO 8601",
    "45335.4375": "looks like a day number of Excel",
    "20240113103045": "date and time of day run together; write 1995-10-24T10:30",
    "0001-01-01": "lies before 1900, which no record does",
    "1899-12-30T00:00:00": "lies before 1900",
    "1753": "lies before 1900",
    "1994-01-31T10:30:00+05:30:15": "not a time; write ISO 8601",
    "9999-W52": "not a time; write ISO 8601",
    "soon": "not a time; write ISO 8601, such as 1995-10-24 or 1995-10",
}


@pytest.mark.parametrize("raw", WRONG)
def test_what_is_no_time_is_named_and_not_shown(tmp_path: Path, raw: str) -> None:
    with pytest.raises(BadInput) as caught:
        run(tmp_path, "1994", raw)
    message = str(caught.value)
    assert message.startswith("data.csv, row 2, column 'when': ")
    assert WRONG[raw] in message
    assert raw not in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("time", ["2026-11-22T13:00", "2026-11-23", "2026-12", "2027", "9999-12-31"])
def test_the_future_is_refused(tmp_path: Path, time: str) -> None:
    with pytest.raises(BadInput) as caught:
        run(tmp_path, "1994", time)
    message = str(caught.value)
    assert "data.csv, row 2, column 'when': lies in the future (today is 2026-11-21)" in message
    assert "check the clock, the time zone, and day and month" in message
    assert time not in message
    with pytest.raises(BadInput, match="row 2, column 'when': lies in the future"):
        ingest_window(make_task(), tmp_path, tmp_path / "out", at=NOW, now=NOW)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "time", ["2026-11-22T11:00", "2026-11-22", "2026-11", "2026", "2026-11-23T01:00+14:00"]
)
def test_a_day_of_tolerance(tmp_path: Path, time: str) -> None:
    assert run(tmp_path, time).rows == 3


def test_the_clock_is_now_by_default(tmp_path: Path) -> None:
    run(tmp_path)
    task = make_task()
    assert ingest(task, tmp_path, tmp_path / "out", 1).rows == 2
    with pytest.raises(BadInput, match="row 1, column 'when': lies in the future"):
        ingest(task, tmp_path, tmp_path / "out", 1, now=datetime(2019, 1, 1))


def test_planned_visits_may_be_predicted(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("id,person,ward,when,age,sex,note\n9,p1,north,2099-01-01,30,1,\n")
    assert ingest_unlabelled(make_task(), file, tmp_path / "out").rows == 1


def test_mixed_zones_are_noted(tmp_path: Path) -> None:
    mixed = run(tmp_path, "2024-01-13T10:30+01:00", "2024-01-13T10:30Z", "2024-01-13T10:30")
    assert mixed.notes == ("1 time(s) without a time zone stand among 2 with one: they are read as UTC",)
    assert run(tmp_path, "2024-01-13T10:30+01:00", "2024-01-13").notes == (), "a day has no zone"
    assert run(tmp_path, "2024-01-13T10:30", "2024-01-13T11:30").notes == ()
