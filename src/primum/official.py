"""A benchmark's own split, kept: its parts as they are published, what leaks between them found and named.

Published splits share texts more often than their readers know. A leak is what the gate counts as one: a patient,
a row of features, or a near-equal text that training (or validation) and the test part both hold.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from primum.config import TaskConfig
from primum.duplicates import components, copied_rows, copied_texts, duplicate_groups, same_key
from primum.errors import BadInput
from primum.split import PARTS, Assignment, part_shares, place, refuse_small_classes, refuse_small_holdout

TRAIN, VALIDATION, TEST = range(len(PARTS))
SHOWN = 10
"""Rows that a note names at most; it tells how many there are in any case."""


def keep_official(records: pd.DataFrame, task: TaskConfig, seed: int) -> Assignment:
    """The published part of each canonical record, from its column `official`.

    Where no record is validation it is taken from training, by patient and free of near-duplicates, as `split.assign`
    does. The test part is never changed; with `split.official.drop_leaks` training and validation records that
    leak belong to no part. Notes count the leaks and name their rows. Raises BadInput where a part is missing, or
    too small.
    """
    order = np.argsort(records["record_id"].to_numpy(dtype=object), kind="stable")
    ordered = records.iloc[order].reset_index(drop=True)
    part = np.array([PARTS.index(name) for name in ordered["official"]])
    _require_parts(part, task)
    notes: list[str] = []
    if not (part == VALIDATION).any():
        part = _with_validation(ordered, part, task, seed)
        notes.append(
            f"official split: {int((part == VALIDATION).sum())} validation records are from training"
        )
    judged, held_back = leaks(ordered, part, task)
    notes += _told(ordered, part, judged, held_back)
    if task.split.official is not None and task.split.official.drop_leaks and (judged | held_back).any():
        part = np.where(judged | held_back, -1, part)
        notes.append(f"official split: {int((part < 0).sum())} record(s) were left out (drop_leaks)")
    refuse_small_holdout(ordered, task, part, tuple(notes))
    refuse_small_classes(ordered, task, part, tuple(notes))
    names = np.empty(len(records), dtype=object)
    names[order] = np.array([*PARTS, ""], dtype=object)[part]
    copies = int((np.bincount(duplicate_groups(ordered, task)) > 1).sum())
    return Assignment(names, copies, tuple(notes))


def leaks(records: pd.DataFrame, part: np.ndarray, task: TaskConfig) -> tuple[np.ndarray, np.ndarray]:
    """Two masks (n,): training and validation records that the test part holds, and training records that
    validation holds and the test part does not. `part` (n,) is an index into PARTS."""
    judged = np.zeros(len(records), dtype=bool)
    learned = np.flatnonzero((part == TRAIN) | (part == VALIDATION))
    judged[learned] = shared(records.iloc[learned], records[part == TEST], task)
    held_back = np.zeros(len(records), dtype=bool)
    trained = np.flatnonzero((part == TRAIN) & ~judged)
    held_back[trained] = shared(records.iloc[trained], records[(part == VALIDATION) & ~judged], task)
    return judged, held_back


def shared(records: pd.DataFrame, others: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """(len(records),) True where `others` hold the record's patient, its row of features or a near-equal text."""
    if records.empty or others.empty:
        return np.zeros(len(records), dtype=bool)
    patients = records["patient_id"].isin(others["patient_id"]).to_numpy()
    return patients | copied_rows(others, records, task) | copied_texts(others, records, task)


def _require_parts(part: np.ndarray, task: TaskConfig) -> None:
    official = task.split.official
    for needed in (TRAIN, TEST):
        if not (part == needed).any():
            name = PARTS[needed]
            where = f"column '{official.column}'" if official and official.column else "source.parts"
            mend = f"list the values that mean it under split.official.{name}"
            raise BadInput(
                f"task '{task.name}': no labelled record of the official {name} part ({where}); "
                f"{mend if official and official.column else 'give the part that has them'}, or leave "
                "split.official away: then the records are divided by patient"
            )


def _with_validation(records: pd.DataFrame, part: np.ndarray, task: TaskConfig, seed: int) -> np.ndarray:
    rows = np.flatnonzero(part == TRAIN)
    training = records.iloc[rows].reset_index(drop=True)
    patient = pd.factorize(training["patient_id"])[0]
    group = components(len(rows), [same_key(patient), same_key(duplicate_groups(training, task))])
    group = pd.factorize(group)[0]
    wanted = part_shares(task)[[TRAIN, VALIDATION]]
    drawn = part.copy()
    drawn[rows] = place(training, task, wanted / wanted.sum(), seed, patient, group)[group]
    return drawn


def _told(records: pd.DataFrame, part: np.ndarray, judged: np.ndarray, held_back: np.ndarray) -> list[str]:
    lines = []
    for mask, holder in ((judged, "test"), (held_back, "validation")):
        for code in (TRAIN, VALIDATION):
            rows = records[mask & (part == code)]
            if len(rows):
                lines.append(
                    f"official split: {len(rows)} {PARTS[code]} record(s) share patient, row or text with the "
                    f"{holder} part: {_rows(rows)}"
                )
    return lines


def _rows(records: pd.DataFrame) -> str:
    """The rows in their source, as `row 3, 17 and 4 more`; of several sources with their names."""
    several = records["site"].nunique() > 1
    found = sorted(zip(records["site"] if several else [""] * len(records), records["row"], strict=True))
    shown = ", ".join(f"{site} {int(row)}".strip() for site, row in found[:SHOWN])
    return f"row {shown} and {len(found) - SHOWN} more" if len(found) > SHOWN else f"row {shown}"
