"""Which record goes to training, validation or holdout: stratified, grouped, whatever the rows' order."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from primum.config import TaskConfig
from primum.duplicates import components, copied_rows, copied_texts, duplicate_groups, same_key
from primum.errors import BadInput
from primum.records import LeakageReport, Part
from primum.stats.calibration import ISOTONIC_MINIMUM

PARTS: tuple[Part, ...] = ("train", "validation", "test")
LARGE = 0.01
"""Groups above this share of the patients are placed one by one, before all others."""
NOTABLE = 0.2
"""A group above this share of the records is worth a note: the features hardly tell records apart."""


@dataclass(frozen=True)
class Assignment:
    """The part of each record, in the order of the records that were given."""

    part: np.ndarray
    """(n,) of "train", "validation" or "test"; "" for a record that waits for a later holdout."""
    duplicate_groups: int
    """Groups of two or more records that are copies or near-duplicates of one another."""
    notes: tuple[str, ...] = ()


def assign(records: pd.DataFrame, task: TaskConfig, seed: int) -> Assignment:
    """Divide canonical records into parts whose shares of patients are those of `task.split`.

    All records of a patient, and all copies and near-duplicates, stay in one part. Within every label x site
    stratum the parts are filled by largest remainder, in an order that a hash of record id and seed gives;
    what rounding leaves over is carried to the next stratum. The result depends on the set of records, the
    task and the seed only. Raises BadInput, with the numbers, when a part would hold too little of a class
    or the holdout too few patients. With `task.split.official` the published parts are kept instead
    (`primum.official`); with `task.split.contamination` the holdout's texts are searched for in training.
    """
    from primum.contamination import checked  # both stand on this module
    from primum.official import keep_official

    if not records["record_id"].is_unique:
        raise BadInput("record ids stand twice; give every record an id of its own (keys.record_id)")
    draw = _draw if task.split.official is None else keep_official
    return checked(records, draw(records, task, seed), task)


def _draw(records: pd.DataFrame, task: TaskConfig, seed: int) -> Assignment:
    order = np.argsort(records["record_id"].to_numpy(dtype=object), kind="stable")
    ordered = records.iloc[order]
    copies = duplicate_groups(ordered, task)
    patient = pd.factorize(ordered["patient_id"])[0]
    group = components(len(ordered), [same_key(patient), same_key(copies)])
    group = pd.factorize(group)[0]  # numbered by each group's smallest record id
    part = place(ordered, task, part_shares(task), seed, patient, group)[group]
    names = np.empty(len(records), dtype=object)
    names[order] = np.array(PARTS, dtype=object)[part]
    notes = _notes(ordered, task, part, np.bincount(group))
    refuse_small_holdout(ordered, task, part, notes)
    refuse_small_classes(ordered, task, part, notes)
    return Assignment(names, int((np.bincount(copies) > 1).sum()), notes)


def leakage(training: pd.DataFrame, holdout: pd.DataFrame, task: TaskConfig) -> LeakageReport:
    """What holdout and training records (train and validation parts) share, found afresh from the rows.

    `training` is everything that any adapter on trial learned from: champion and anchor had splits of their own.

    Nothing that `assign` noted is used: patients are compared as ids, rows as keys, and every holdout text
    is searched for among the training texts.
    """
    patients = set(holdout["patient_id"]) & set(training["patient_id"])
    rows = copied_rows(training, holdout, task)
    texts = copied_texts(training, holdout, task)
    return LeakageReport(
        patients=len(patients), identical_rows=int(rows.sum()), near_duplicates=int(texts.sum())
    )


def part_shares(task: TaskConfig) -> np.ndarray:
    """(3,) the shares of patients of train, validation and test."""
    return np.array([task.split.train, task.split.validation, task.split.test])


def place(  # noqa: PLR0913 - records, their two groupings, and what is wanted
    records: pd.DataFrame,
    task: TaskConfig,
    wanted: np.ndarray,
    seed: int,
    patient: np.ndarray,
    group: np.ndarray,
) -> np.ndarray:
    """(groups,) index into `wanted`, the parts' shares of patients (all > 0), stratified by label and site.

    Records come in canonical order; `patient` and `group` (n,) are numbered from 0, groups by first record.
    """
    people = _people(records, task, patient, group)
    table = np.zeros((int(group.max(initial=-1)) + 1, len(task.labels)))
    np.add.at(table, (people["group"], people["label"]), 1)  # patients of each label in each group
    weight = table.sum(axis=1)
    placed = _place_large(table, weight > max(1.0, LARGE * len(people)), wanted)
    return _place_rest(people, table, placed, wanted, _shuffled(records, group, seed))


def _people(records: pd.DataFrame, task: TaskConfig, patient: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    """One row per patient: group, label, site. A patient of several labels counts for the rarest of them."""
    label = pd.Categorical(records["label"], categories=task.labels).codes
    site = pd.factorize(records["site"], sort=True)[0]
    frame = pd.DataFrame({"patient": patient, "group": group})
    for name, codes in {"label": label, "site": site}.items():
        by_rarity = np.argsort(np.bincount(codes), kind="stable")
        frame[name] = np.argsort(by_rarity)[codes]
    people = frame.groupby("patient", sort=False).min()
    people["label"] = np.argsort(np.bincount(label), kind="stable")[people["label"]]
    return people


def _shuffled(records: pd.DataFrame, group: np.ndarray, seed: int) -> np.ndarray:
    """(groups,) the groups in the order of a keyed hash of their first record id."""
    first = np.unique(group, return_index=True)[1]
    ids = records["record_id"].to_numpy(dtype=object)[first]
    key = hashlib.sha256(str(seed).encode()).hexdigest()[:16]
    return np.argsort(pd.util.hash_array(ids, hash_key=key, categorize=False), kind="stable")


def _place_large(table: np.ndarray, large: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(groups,) part of the large groups, biggest first, each where the labels' shares fare best; or -1."""
    placed = np.full(len(table), -1)
    target = np.outer(shares, np.maximum(table.sum(axis=0), 1))
    held = np.zeros_like(target)
    for index in sorted(np.flatnonzero(large), key=lambda i: (-table[i].sum(), i)):
        grown = ((held + table[index] - target) ** 2 - (held - target) ** 2) / target
        best = int(grown.sum(axis=1).argmin())
        placed[index] = best
        held[best] += table[index]
    return placed


def _place_rest(
    people: pd.DataFrame, table: np.ndarray, placed: np.ndarray, shares: np.ndarray, shuffled: np.ndarray
) -> np.ndarray:
    """Fill the parts, stratum by stratum, with the groups that are not placed yet."""
    placed = placed.copy()
    weight = table.sum(axis=1)
    strata = people.groupby("group")[["label", "site"]].min()
    rest = shuffled[placed[shuffled] < 0]
    label, site = strata["label"].to_numpy()[rest], strata["site"].to_numpy()[rest]
    rest = rest[np.lexsort((site, label))]
    keys = strata.to_numpy()[rest]
    cuts = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    taken = np.array([table[placed == p].sum(axis=0) for p in range(len(shares))])
    room = np.maximum(np.outer(shares, table.sum(axis=0)) - taken, 0)
    carry = np.zeros(len(shares))
    for groups in np.split(rest, cuts) if len(rest) else []:
        wanted = room[:, strata["label"].to_numpy()[groups[0]]]
        wanted = wanted if wanted.sum() else shares
        quota = wanted / wanted.sum() * weight[groups].sum() + carry
        ends = np.cumsum(apportion(quota, int(weight[groups].sum())))
        middle = np.cumsum(weight[groups]) - weight[groups] / 2
        placed[groups] = np.minimum(np.searchsorted(ends, middle, side="left"), len(shares) - 1)
        carry = quota - np.bincount(placed[groups], weights=weight[groups], minlength=len(shares))
    return placed


def apportion(quota: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers >= 0 that sum to `total` and are nearest to `quota` (Hamilton's largest remainder)."""
    seats = np.floor(np.maximum(quota, 0) + 1e-9)
    while seats.sum() < total:
        seats[np.argmax(quota - seats)] += 1
    while seats.sum() > total:
        seats[np.argmin(np.where(seats > 0, quota - seats, np.inf))] -= 1
    return seats.astype(np.int64)


def refuse_small_holdout(
    records: pd.DataFrame, task: TaskConfig, part: np.ndarray, notes: tuple[str, ...]
) -> None:
    """Raise BadInput where the holdout (index into PARTS) would hold too few patients."""
    split, why = task.split, "".join(f"; {note}" for note in notes)
    patients = records.loc[part == PARTS.index("test"), "patient_id"].nunique()
    if patients < split.min_test:
        raise BadInput(
            f"task '{task.name}': the holdout would hold {patients} of {records['patient_id'].nunique()} "
            f"patients and needs {split.min_test}; bring {math.ceil(split.min_test / split.test)} patients, "
            f"or raise split.test, or lower split.min_test{why}"
        )


def refuse_small_classes(
    records: pd.DataFrame, task: TaskConfig, part: np.ndarray, notes: tuple[str, ...] = ()
) -> None:
    """Raise BadInput where a part (index into PARTS, -1 for none) holds too little of a class, or to calibrate."""
    held_back = int((part == PARTS.index("validation")).sum())
    if task.calibration == "isotonic" and held_back < ISOTONIC_MINIMUM:
        raise BadInput(
            f"task.calibration: isotonic regression needs {ISOTONIC_MINIMUM:,} validation records, these are "
            f"{held_back}; use temperature or platt, or raise split.validation"
        )
    split, why = task.split, "".join(f"; {note}" for note in notes)
    counts = pd.crosstab(part, records["label"]).reindex(
        index=range(len(PARTS)), columns=task.labels, fill_value=0
    )
    low = counts.columns[counts.min() < split.min_per_class]
    if len(low):
        held = counts[counts[low].sum().idxmin()].to_numpy()
        raise BadInput(
            f"task '{task.name}': class '{counts[low].sum().idxmin()}' is too small: of its {held.sum()} "
            f"records {', '.join(f'{name} {n}' for name, n in zip(PARTS, held, strict=True))}, and every "
            f"part needs {split.min_per_class}; bring {math.ceil(split.min_per_class / part_shares(task).min())} "
            f"of them, or raise split.{PARTS[held.argmin()]}, or lower split.min_per_class{why}"
        )


def _notes(records: pd.DataFrame, task: TaskConfig, part: np.ndarray, sizes: np.ndarray) -> tuple[str, ...]:
    largest = int(sizes.max())
    if largest <= NOTABLE * len(records):
        return ()
    patients = pd.Series(part).groupby(records["patient_id"].to_numpy()).first()
    got = np.bincount(patients, minlength=len(PARTS)) / len(patients)
    return (
        f"{largest} of {len(records)} records ({largest / len(records):.0%}) form one group, tied by patient "
        "or by equal or near-equal features, which no split may tear: train / validation / test are "
        f"{' / '.join(f'{share:.0%}' for share in got)} of the patients instead of "
        f"{' / '.join(f'{share:.0%}' for share in part_shares(task))}; give the task features that tell records "
        "apart (a text column of set phrases is a `category`)",
    )
