"""What a canonical time text means, one by one and in columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum import moments

AT = datetime(1994, 7, 31, 23, 59, 59, 999999, UTC)
SPANS = {
    "1994": ("1994-01-01T00:00:00", "1994-12-31T23:59:59.999999"),
    "1994-01": ("1994-01-01T00:00:00", "1994-01-31T23:59:59.999999"),
    "1996-02": ("1996-02-01T00:00:00", "1996-02-29T23:59:59.999999"),
    "1994-12": ("1994-12-01T00:00:00", "1994-12-31T23:59:59.999999"),
    "1994-01-31": ("1994-01-31T00:00:00", "1994-01-31T23:59:59.999999"),
    "1994-01-31T10:30:00": ("1994-01-31T10:30:00", "1994-01-31T10:30:00"),
    "1994-01-31T10:30:00.250000": ("1994-01-31T10:30:00.250000", "1994-01-31T10:30:00.250000"),
    "1994-01-31T23:30:00-05:00": ("1994-02-01T04:30:00", "1994-02-01T04:30:00"),
    "1994-02-01T00:30:00.500000+01:00": ("1994-01-31T23:30:00.500000", "1994-01-31T23:30:00.500000"),
    "9999": ("9999-01-01T00:00:00", "9999-12-31T23:59:59.999999"),
}


@pytest.mark.parametrize("text", SPANS)
def test_a_text_means_all_that_it_leaves_open(text: str) -> None:
    first, last = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in SPANS[text])
    assert (moments.begins(text), moments.ends(text)) == (first, last)
    assert moments.begins_all([text])[0] == first
    assert moments.ends_all([text])[0] == last


@pytest.mark.parametrize("text", ["", "x", "1994-1", "1994-13", "1994-01-32", "1994-01-31T"])
def test_no_text_is_guessed(text: str) -> None:
    for read in (moments.begins, moments.ends):
        with pytest.raises(ValueError, match=r"\S"):
            read(text)
    for read_all in (moments.begins_all, moments.ends_all):
        with pytest.raises(ValueError, match=r"\S"):
            read_all([text])


def test_existence() -> None:
    assert moments.exists(None, AT)
    assert moments.exists("1994-07", AT)
    assert moments.exists("1994-07-31T23:59:59", AT)
    assert moments.exists("1994-08-01T00:30:00+02:00", AT)
    assert not moments.exists("1994", AT), "it may be of December"
    assert not moments.exists("1994-07", AT - timedelta(microseconds=1))
    assert not moments.exists("1994-08-01", AT)
    assert moments.exists("1994-07", AT.replace(tzinfo=None)), "without a zone it is UTC"


def test_maturity() -> None:
    assert moments.matured("1994-01", AT, 181)
    assert not moments.matured("1994-01", AT, 182)
    assert moments.matured("1994-07", AT, 0)
    assert not moments.matured("1994-08", AT, 0)
    assert moments.matured(None, AT, 0)
    assert not moments.matured(None, AT, 1), "when its outcome is known cannot be told"
    assert not moments.matured("1900", AT, 999_999_999)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
DATES = st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1))
TEXTS = st.one_of(
    st.none(),
    st.builds(lambda moment, letters: moment.isoformat()[:letters], DATES, st.sampled_from([4, 7, 10])),
    st.builds(lambda moment, zone: moment.replace(tzinfo=zone).isoformat(), DATES, st.none() | OFFSETS),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(TEXTS, max_size=6),
    st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)),
    st.sampled_from([0, 1, 183, 10**8]),
)
def test_columns_agree_with_single_texts(texts: list[str | None], at: datetime, days: int) -> None:
    lasts = moments.ends_all(texts)
    assert list(moments.existing(lasts, at)) == [moments.exists(text, at) for text in texts]
    assert list(moments.mature(lasts, at, days)) == [moments.matured(text, at, days) for text in texts]
    begins = [None if text is None else moments.begins(text) for text in texts]
    assert [None if b is pd.NaT else b for b in moments.begins_all(texts)] == begins


@pytest.mark.parametrize(
    "column",
    [
        ["1994", None],
        pd.Series(["1994", None]),
        pd.Series(["1994", None], dtype=object, index=[7, 3]),
        np.array(["1994", None], dtype=object),
        pa.chunked_array([["1994"], [None]], pa.string()),
    ],
)
def test_columns_of_any_kind(column: moments.Times) -> None:
    last = moments.ends_all(column)
    assert list(last.isna()) == [False, True]
    assert last[0] == moments.ends("1994")
    assert str(last.dtype) == "datetime64[us, UTC]"


def test_empty_columns() -> None:
    assert len(moments.ends_all([])) == 0
    assert moments.ends_all([None]).isna().all()
    assert moments.begins_all(pd.Series([None, None], dtype=object)).isna().all()


def test_moments_in_words() -> None:
    assert moments.shown(AT) == "1994-07-31"
    assert moments.shown(AT, start=True) == "1994-07-31 23:59 UTC"
    assert moments.shown(datetime(1994, 7, 31)) == "1994-07-31 00:00 UTC"
    assert moments.shown(datetime(1994, 7, 31), start=True) == "1994-07-31"
    assert moments.shown(datetime.fromisoformat("1994-07-31T01:30:00+02:00")) == "1994-07-30 23:30 UTC"
