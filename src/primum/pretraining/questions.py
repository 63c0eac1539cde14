"""Questions that state their own rule, with the answer that follows from the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from primum.pretraining.lexicon import answer_pair, pick
from primum.pretraining.tables import Record
from primum.prompts import write_standardised

NO_YES = ("no", "yes")
OPEN = ("a value",)
"""What the message allows where the answer is a value of its own."""


class Asked(NamedTuple):
    """A question, the answers it allows (one entry: an open answer) and the right one."""

    question: str
    answers: tuple[str, ...]
    answer: str


def ask(rng: np.random.Generator, record: Record, hardness: float = 1.0) -> Asked:
    """A random question about the record; one that the record cannot answer gives way to another.

    Below full hardness more of the questions are simple sums and single values.
    """
    while True:
        asked = pick(rng, _QUESTIONS if rng.random() < hardness else _EASY)(rng, record)
        if asked is not None:
            return asked


def _numbers(record: Record) -> np.ndarray:
    """Columns that are numbers and recorded."""
    is_number = np.array([not words for words in record.categories])
    return np.flatnonzero(is_number & ~np.isnan(record.values))


def _yes_no(question: str, truth: bool) -> Asked:
    return Asked(question, NO_YES, NO_YES[int(truth)])


def _threshold(rng: np.random.Generator, record: Record) -> Asked | None:
    """Is x above +05?"""
    columns = _numbers(record)
    if not len(columns):
        return None
    j = int(rng.choice(columns))
    value = record.values[j]
    cut = 0.0 if rng.random() < 0.4 else round(float(value + rng.normal(0, 1)), 1)
    if round(float(value - cut), 1) == 0:
        return None
    above = bool(value > cut)
    written = write_standardised(cut)
    if rng.random() < 0.3:
        no, yes = answer_pair(rng)
        question = f"Say {yes} if {record.names[j]} is above {written}, else {no}."
        return Asked(question, (no, yes), yes if above else no)
    if rng.random() < 0.3:
        return _yes_no(f"Is {record.names[j]} below {written}?", not above)
    return _yes_no(f"Is {record.names[j]} above {written}?", above)


def _weighted_sum(rng: np.random.Generator, record: Record) -> Asked | None:
    """Is x plus y minus z positive?"""
    columns = _numbers(record)
    if len(columns) < 2:
        return None
    chosen = rng.permutation(columns)[: int(rng.integers(2, 6))]
    signs = np.where(rng.random(len(chosen)) < 0.65, 1, -1)
    signs[0] = 1
    total = round(float(signs @ record.values[chosen]), 1)
    if total == 0:
        return None
    terms = record.names[chosen[0]] + "".join(
        f" {'plus' if sign > 0 else 'minus'} {record.names[j]}"
        for j, sign in zip(chosen[1:], signs[1:], strict=True)
    )
    return _yes_no(f"Is {terms} positive?", total > 0)


def _overall(rng: np.random.Generator, record: Record) -> Asked | None:
    """Is the sum of all values positive?"""
    columns = _numbers(record)
    total = round(float(record.values[columns].sum()), 1)
    if len(columns) < 2 or total == 0:
        return None
    return _yes_no("Is the sum of all positive?", total > 0)


def _mean(rng: np.random.Generator, record: Record) -> Asked | None:
    """What is the mean of all values?"""
    columns = _numbers(record)
    if not len(columns):
        return None
    return Asked("What is the mean of all?", OPEN, write_standardised(float(record.values[columns].mean())))


def _larger(rng: np.random.Generator, record: Record) -> Asked | None:
    """Which is larger, x or y?"""
    columns = _numbers(record)
    if len(columns) < 2:
        return None
    a, b = rng.permutation(columns)[:2]
    difference = round(float(record.values[b] - record.values[a]), 1)
    if difference == 0:
        return None
    names = (record.names[a], record.names[b])
    return Asked(f"Which is larger, {names[0]} or {names[1]}?", names, names[int(difference > 0)])


def _both(rng: np.random.Generator, record: Record) -> Asked | None:
    """Are x and y both positive? Is x or y positive?"""
    columns = _numbers(record)
    if len(columns) < 2:
        return None
    a, b = rng.permutation(columns)[:2]
    positive = record.values[[a, b]] > 0
    if rng.random() < 0.5:
        return _yes_no(f"Are {record.names[a]} and {record.names[b]} both positive?", bool(positive.all()))
    return _yes_no(f"Is {record.names[a]} or {record.names[b]} positive?", bool(positive.any()))


def _read(rng: np.random.Generator, record: Record) -> Asked | None:
    """What is x?"""
    j = int(rng.integers(len(record.names)))
    return Asked(f"What is {record.names[j]}?", OPEN, record.text(j))


def _recorded(rng: np.random.Generator, record: Record) -> Asked | None:
    """Is x recorded?"""
    missing = np.isnan(record.values)
    if not missing.any() and rng.random() < 0.8:
        return None
    want = bool(missing.any()) and rng.random() < 0.5
    j = int(rng.choice(np.flatnonzero(missing == want))) if (missing == want).any() else 0
    return _yes_no(f"Is {record.names[j]} recorded?", not missing[j])


def _count_missing(rng: np.random.Generator, record: Record) -> Asked | None:
    """How many values are not recorded?"""
    count = int(np.isnan(record.values).sum())
    if count == 0 and rng.random() < 0.8:
        return None
    words = ("none", "one", "two", "more")
    return Asked("How many values are not recorded?", words, words[min(count, 3)])


def _category(rng: np.random.Generator, record: Record) -> Asked | None:
    """Is sex male?"""
    columns = [j for j, words in enumerate(record.categories) if words and not np.isnan(record.values[j])]
    if not columns:
        return None
    j = pick(rng, columns)
    word = record.text(j) if rng.random() < 0.5 else pick(rng, record.categories[j])
    return _yes_no(f"Is {record.names[j]} {word}?", word == record.text(j))


Question = Callable[[np.random.Generator, Record], Asked | None]
_EASY: tuple[Question, ...] = (_overall, _overall, _mean, _mean, _read, _threshold)
_QUESTIONS: tuple[Question, ...] = (
    *(_overall,) * 3,
    *(_mean,) * 4,
    *(_threshold,) * 4,
    *(_weighted_sum,) * 3,
    *(_read,) * 3,
    _larger,
    _both,
    _recorded,
    _count_missing,
    *(_category,) * 2,
)
