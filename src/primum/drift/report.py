"""The report of one site: every comparison, one correction over all of them, and what a person may check."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from primum.config import DriftConfig, TaskConfig
from primum.drift import inputs, texts
from primum.drift.columns import Column, changed_types, declared_columns, pair_columns
from primum.drift.comparison import Comparison, findings
from primum.drift.evidently_tests import Pair, write_page
from primum.drift.hidden import hidden_missing
from primum.drift.outcomes import Compared, calibration, losses, prevalence, scores
from primum.drift.performance import estimate_of, performance_of
from primum.drift.repeats import fresh
from primum.drift.scored import About, Answers, Scored, answers, codes, one_each
from primum.drift.units import unit_suggestion
from primum.records import DriftReport, Finding, HiddenMissing, Performance, WatchStatus


@dataclass
class _Seen:
    """What comparing came to so far."""

    comparisons: list[Comparison] = field(default_factory=list)
    hidden: list[HiddenMissing] = field(default_factory=list)
    pairs: list[Pair] | None = None
    """The columns for Evidently's page; None where none is wanted."""
    suggestions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Compared) -> None:
        self.comparisons += found.comparisons
        self.notes += found.notes


@dataclass(frozen=True)
class _Champion:
    """What the champion said: on its validation part, on the window, where the window's outcomes are known."""

    before: Answers | None
    now: Answers | None
    outcomes: Answers | None


def compare(  # noqa: PLR0913 - the two sides, and what the champion said of each
    task: TaskConfig,
    config: DriftConfig,
    *,
    about: About,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    scored_reference: Scored | None,
    scored_current: Scored | None,
    outcomes: Scored | None,
    evidently_html: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> DriftReport:
    """Compare a site's window with the training records of the champion that serves there.

    `reference` and `current` hold canonical records; a column that is not there counts as not recorded.
    `scored_reference` is the champion on its validation part, `scored_current` on the window, `outcomes` the
    watched part of the window whose outcome is known. `evidently_html` gets Evidently's page (4 MB). Raises
    BadInput where predictions do not belong to their records or labels.
    """
    reference, _ = declared_columns(reference, task)
    current, misfits = declared_columns(current, task)
    window = fresh(reference, current, task)
    champion = _Champion(
        _answers(scored_reference, task),
        _answers(scored_current, task, window.gone),
        _answers(outcomes, task, window.gone),
    )
    seen = _Seen(notes=[*about.notes, *window.notes], pairs=None if evidently_html is None else [])
    sides = (_one_each(reference, "reference", seen), _one_each(window.records, "window", seen))
    few = _too_few(*sides, config)
    seen.notes += few
    seen.suggestions += window.suggestions
    found: tuple[Finding, ...] = ()
    if not few:
        found = _judge(task, config, sides, misfits, champion, seen, resamples, seed)
    if evidently_html is not None and seen.pairs:
        write_page(seen.pairs, evidently_html, config.alpha)
    status: WatchStatus = "too few" if few else "alarm" if any(f.alarm for f in found) else "quiet"
    counts = (len(reference), len(window.records))
    return _report(task, about, counts, status, found, champion, seen, resamples, seed)


def _report(  # noqa: PLR0913
    task: TaskConfig,
    about: About,
    counts: tuple[int, int],
    status: WatchStatus,
    found: tuple[Finding, ...],
    champion: _Champion,
    seen: _Seen,
    resamples: int,
    seed: int,
) -> DriftReport:
    """Everything in its place; performance and estimate are said however few the records are."""
    trusted = not any(f.alarm and f.kind == "calibration" for f in found)
    return DriftReport(
        task=task.name,
        site=about.site,
        champion=about.champion,
        reference=about.reference,
        reference_scope=about.reference_scope,
        since=about.since,
        until=about.until,
        reference_records=counts[0],
        current_records=counts[1],
        outcome_records=0 if champion.outcomes is None else champion.outcomes.known().gold.size,
        status=status,
        findings=found,
        hidden_missing=tuple(seen.hidden),
        suggestions=tuple(seen.suggestions),
        performance=_performance(champion.outcomes, resamples, seed),
        performance_before=_performance(champion.before, resamples, seed),
        estimate=None if champion.now is None else estimate_of(champion.now, trusted),
        notes=tuple(seen.notes),
    )


def _judge(  # noqa: PLR0913
    task: TaskConfig,
    config: DriftConfig,
    sides: tuple[pd.DataFrame, pd.DataFrame],
    misfits: dict[str, float],
    champion: _Champion,
    seen: _Seen,
    resamples: int,
    seed: int,
) -> tuple[Finding, ...]:
    """All findings; of the numbers that alarm, whether a unit changed."""
    for column in pair_columns(*sides, task):
        _column(column, config, seen)
    seen.comparisons += changed_types(_wordy(sides, task), misfits, config.min_missing)
    _answered(task, config, sides[0], champion, seen, resamples, seed)
    found = findings(seen.comparisons, config.alpha)
    alarming = {f.column for f in found if f.alarm and f.kind == "input"}
    numbers = (c for c in pair_columns(*sides, task) if c.name in alarming and c.feature.kind == "number")
    units = (unit_suggestion(column.feature, *column.recorded()) for column in numbers)
    seen.suggestions += [suggestion for suggestion in units if suggestion is not None]
    return found


def _column(column: Column, config: DriftConfig, seen: _Seen) -> None:
    """Whether it is recorded, what was recorded, and what only seems to be."""
    compared = [inputs.missing(column, config)]
    if column.feature.kind == "text":
        described = texts.describe(column)
        if described is not None:
            compared += texts.texts(column, described, config)
            if seen.pairs is not None:
                seen.pairs += texts.pairs(column, described)
    else:
        compared.append(inputs.values(column, config))
        if seen.pairs is not None and (pair := inputs.pair(column)) is not None:
            seen.pairs.append(pair)
    seen.comparisons += [comparison for comparison in compared if comparison is not None]
    seen.hidden += hidden_missing(column)


def _answered(  # noqa: PLR0913
    task: TaskConfig,
    config: DriftConfig,
    reference: pd.DataFrame,
    champion: _Champion,
    seen: _Seen,
    resamples: int,
    seed: int,
) -> None:
    """What the champion says, and what is known to have come of it."""
    if champion.before is not None and champion.now is not None:
        seen.add(scores(champion.before, champion.now, config, task))
    if champion.outcomes is None:
        return
    labels = codes(reference["label"], task.labels)
    seen.add(prevalence(labels, champion.outcomes.one_each().gold, config, task))
    seen.add(calibration(champion.outcomes, config))
    if champion.before is not None:
        seen.add(losses(champion.before, champion.outcomes, config, resamples, seed))


def _answers(scored: Scored | None, task: TaskConfig, gone: frozenset[str] = frozenset()) -> Answers | None:
    """Coded, without the records that were delivered before; None where there is none."""
    if scored is None or scored.records.empty:
        return None
    coded = answers(scored, task)
    return coded.rows(~np.isin(coded.record_ids, list(gone))) if gone else coded


def _performance(said: Answers | None, resamples: int, seed: int) -> Performance | None:
    """Of the records whose outcome is known; None without any."""
    known = None if said is None else said.known()
    return (
        None
        if known is None or not known.gold.size
        else performance_of(known, resamples=resamples, seed=seed)
    )


def _one_each(records: pd.DataFrame, what: str, seen: _Seen) -> pd.DataFrame:
    """One record of each patient."""
    rows = one_each(records["record_id"], records["patient_id"])
    if len(rows) == len(records):
        return records
    seen.notes.append(
        f"the {len(records)} records of the {what} are of {len(rows)} patients: the tests take one of each"
    )
    return records.iloc[rows]


def _too_few(reference: pd.DataFrame, current: pd.DataFrame, config: DriftConfig) -> list[str]:
    """Why nothing is judged: a side without enough patients."""
    if not len(current):
        return ["the window holds no records; nothing is judged"]
    sides = (("window", len(current)), ("reference", len(reference)))
    return [
        f"too few to judge: the {what} holds {size} patient(s), {config.min_records - size} more needed"
        for what, size in sides
        if size < config.min_records
    ]


def _wordy(sides: tuple[pd.DataFrame, pd.DataFrame], task: TaskConfig) -> list[Column]:
    """The first rows of the columns of words: enough to see of what kind they are."""
    some = [side.iloc[:5000] for side in sides]
    return [column for column in pair_columns(some[0], some[1], task) if column.feature.kind != "number"]
