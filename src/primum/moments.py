"""When a record was made: what a canonical `time` text means, and what is known at a given moment.

The canonical texts are those that ingest writes: YYYY, YYYY-MM, YYYY-MM-DD, and YYYY-MM-DDTHH:MM:SS with an
optional fraction (6 digits) and zone (+HH:MM). A text that leaves something open means all of it: 1994-01 is the
whole of that January. Without a zone it is UTC.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Times: TypeAlias = Sequence[str | None] | pd.Series | pa.ChunkedArray

YEAR, MONTH, DAY = 4, 7, 10
"""Letters of a text that means a whole year, month or day; longer ones mean a moment."""
LOCAL = (19, 26)
"""Letters of a moment without a zone: without and with a fraction."""


def begins(time: str) -> datetime:
    """First moment, in UTC, that a canonical text may mean. Raises ValueError where it is none."""
    return utc(datetime.fromisoformat(time + {YEAR: "-01-01", MONTH: "-01"}.get(len(time), "")))


def ends(time: str) -> datetime:
    """Last moment, in UTC, that a canonical text may mean: the end of 1994, of 1994-01, of 1994-01-31."""
    first = begins(time)
    if len(time) > DAY:
        return first
    month = 12 if len(time) == YEAR else first.month
    day = first.day if len(time) == DAY else monthrange(first.year, month)[1]
    return _day_ends(date(first.year, month, day))


def exists(time: str | None, at: datetime) -> bool:
    """True where the record was surely made by then; one without a time exists always."""
    return time is None or ends(time) <= utc(at)


def matured(time: str | None, at: datetime, days: int) -> bool:
    """True where the outcome, which takes `days`, is known at `at`.

    Without a time that is never certain, unless outcomes take no days: then it is known once the record exists.
    """
    if days == 0:
        return exists(time, at)
    return time is not None and utc(at) - ends(time) >= timedelta(days=days)


def begins_all(times: Times) -> pd.DatetimeIndex:
    """`begins` (n,) of n texts, NaT for None; a million take a fifth of a second. Raises ValueError as it does."""
    text = _array(times)
    letters = pc.utf8_length(text)
    kinds = [pc.equal(letters, length) for length in (YEAR, MONTH, DAY)]
    local = pc.is_in(letters, value_set=pa.array(LOCAL, letters.type))
    rest = pc.case_when(
        pc.make_struct(*kinds, local), "-01-01T00:00:00Z", "-01T00:00:00Z", "T00:00:00Z", "Z", ""
    )
    whole = pc.binary_join_element_wise(text, rest, "")
    return pd.DatetimeIndex(pc.cast(whole, pa.timestamp("us", "UTC")).to_pandas())


def ends_all(times: Times) -> pd.DatetimeIndex:
    """`ends` (n,) of n texts, as `begins_all`."""
    text = _array(times)
    last = begins_all(times).tz_localize(None).to_numpy().copy()
    letters = pc.fill_null(pc.utf8_length(text), 0).to_numpy()
    for length, unit in ((YEAR, "Y"), (MONTH, "M"), (DAY, "D")):
        one = letters == length
        last[one] = (last[one].astype(f"datetime64[{unit}]") + 1).astype("datetime64[us]") - 1
    return pd.DatetimeIndex(last, tz=UTC)


def existing(ends: pd.DatetimeIndex, at: datetime) -> np.ndarray:
    """`exists` (n,) for records whose times end at `ends` (n,)."""
    return np.asarray(ends.isna() | (ends <= pd.Timestamp(utc(at))))


def mature(ends: pd.DatetimeIndex, at: datetime, days: int) -> np.ndarray:
    """`matured` (n,) for records whose times end at `ends` (n,)."""
    if days == 0:
        return existing(ends, at)
    most = min(days, 500_000)  # more would overflow, and no record is that old
    return np.asarray(ends <= pd.Timestamp(utc(at) - timedelta(days=most)))


def utc(moment: datetime) -> datetime:
    """The moment in UTC; without a zone it is UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown(moment: datetime, *, start: bool = False) -> str:
    """The moment for a message: the day alone where it is the day's last one (as a start: its first), else with
    hour and minute."""
    moment = utc(moment)
    last = _day_ends(moment.date())
    whole = moment == (datetime.combine(last, time.min, UTC) if start else last)
    return f"{moment:%Y-%m-%d}" if whole else f"{moment:%Y-%m-%d %H:%M} UTC"


def _day_ends(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def _array(times: Times) -> pa.Array:
    if isinstance(times, pa.ChunkedArray):
        return times.combine_chunks()
    return pa.array(times, pa.string(), from_pandas=True)
