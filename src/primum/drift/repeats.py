"""Records that were delivered before: they are counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from primum.config import TaskConfig
from primum.drift.scored import hashed
from primum.duplicates import MULTIPLIER, comparable, row_keys

MANY = 0.1
"""Share of the window from which repeats look like a batch that was delivered twice."""
ORDINARY = 0.01
"""Share of identical rows in the reference up to which an identical row is the same record, where the task
does not say whose it is."""


@dataclass(frozen=True)
class Fresh:
    """The window without what was delivered before."""

    records: pd.DataFrame
    notes: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    gone: frozenset[str] = frozenset()
    """Ids of the records that were left out."""


def fresh(reference: pd.DataFrame, current: pd.DataFrame, task: TaskConfig) -> Fresh:
    """Leave out each window record whose patient, time and features stand in the reference or earlier in it.

    Of a record that stands in the window twice the one with a label is kept. Without patient ids in the task
    a row counts as repeated only where identical rows are rare in the reference itself.
    """
    own, known = _candidates(reference, current, task)
    if not own.any():
        return Fresh(current)
    before, now = (_keys(side[rows], task) for side, rows in ((reference, known), (current, own)))
    if task.keys.patient_id is None and _ordinary(before):
        return Fresh(current)
    seen = np.isin(now, before)
    again = _again(now, current["label"][own]) & ~seen
    rows = np.flatnonzero(own)
    drop = np.zeros(len(current), dtype=bool)
    drop[rows[seen | again]] = True
    if not drop.any():
        return Fresh(current)
    same = "same time and features" if task.keys.patient_id is None else "same patient, time and features"
    notes = [
        f"{count} of {len(current)} record(s) of the window {where}; counted once"
        for count, where in (
            (
                int(seen.sum()),
                f"already stand in the champion's training records ({same})",
            ),
            (int(again.sum()), f"stand in it twice ({same})"),
        )
        if count
    ]
    many = drop.sum() >= max(5, MANY * len(current))
    words = f"{int(drop.sum())} of {len(current)} records: it looks like the same batch delivered twice"
    return Fresh(
        current[~drop], tuple(notes), (words,) if many else (), frozenset(current["record_id"][drop])
    )


def _candidates(
    reference: pd.DataFrame, current: pd.DataFrame, task: TaskConfig
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows of window and reference whose patient stands in both, or in the window twice."""
    if task.keys.patient_id is None:
        return np.ones(len(current), dtype=bool), np.ones(len(reference), dtype=bool)
    ours, theirs = (hashed(side["patient_id"]) for side in (current, reference))
    _, place, count = np.unique(ours, return_inverse=True, return_counts=True)
    own = np.isin(ours, theirs) | (count[place] > 1)
    known = np.isin(theirs, ours[own]) if own.any() else np.zeros(theirs.size, dtype=bool)
    return own, known


def _keys(records: pd.DataFrame, task: TaskConfig) -> NDArray[Any]:
    """(n,) key of each record's features, time and - where the task has one - patient."""
    keys = row_keys(comparable(records, task))
    whose = ["time"] if task.keys.patient_id is None else ["time", "patient_id"]
    for column in whose:
        values = records[column].astype(object).where(records[column].notna(), "")
        keys = (keys ^ (keys >> np.uint64(31))) * MULTIPLIER + pd.util.hash_array(
            values.to_numpy(dtype=object)
        )
    return keys


def _ordinary(keys: NDArray[Any]) -> bool:
    """Whether identical rows are nothing special in the reference."""
    return keys.size == 0 or np.unique(keys).size < (1 - ORDINARY) * keys.size


def _again(keys: NDArray[Any], label: pd.Series) -> NDArray[np.bool_]:
    """(n,) every record of a key but the first that has a label, else but the first."""
    order = np.argsort(label.isna().to_numpy(), kind="stable")
    repeated = np.empty(keys.size, dtype=bool)
    repeated[order] = pd.Series(keys[order]).duplicated().to_numpy()
    return repeated
