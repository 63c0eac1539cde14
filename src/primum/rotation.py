"""The next holdout: only patients that no earlier split of the task has seen, everyone else trains.

A record is seen when it, its patient, or anything that duplicates either was in any part of an earlier split
version; the closure holds, so a copy of a copy of a seen record is seen as well.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from primum.config import TaskConfig
from primum.contamination import checked
from primum.duplicates import components, duplicate_groups, same_key
from primum.errors import BadInput
from primum.split import PARTS, Assignment, part_shares, place, refuse_small_classes

TRAIN, VALIDATION, TEST = range(len(PARTS))
FEW_WATCHED = 50
"""Watched patients below which older ones join them in validation: too few to calibrate on."""


def fresh_records(records: pd.DataFrame, seen: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """(n,) True for the records that neither stand in `seen` nor are tied to it by patient, row or text.

    Both hold canonical columns; a feature that `seen` lacks counts as not recorded there.
    """
    return _groups(records, seen, task)[1]


def rotate(
    records: pd.DataFrame, seen: pd.DataFrame, task: TaskConfig, seed: int, share: float | None = None
) -> Assignment:
    """Assign all canonical records anew: fresh patients fill the holdout up to its share of all patients.

    The fresh patients beyond that share and all seen ones (those of old holdouts too: they were looked at) are
    divided into train and validation. With `share` only fresh patients that were kept to judge (see
    `kept_to_judge`) may be holdout: for tasks whose outcomes are watched. Groups are never torn, parts are
    stratified by label and site, and the result depends on the two sets of records, the task and the seed only.
    Raises BadInput, with what is missing, when the holdout would hold too few patients or too little of a class.
    """
    _refuse_twice(records)
    _refuse_official(task)
    order = np.argsort(records["record_id"].to_numpy(dtype=object), kind="stable")
    ordered = records.iloc[order]
    group, fresh, copies = _groups(ordered, seen, task)
    if share is not None:
        watched = ~kept_to_judge(ordered["patient_id"], task.name, share)
        fresh = fresh & ~np.isin(group, group[watched])
    part = np.full(len(ordered), -1)
    part[fresh] = _holdout(ordered, fresh, group, task, seed)
    _refuse_few(ordered[part == TEST], task)
    rest = part != TEST
    wanted = part_shares(task)[[TRAIN, VALIDATION]]
    part[rest] = _placed(ordered[rest], task, wanted / wanted.sum(), seed, group[rest])
    refuse_small_classes(ordered, task, part)
    names = np.empty(len(records), dtype=object)
    names[order] = np.array(PARTS, dtype=object)[part]
    return checked(records, Assignment(names, int((np.bincount(copies) > 1).sum())), task)


def kept_to_judge(patients: pd.Series, task: str, share: float) -> np.ndarray:
    """(n,) True for the patients whose outcomes are kept for a holdout, False for those that may be watched.

    A hash of task and patient decides, so a patient stays on one side whenever and wherever it is asked.
    """
    key = hashlib.sha256(f"primum judged {task}".encode()).hexdigest()[:16]
    drawn = pd.util.hash_array(patients.to_numpy(dtype=object), hash_key=key, categorize=False)
    return np.asarray(drawn / 2**64 < share)


def rotate_site(
    records: pd.DataFrame, seen: pd.DataFrame, task: TaskConfig, seed: int, share: float
) -> Assignment:
    """Divide a site's canonical records for its next holdout; those of `seen` stood in earlier splits.

    Of the fresh records (see `rotate`) the holdout gets those that were kept to judge: groups all of whose
    patients were, so that no outcome that may have been watched ever judges. The watched ones go to validation,
    which so is as recent as the holdout, up to its share; all others train. Raises BadInput as `rotate`.
    """
    _refuse_twice(records)
    _refuse_official(task)
    order = np.argsort(records["record_id"].to_numpy(dtype=object), kind="stable")
    ordered = records.iloc[order]
    group, fresh, copies = _groups(ordered, seen, task)
    watched = ~kept_to_judge(ordered["patient_id"], task.name, share)
    judged = fresh & ~np.isin(group, group[watched])
    _refuse_few(ordered[judged], task)
    part = np.where(judged, TEST, -1)
    train, validation, _ = part_shares(task)
    held_back = validation / (train + validation) * ordered.loc[~judged, "patient_id"].nunique()
    for pool in (fresh & ~judged, ~fresh):
        people = ordered.loc[pool, "patient_id"].nunique()
        have = ordered.loc[part == VALIDATION, "patient_id"].nunique()
        share_of_pool = max(0.0, held_back - have) / max(people, 1)
        if have >= FEW_WATCHED or share_of_pool == 0:
            part[pool] = TRAIN
        elif share_of_pool >= 1:
            part[pool] = VALIDATION
        else:
            shares = np.array([1 - share_of_pool, share_of_pool])
            part[pool] = _placed(ordered[pool], task, shares, seed, group[pool])
    refuse_small_classes(ordered, task, part)
    names = np.empty(len(records), dtype=object)
    names[order] = np.array(PARTS, dtype=object)[part]
    return checked(records, Assignment(names, int((np.bincount(copies) > 1).sum())), task)


def labels_missing(records: pd.DataFrame, task: TaskConfig) -> int:
    """How many more labelled patients `records` need to be a holdout; 0 where they are enough."""
    split, patients = task.split, records["patient_id"].nunique()
    lacking = sum(
        max(0, split.min_per_class - int((records["label"] == label).sum())) for label in task.labels
    )
    return max(split.min_test - patients, lacking, 0)


def too_few(records: pd.DataFrame, task: TaskConfig) -> str:
    """What `records` lack to be a holdout, in words; empty where they are enough."""
    split, more = task.split, labels_missing(records, task)
    counts = {label: int((records["label"] == label).sum()) for label in task.labels}
    lacking = {label: split.min_per_class - n for label, n in counts.items() if n < split.min_per_class}
    if not more:
        return ""
    classes = ", ".join(f"{n} of class '{label}'" for label, n in lacking.items())
    among = f", among them {classes}" if classes else ""
    return f"{more} more labelled patient(s) are needed{among}"


def _refuse_twice(records: pd.DataFrame) -> None:
    if not records["record_id"].is_unique:
        raise BadInput("record ids stand twice; give every record an id of its own (keys.record_id)")


def _refuse_official(task: TaskConfig) -> None:
    if task.split.official is not None:
        raise BadInput(
            f"task '{task.name}': keeps a benchmark's own split, which has one test part and no next holdout; give "
            "new records a task of their own, without split.official"
        )


def _refuse_few(holdout: pd.DataFrame, task: TaskConfig) -> None:
    missing = too_few(holdout, task)
    if missing:
        counts = ", ".join(f"{label} {int((holdout['label'] == label).sum())}" for label in task.labels)
        raise BadInput(
            f"task '{task.name}': the next holdout would hold {holdout['patient_id'].nunique()} patients that no "
            f"earlier split has seen ({counts}) and needs {task.split.min_test}, with {task.split.min_per_class} "
            f"records of each class: {missing}"
        )


def _groups(
    records: pd.DataFrame, seen: pd.DataFrame, task: TaskConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) group of each record, whether it is fresh, and its group of copies among the records."""
    n = len(records)
    both = pd.concat([records, seen.reindex(columns=records.columns)], ignore_index=True)
    copies = duplicate_groups(both, task)
    ties = [same_key(pd.factorize(both[column])[0]) for column in ("patient_id", "record_id")]
    group = components(len(both), [*ties, same_key(copies)])
    return group[:n], ~np.isin(group[:n], group[n:]), pd.factorize(copies[:n])[0]


def _holdout(
    records: pd.DataFrame, fresh: np.ndarray, group: np.ndarray, task: TaskConfig, seed: int
) -> np.ndarray:
    """(fresh records,) TEST, or -1 for those beyond the holdout's share of all patients."""
    people = records["patient_id"].nunique()
    new = records.loc[fresh, "patient_id"].nunique()
    share = part_shares(task)[TEST] * people / max(new, 1)
    if share >= 1:
        return np.full(int(fresh.sum()), TEST)
    taken = _placed(records[fresh], task, np.array([share, 1 - share]), seed, group[fresh])
    return np.where(taken == 0, TEST, -1)


def _placed(
    records: pd.DataFrame, task: TaskConfig, wanted: np.ndarray, seed: int, group: np.ndarray
) -> np.ndarray:
    """(n,) index into `wanted` of each record."""
    patient, number = pd.factorize(records["patient_id"])[0], pd.factorize(group)[0]
    return place(records, task, wanted, seed, patient, number)[number]
