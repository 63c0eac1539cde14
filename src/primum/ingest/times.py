"""The times of a source in ISO 8601, and what tells that a clock, a time zone or an export is wrong.

No message shows a time: it is a patient's.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from primum import moments
from primum.ingest.columns import first, read_text, recode, refuse
from primum.ingest.place import Place

FIRST_YEAR = "1900"
"""Earlier years are a default of some program (0001, 1753, 1899 ...), no patient's."""
TOLERANCE = timedelta(days=1)
"""How far a time may lie in the future: a time without a zone is read as UTC and may be hours off."""
ISO = "write ISO 8601, such as 1995-10-24 or 1995-10"
_PARTIAL = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?")
_WEEK = re.compile(r"[0-9]{4}-?W[0-9]{2}")
_DIGITS = re.compile(r"[0-9]{9,}(\.[0-9]+)?|[0-9](\.[0-9]+)?e\+[0-9]{1,2}", re.IGNORECASE)
_RUN_ON = re.compile(r"(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9]){1,2}")
_SERIAL = re.compile(r"[2-7][0-9]{4}(\.[0-9]+)?")
_SLASHED = re.compile(r"([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4}|[0-9]{2})\b.*")


def read_time(array: pa.Array, place: Place) -> pa.Array:
    """The column as canonical ISO 8601 text (see `primum.moments`), null where not recorded.

    Raises BadInput, with what the first wrong value looks like, where it is no time or lies before 1900.
    """
    text = read_text(array, place)
    found = {raw: _iso(raw) for raw in pc.unique(text).to_pylist() if raw is not None}
    wrong = [raw for raw, iso in found.items() if iso is None or iso < FIRST_YEAR]
    if wrong:
        row = first(pc.is_in(text, value_set=pa.array(wrong, pa.string()))) or 0
        raise place.error(row, _problem(text[row].as_py()))
    return recode(text, {raw: iso or "" for raw, iso in found.items()})


def _iso(raw: str) -> str | None:
    if _PARTIAL.fullmatch(raw):
        return raw
    if raw.isdigit() and len(raw) != len("19951024"):  # Python reads some longer numbers as a date
        return None
    try:
        if len(raw) <= len("1995-10-24"):
            day = date.fromisoformat(raw)
            return (day + timedelta(days=6) if _WEEK.fullmatch(raw) else day).isoformat()
        moment = datetime.fromisoformat(raw)
    except (ValueError, OverflowError):
        return None
    seconds = (moment.utcoffset() or timedelta()) % timedelta(minutes=1)
    return None if seconds else moment.isoformat()


def _problem(raw: str) -> str:
    """What a value that is no time looks like, and the mend."""
    if _iso(raw) is not None:
        return f"lies before {FIRST_YEAR}, which no record does; correct it, or leave it empty if it is not known"
    if _RUN_ON.fullmatch(raw):
        return "not a time: date and time of day run together; write 1995-10-24T10:30"
    if _DIGITS.fullmatch(raw):
        unit = _unit(float(raw))
        return f"not a time: it looks like {unit} since 1970 (Unix time); {ISO}"
    if _SERIAL.fullmatch(raw):
        return f"not a time: it looks like a day number of Excel; format the cells as dates, or {ISO}"
    parts = _SLASHED.fullmatch(raw)
    if parts:
        order = _order(int(parts[1]), int(parts[2]))
        return (
            f"not a time in ISO 8601: a date with the {order} first; write year-month-day, such as 1995-10-24"
        )
    return f"not a time; {ISO}"


def _unit(number: float) -> str:
    units = ((1e11, "seconds"), (1e14, "milliseconds"), (1e17, "microseconds"))
    return next((unit for limit, unit in units if number < limit), "nanoseconds")


def _order(one: int, two: int) -> str:
    return "day" if one > 12 else "month" if two > 12 else "day or month"


def check_future(begins: pd.DatetimeIndex, place: Place, now: datetime) -> None:
    """Raise BadInput for the first time that begins (n,) more than a day after `now`."""
    later = pa.array(np.asarray(begins > pd.Timestamp(now + TOLERANCE)))
    mend = "check the clock, the time zone, and day and month; correct the row or leave it out"
    refuse(later, place, f"lies in the future (today is {now:%Y-%m-%d}); {mend}")


def zones(times: pa.ChunkedArray) -> list[str]:
    """A note where some times of day of a column (n,) of canonical texts have a zone and others have none."""
    letters = pc.utf8_length(times)
    clock = _count(pc.greater(letters, moments.DAY))
    local = _count(pc.is_in(letters, value_set=pa.array(moments.LOCAL, letters.type)))
    if local in (0, clock):
        return []
    return [f"{local} time(s) without a time zone stand among {clock - local} with one: they are read as UTC"]


def _count(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
