"""Cron lines: what is refused and why, the next occurrence, and the same line for systemd, launchd and AWS."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.errors import BadInput
from primum.timer import cron

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 3 * *", "4 fields where five are needed"),
        ("0 0 3 * * 1", "6 fields where five are needed"),
        ("", "0 fields"),
        ("@weekly", "use --every day|week|month"),
        ("60 3 * * 1", "minute '60': only 0-59 is possible here"),
        ("0 24 * * 1", "hour '24'"),
        ("0 3 0 * *", "day of the month '0'"),
        ("0 3 * foo 1", "month 'foo': only 1-12 or jan-dec are possible"),
        ("0 3 * * 8", "day of the week '8'"),
        ("0 3 L * *", "day of the month 'l'"),
        ("0 3 * * 1#2", "day of the week '1#2': write *"),
        ("0 3 ? * 1", "day of the month '?'"),
        ("0,,1 3 * * 1", "minute '': write *"),
        ("0 3 * * 1-", "day of the week '1-'"),
        ("0 22-2 * * *", "hour '22-2': the range runs backwards"),
        ("0 3 * * fri-sun", "the range runs backwards"),
        ("*/0 * * * *", "a step lies between 1 and 59"),
        ("*/70 * * * *", "a step lies between 1 and 59"),
        ("5/10 * * * *", "a step needs a range: 5-59/10"),
        ("-1 * * * *", "minute '-1'"),
        ("0 3 31 2 *", "that day never comes"),
        ("0 3 */2 * 1", "'*/2' means different days to different timers"),
        ("0 3 1-31 * 1", "'1-31' means different days"),
        ("٣ 3 * * 1", "minute '٣'"),
    ],
)
def test_a_bad_line_names_the_field_and_why(line: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        cron.parse(line)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"--cron '{line}'")


def test_names_lists_ranges_and_steps_are_read() -> None:
    read = cron.parse("0,30  9-17/4 * JAN-Mar,12 mon-fri,7")
    assert read.text == "0,30 9-17/4 * jan-mar,12 mon-fri,7"
    assert (read.minutes, read.hours, read.days) == ((0, 30), (9, 13, 17), None)
    assert (read.months, read.weekdays) == ((1, 2, 3, 12), (0, 1, 2, 3, 4, 5))
    assert cron.parse("*/1 0-23 * 1-12 0-6") == cron.Cron("*/1 0-23 * 1-12 0-6", None, None, None, None, None)


def test_every_is_a_line_at_three_or_at_the_time_given() -> None:
    assert [cron.every(unit).text for unit in ("day", "week", "month")] == [
        "0 3 * * *",
        "0 3 * * 1",
        "0 3 1 * *",
    ]
    assert cron.every("week", "9:05").text == "5 9 * * 1"
    for bad in ("24:00", "3", "03:60", "3:5", "", "aa:bb"):
        with pytest.raises(BadInput, match="--at-time"):
            cron.every("day", bad)


@pytest.mark.parametrize(
    ("skipping", "expected"),
    [(False, "2026-03-29T03:00:00+02:00"), (True, "2026-03-30T02:30:00+02:00")],
    ids=["cron runs after the jump", "systemd leaves the day out"],
)
def test_half_past_two_on_the_day_that_has_none(skipping: bool, expected: str) -> None:
    line, before = cron.parse("30 2 * * *"), datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    assert cron.next_after(line, before, BERLIN, skipping=skipping).isoformat() == expected
    earlier = cron.last_before(line, datetime(2026, 3, 29, 12, tzinfo=BERLIN), BERLIN, skipping=skipping)
    assert earlier.isoformat() == ("2026-03-28T02:30:00+01:00" if skipping else "2026-03-29T03:00:00+02:00")


def test_half_past_two_on_the_day_that_has_two() -> None:
    line, moment = cron.parse("30 2 * * *"), datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    found = []
    for _ in range(3):
        moment = cron.next_after(line, moment, BERLIN)
        found.append(moment.isoformat())
    assert found == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00"]
    noon = datetime(2026, 10, 25, 12, tzinfo=BERLIN)
    assert cron.last_before(line, noon, BERLIN).isoformat() == "2026-10-25T02:30:00+02:00"
    hourly = cron.next_after(cron.parse("30 * * * *"), datetime(2026, 10, 25, 0, 45, tzinfo=UTC), BERLIN)
    assert hourly.isoformat() == "2026-10-25T02:30:00+01:00"


def test_going_back_finds_yesterday_in_any_season() -> None:
    """croniter marks every time that it finds going back as the repeated hour."""
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert cron.last_before(cron.parse("0 3 * * *"), noon, UTC) == datetime(2026, 7, 1, 3, tzinfo=UTC)
    found = cron.last_before(cron.parse("0 3 * * *"), noon, BERLIN)
    assert found.isoformat() == "2026-07-01T03:00:00+02:00"


def test_what_is_overdue_has_an_hour_to_come() -> None:
    line, due = cron.parse("0 3 * * *"), datetime(2026, 7, 2, 3, tzinfo=UTC)
    since = due - timedelta(days=1)
    assert cron.overdue(line, since, due + timedelta(minutes=59), UTC, skipping=False) is None
    assert cron.overdue(line, since, due + timedelta(minutes=61), UTC, skipping=False) == due
    assert (
        cron.overdue(line, due + timedelta(seconds=2), due + timedelta(hours=9), UTC, skipping=False) is None
    )


def test_systemd_gets_the_union_of_both_kinds_of_day() -> None:
    assert cron.calendar(cron.parse("0 3 * * 1")) == ("Mon *-*-* 03:00:00",)
    assert cron.calendar(cron.parse("*/30 * 1 jan,jul *")) == ("*-01,07-01 *:00,30:00",)
    assert cron.calendar(cron.parse("5 4 1 * sun")) == ("*-*-01 04:05:00", "Sun *-*-* 04:05:00")


def test_launchd_gets_one_dictionary_a_moment() -> None:
    assert cron.intervals(cron.parse("0 3 * * 1")) == [{"Weekday": 1, "Hour": 3, "Minute": 0}]
    assert cron.intervals(cron.parse("0 3 1 6 0")) == [
        {"Month": 6, "Day": 1, "Hour": 3, "Minute": 0},
        {"Month": 6, "Weekday": 0, "Hour": 3, "Minute": 0},
    ]
    assert cron.intervals(cron.parse("* * * * *")) == [{}]
    with pytest.raises(BadInput, match="these are 180"):
        cron.intervals(cron.parse("*/5 9-17/3 * * 1-5"))


def test_aws_gets_six_fields_and_one_kind_of_day() -> None:
    assert cron.aws(cron.parse("0 3 * * 0,1")) == "0 3 ? * SUN,MON *"
    assert cron.aws(cron.parse("0 3 1 */6 *")) == "0 3 1 1,7 ? *"
    assert cron.aws(cron.parse("* * * * *")) == "* * * * ? *"
    with pytest.raises(BadInput, match="AWS takes a day of the month or a day of the week"):
        cron.aws(cron.parse("0 3 1 * 1"))


def test_the_machines_zone_is_the_systems(tmp_path: Path) -> None:
    assert cron.zone_name(cron.machine_zone(tmp_path / "none")) == "UTC"
    real = Path("/usr/share/zoneinfo/Europe/Berlin")
    if not real.exists():
        pytest.skip("this system has no zone files")
    (tmp_path / "localtime").symlink_to(real)
    zone = cron.machine_zone(tmp_path / "localtime")
    assert cron.zone_name(zone) == "Europe/Berlin"
    assert datetime(2026, 7, 1, tzinfo=zone).utcoffset() == timedelta(hours=2)


@st.composite
def lines(draw: st.DrawFn) -> str:
    def field(low: int, high: int) -> str:
        number = st.integers(low, high)
        pair = st.tuples(number, number).filter(lambda p: p[0] < p[1])
        part = st.one_of(number.map(str), pair.map(lambda p: f"{p[0]}-{p[1]}"))
        return draw(st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join)))

    days, weekdays = draw(st.sampled_from([("*", "*"), (field(1, 28), "*"), ("*", field(0, 7))]))
    return " ".join((field(0, 59), field(0, 23), days, field(1, 12), weekdays))


@settings(max_examples=30, deadline=None)
@given(lines(), st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_the_next_occurrence_is_in_every_field_and_none_lies_between(line: str, now: datetime) -> None:
    read = cron.parse(line)
    found = cron.next_after(read, now, UTC)
    assert found > now
    assert read.minutes is None or found.minute in read.minutes
    assert read.hours is None or found.hour in read.hours
    assert read.days is None or found.day in read.days
    assert read.months is None or found.month in read.months
    assert read.weekdays is None or found.isoweekday() % 7 in read.weekdays
    assert cron.last_before(read, found + timedelta(seconds=1), UTC) == found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_the_same_days_as_croniter() -> None:
    texts = (
        "0 3 * * 1",
        "*/20 9-17 * 1-6 mon,wed",
        "5 4 1 * sun",
        "30 2 * * *",
        "0 0 29 2 *",
        "0 12 */9 */5 *",
    )
    zones = ("Europe/Berlin", "America/New_York", "UTC")
    starts = ("2026-03-28 12:00:00", "2026-10-24 12:00:00")
    for text, zone, start in itertools.product(texts, zones, starts):
        line = cron.parse(text)
        moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
        words = ["systemd-analyze", "calendar", f"--base-time={start}", *cron.calendar(line)]
        done = subprocess.run(
            words,
            env={"TZ": zone, "PATH": "/usr/bin:/bin", "LANG": "C"},
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = [row.split(": ", 1)[1] for row in done.stdout.split("\n") if "Next elapse" in row]
        ours = cron.next_after(line, moment, ZoneInfo(zone), skipping=True)
        assert f"{ours:%a %Y-%m-%d %H:%M:%S %Z}" == min(theirs, key=lambda t: t.split()[1:3]), (
            text,
            zone,
            start,
        )
