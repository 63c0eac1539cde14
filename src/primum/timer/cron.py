"""Cron lines: five fields, read strictly, written as systemd's OnCalendar, launchd's intervals and AWS' cron.

Only what every cron reads alike is accepted: numbers, names, lists, ranges and steps. Extensions (`L`, `#`, `@daily`,
seconds) and lines that differ between implementations are refused, for the same line goes to several of them.
croniter, which ZenML brings, finds the next occurrence.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from primum.errors import BadInput

Every = Literal["day", "week", "month"]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_INTERVALS = 100
"""launchd has no ranges: a line becomes one dictionary per moment."""


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        words = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{words}"


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True)
class Cron:
    """A cron line that was read. None in a field: every value."""

    text: str
    """In lower case, one blank between the fields."""
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    """0 is Sunday."""

    @property
    def day_choices(self) -> list[tuple[tuple[int, ...] | None, tuple[int, ...] | None]]:
        """(days, weekdays) whose union is meant: where a line names both, either one is enough."""
        if self.days is not None and self.weekdays is not None:
            return [(self.days, None), (None, self.weekdays)]
        return [(self.days, self.weekdays)]


def parse(text: str) -> Cron:
    """Read five fields. Raises BadInput with the field and why, and for a day that never comes."""
    parts = text.lower().split()
    where = f"--cron '{text}'"
    if text.strip().startswith("@"):
        raise BadInput(f"{where}: write five fields, such as '0 3 * * 1', or use --every day|week|month")
    if len(parts) != len(_FIELDS):
        raise BadInput(
            f"{where}: {len(parts)} fields where five are needed: minute, hour, day of the month, month, "
            "day of the week; for example '0 3 * * 1'"
        )
    values = [_values(part, field, where) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    for part, read in ((parts[2], days), (parts[4], weekdays)):
        if parts[2] != "*" and parts[4] != "*" and (read is None or part.startswith("*")):
            raise BadInput(
                f"{where}: with both a day of the month and a day of the week, '{part}' means different days "
                "to different timers; list the days, or leave one of the two as *"
            )
    cron = Cron(" ".join(parts), minutes, hours, days, months, weekdays)
    _require_occurrence(cron, where)
    return cron


def every(unit: Every, at: str = "03:00") -> Cron:
    """Daily, on Mondays, or on the first of the month, at `at` (HH:MM). Raises BadInput."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", at, re.ASCII)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise BadInput(f"--at-time {at}: write hours and minutes from 00:00 to 23:59, such as 03:00")
    days = {"day": "* * *", "week": "* * 1", "month": "1 * *"}[unit]
    return parse(f"{int(found[2])} {int(found[1])} {days}")


def _values(text: str, field: _Field, where: str) -> tuple[int, ...] | None:
    """The values of one field, ascending; None for all of them."""
    found: set[int] = set()
    for part in text.split(","):
        found |= set(_range(part, field, f"{where}, {field.name} '{part}'"))
    if field.names is _DAYS:
        found = {day % 7 for day in found}
    everything = field.high - field.low + (field.names is not _DAYS)
    return None if len(found) == everything else tuple(sorted(found))


def _range(part: str, field: _Field, where: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise BadInput(
            f"{where}: write *, a number ({field.allowed}), a range such as "
            f"{field.low}-{field.high}, a step such as */{max(2, field.high // 6)}, or a list of them"
        )
    step = int(match["step"] or 1)
    if match["low"] is None:
        low, high = field.low, field.high - (field.names is _DAYS)  # `*` has Sunday once
    else:
        low = _number(match["low"], field, where)
        high = _number(match["high"], field, where) if match["high"] else low
        if match["step"] and not match["high"]:
            raise BadInput(f"{where}: a step needs a range: {match['low']}-{field.high}/{step}")
    if high < low:
        raise BadInput(f"{where}: the range runs backwards; list its two parts instead")
    if not 1 <= step <= max(1, high - low):
        raise BadInput(f"{where}: a step lies between 1 and {max(1, high - low)}")
    return range(low, high + 1, step)


def _number(text: str, field: _Field, where: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdecimal() or not field.low <= int(text) <= field.high:
        raise BadInput(f"{where}: only {field.allowed} {'are' if field.names else 'is'} possible here")
    return int(text)


def _require_occurrence(cron: Cron, where: str) -> None:
    from croniter import CroniterBadDateError

    try:
        next_after(cron, datetime(2025, 1, 1), None)
    except CroniterBadDateError:
        raise BadInput(f"{where}: that day never comes; choose another day of the month") from None


def next_after(cron: Cron, now: datetime, zone: tzinfo | None, *, skipping: bool = False) -> datetime:
    """The first occurrence after `now`, on the clocks of `zone` (None: `now` has none, nor has the answer).

    Where the clock jumps over the time, cron runs at once after the jump; with `skipping` that day is left out, as
    systemd does. Where an hour comes twice, a line with fixed hours runs the first time only, as both do.
    """
    return _occurrence(cron, now, zone, skipping=skipping, forward=True)


def last_before(cron: Cron, now: datetime, zone: tzinfo | None, *, skipping: bool = False) -> datetime:
    """The last occurrence before `now`; otherwise as next_after."""
    return _occurrence(cron, now, zone, skipping=skipping, forward=False)


def _occurrence(cron: Cron, now: datetime, zone: tzinfo | None, *, skipping: bool, forward: bool) -> datetime:
    from croniter import croniter

    start = now if zone is None else now.astimezone(zone)
    found = croniter(cron.text, start)
    step = found.get_next if forward else found.get_prev
    while True:
        moment: datetime = step(datetime)
        repeated = cron.hours is not None and _is_second(moment)
        jumped = skipping and not _has(cron, moment)
        if not repeated and not jumped:
            return moment


def _is_second(moment: datetime) -> bool:
    """True in an hour that the clock shows again; the fold alone says nothing, croniter sets it going back."""
    return moment.fold == 1 and moment.utcoffset() != moment.replace(fold=0).utcoffset()


def _has(cron: Cron, moment: datetime) -> bool:
    """True where hour and minute are among the line's own: not moved by a jump of the clock."""
    return (cron.hours is None or moment.hour in cron.hours) and (
        cron.minutes is None or moment.minute in cron.minutes
    )


def machine_zone(localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """The zone of this machine's timers: the system's, whatever TZ says in a shell. UTC where none is set."""
    target = localtime.resolve()
    if not target.is_file():
        return ZoneInfo("UTC")
    _, _, key = str(target).partition("/zoneinfo/")
    with target.open("rb") as file:
        return ZoneInfo.from_file(file, key=key or "local")


def zone_name(zone: tzinfo) -> str:
    """What people call it, such as Europe/Berlin."""
    return getattr(zone, "key", None) or "local time"


def calendar(cron: Cron) -> tuple[str, ...]:
    """systemd's OnCalendar expressions, one or two; a timer fires at the union of them."""

    def numbers(values: tuple[int, ...] | None) -> str:
        return "*" if values is None else ",".join(f"{value:02d}" for value in values)

    def weekday(values: tuple[int, ...] | None) -> str:
        return "" if values is None else ",".join(_DAYS[day].capitalize() for day in values) + " "

    clock = f"{numbers(cron.hours)}:{numbers(cron.minutes)}:00"
    return tuple(
        f"{weekday(weekdays)}*-{numbers(cron.months)}-{numbers(days)} {clock}"
        for days, weekdays in cron.day_choices
    )


def intervals(cron: Cron) -> list[dict[str, int]]:
    """launchd's StartCalendarInterval, a dictionary a moment. Raises BadInput for a line with too many moments."""
    found: list[dict[str, int]] = []
    for days, weekdays in cron.day_choices:
        keys = ("Month", "Day", "Weekday", "Hour", "Minute")
        found += _product(keys, (cron.months, days, weekdays, cron.hours, cron.minutes))
    if len(found) > _MOST_INTERVALS:
        raise BadInput(
            f"--cron '{cron.text}': launchd needs a list of all moments, and these are {len(found)}; "
            f"choose a line with at most {_MOST_INTERVALS}"
        )
    return found


def _product(keys: tuple[str, ...], fields: tuple[tuple[int, ...] | None, ...]) -> Iterator[dict[str, int]]:
    given = [(key, values) for key, values in zip(keys, fields, strict=True) if values is not None]
    for moment in itertools.product(*(values for _, values in given)):
        yield dict(zip((key for key, _ in given), moment, strict=True))


def aws(cron: Cron) -> str:
    """EventBridge's six fields, for SageMaker. Raises BadInput where both kinds of day are named."""
    if len(cron.day_choices) > 1:
        raise BadInput(
            f"--cron '{cron.text}': AWS takes a day of the month or a day of the week, not both; "
            "leave one of the two as *"
        )

    def numbers(values: tuple[int, ...] | None) -> str:
        return "*" if values is None else ",".join(map(str, values))

    days = numbers(cron.days) if cron.weekdays is None else "?"
    names = "?" if cron.weekdays is None else ",".join(_DAYS[day].upper() for day in cron.weekdays)
    return f"{numbers(cron.minutes)} {numbers(cron.hours)} {days} {numbers(cron.months)} {names} *"


def overdue(cron: Cron, since: datetime, now: datetime, zone: tzinfo, *, skipping: bool) -> datetime | None:
    """The occurrence between `since` and `now` that nothing answered within an hour; None where all is well."""
    due = last_before(cron, now - timedelta(hours=1), zone, skipping=skipping)
    return due if due > since else None
