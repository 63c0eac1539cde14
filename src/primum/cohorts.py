"""A synthetic cohort from published margins: what a paper tells of its patients, without a single one of them.

Counts are met exactly: every group has its patients and its events, every column its missing values. Given the
outcome, columns are independent of one another, which no real cohort is; numbers follow a normal distribution cut
at its limits. So a cohort shows what a program does with data of such a size and such a signal, never what is true
of patients.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from primum.records.frozen import Frozen

TRIES = 200
"""Draws of a number until it lies within its limits; then the nearest limit is taken."""


class OutcomeMargin(Frozen):
    """The outcome: its column, its two values (without, with the event), and how many had it."""

    column: str
    values: tuple[str, str]
    events: int = Field(ge=1)


class CategoryMargin(Frozen):
    """A column of groups: group -> (patients with the event, patients)."""

    column: str
    groups: dict[str, tuple[int, int]] = Field(min_length=2)
    missing: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for group, (events, n) in self.groups.items():
            if not 0 <= events <= n:
                raise ValueError(f"groups: '{group}' has {events} events of {n} patients")
        return self


class NumberMargin(Frozen):
    """A column of numbers."""

    column: str
    mean: float
    sd: float = Field(gt=0)
    minimum: float
    maximum: float
    decimals: int = Field(default=0, ge=0, le=6)
    shift: float = 0.0
    """How many standard deviations higher it lies, on average, in patients with the event."""
    missing: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.minimum < self.mean < self.maximum:
            raise ValueError(f"'{self.column}': the mean must lie between minimum and maximum")
        return self


class Cohort(Frozen):
    """The margins of a cohort."""

    records: int = Field(ge=2)
    outcome: OutcomeMargin
    categories: tuple[CategoryMargin, ...] = ()
    numbers: tuple[NumberMargin, ...] = ()
    seed: int = 42
    source: str
    """Where the margins were published, and which figures are assumed."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        events = self.outcome.events
        if events >= self.records:
            raise ValueError(f"outcome.events: {events} of {self.records} records")
        for category in self.categories:
            n = sum(count for _, count in category.groups.values())
            had = sum(event for event, _ in category.groups.values())
            if (n, had) != (self.records, events):
                raise ValueError(
                    f"categories: '{category.column}' adds up to {had} events of {n} records, the cohort to {events} "
                    f"of {self.records}"
                )
        missing = {c.column: c.missing for c in self.categories} | {n.column: n.missing for n in self.numbers}
        named = 2 + len(self.categories) + len(self.numbers)
        if len({"record", self.outcome.column, *missing}) < named:
            raise ValueError("a column stands twice, or is called `record`, which numbers the records")
        for column, count in missing.items():
            if count > self.records:
                raise ValueError(f"'{column}': more values are missing than there are records")
        return self


def make_cohort(cohort: Cohort) -> pd.DataFrame:
    """The records (n,): `record` (1 to n), the outcome, then each column; NaN or None is not recorded.

    The same margins and seed give the same records.
    """
    rng = np.random.default_rng(cohort.seed)
    event = np.arange(cohort.records) < cohort.outcome.events
    event = event[rng.permutation(cohort.records)]
    columns: dict[str, object] = {
        "record": np.arange(1, cohort.records + 1),
        cohort.outcome.column: np.where(event, cohort.outcome.values[1], cohort.outcome.values[0]),
    }
    for category in cohort.categories:
        columns[category.column] = _blank(_groups(category, event, rng), category.missing, rng)
    for number in cohort.numbers:
        columns[number.column] = _blank(_numbers(number, event, rng), number.missing, rng)
    return pd.DataFrame(columns)


def _groups(category: CategoryMargin, event: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) a group for each patient: exactly the published number with and without the event."""
    names = np.empty(event.size, dtype=object)
    for had in (True, False):
        dealt = [g for g, (e, n) in category.groups.items() for _ in range(e if had else n - e)]
        names[event == had] = np.array(dealt, dtype=object)[rng.permutation(len(dealt))]
    return names


def _numbers(number: NumberMargin, event: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) normal numbers within the limits; the shift leaves the mean of all as it is."""
    centre = number.mean + number.shift * number.sd * (event - event.mean())
    drawn = rng.normal(centre, number.sd)
    for _ in range(TRIES):
        outside = (drawn < number.minimum) | (drawn > number.maximum)
        if not outside.any():
            break
        drawn[outside] = rng.normal(centre[outside], number.sd)
    return np.round(np.clip(drawn, number.minimum, number.maximum), number.decimals)


def _blank(values: np.ndarray, missing: int, rng: np.random.Generator) -> np.ndarray:
    blank = rng.permutation(values.size)[:missing]
    if values.dtype == object:
        values[blank] = None
    else:
        values = values.astype(float)
        values[blank] = np.nan
    return values
