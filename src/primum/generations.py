"""Which split a task stands on: one generation of patients a holdout, however often their records are read.

The pointer file of a task names its current split. Until a holdout of the task was opened, a run divides the
source as it is. From then on every run keeps each record in its part: what the source says of it now is read
again, records that are new wait for the next holdout (`primum split rotate`), and looks go on being counted
under the holdout's first version. The ledger's opened holdouts must all be among the versions that the current
split names as seen, so a pointer that was set back or a lineage that was forged is refused.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from re import fullmatch

import numpy as np
import pandas as pd

from primum.config import StackConfig, TaskConfig
from primum.contamination import checked
from primum.errors import BadInput, Tampered, Unavailable
from primum.ledger import Ledger
from primum.pointer import SPLIT_HASH, pointed, split_name
from primum.progress import say
from primum.records import ALL_SITES, PARTS, Lineage, SplitVersion
from primum.rotation import fresh_records
from primum.split import Assignment, assign, refuse_small_classes
from primum.versioning import find_version, load_part, store_split
from primum.workspace import Workspace


def make_split(
    workspace: Workspace, records: Path, task: TaskConfig, stack: StackConfig, seed: int
) -> SplitVersion:
    """The split that a run at all sites stands on, stored: drawn where no holdout was opened, else kept.

    `records` is the canonical Parquet file. Raises Tampered where the ledger knows opened holdouts that the
    current split does not name, BadInput where the current split is gone or none of its records is left.
    """
    opened = opened_holdouts(workspace, task.name, ALL_SITES)
    current = current_split(workspace, task.name, stack, opened)
    frame = pd.read_parquet(records)
    if current is None or (current.lineage.generation == 1 and not opened):
        return store_split(workspace.home, records, assign(frame, task, seed), task, stack, seed)
    require_known(workspace, current, stack)
    return keep(workspace, records, frame, current, task, stack, seed)


def opened_holdouts(workspace: Workspace, task: str, site: str | None = None) -> tuple[str, ...]:
    """The task's holdouts that were ever opened (at `site` only, where given), in the order of their first look."""
    where = {"kind": "look", "task": task} | ({} if site is None else {"site": site})
    with closing(Ledger.open(workspace.ledger)) as ledger:
        looks = ledger.entries(**where)
    return tuple(dict.fromkeys(e.holdout for e in looks if fullmatch(SPLIT_HASH, e.holdout)))


def is_watched(workspace: Workspace, task: str) -> bool:
    """Whether outcomes of the task were ever watched: then only patients that were kept to judge may be holdout."""
    with closing(Ledger.open(workspace.ledger)) as ledger:
        return any("watched" in entry.payload for entry in ledger.entries(kind="note", task=task))


def note_watched(workspace: Workspace, task: str, now: datetime) -> None:
    """Write down, once, that outcomes of the task are watched from now on."""
    if is_watched(workspace, task):
        return
    with closing(Ledger.open(workspace.ledger)) as ledger:
        payload = {"watched": "outcomes of new patients are watched from now on, but for those kept to judge"}
        ledger.record("note", task=task, site=ALL_SITES, payload=payload, now=now)


def current_split(
    workspace: Workspace, task: str, stack: StackConfig, opened: tuple[str, ...], site: str = ALL_SITES
) -> SplitVersion | None:
    """The split that the pointer file names; None before the first. Raises BadInput where it is gone."""
    name = pointed(workspace.home, task, site)
    if name is None and opened:
        raise BadInput(
            f"task '{split_name(task, site)}': {len(opened)} holdout(s) of it were opened, but no pointer file names "
            f"its split; bring it back: primum split restore --task {task} {opened[-1]}"
        )
    try:
        return None if name is None else find_version(workspace.home, task, name, stack)
    except Unavailable:
        if opened:
            raise
        return None  # a pointer that nobody's data stands behind: the run makes the split anew


def lineage(root: Path, current: SplitVersion, stack: StackConfig) -> tuple[SplitVersion, ...]:
    """Every split version that `current` counts as seen, oldest first, and `current` itself.

    Raises Tampered where what they say of one another does not fit together, Unavailable where one is lost.
    """
    try:
        found = [find_version(root, current.task, name, stack) for name in current.lineage.earlier]
    except BadInput as problem:
        raise Tampered(f"split {current.dvc_hash}: its lineage is false: {problem}") from None
    for version in found:
        lost = set(version.lineage.earlier) - set(current.lineage.earlier)
        if lost:
            raise Tampered(
                f"split {current.dvc_hash}: its lineage leaves out {min(lost)}, which {version.dvc_hash} names"
            )
    _check_parent(current, {version.dvc_hash: version for version in found})
    return (*found, current)


def _check_parent(current: SplitVersion, known: dict[str, SplitVersion]) -> None:
    tree = current.lineage
    parent = known.get(tree.parent or "")
    if parent is None:
        sound = tree == Lineage()
    elif tree.origin is None:  # a rotation
        sound = tree.generation == 1 + max(version.lineage.generation for version in known.values())
    else:
        sound = tree.generation == parent.lineage.generation and tree.origin == parent.holdout
    if not sound:
        raise Tampered(
            f"split {current.dvc_hash}: generation {tree.generation} does not follow from its parent {tree.parent}"
        )


def require_known(workspace: Workspace, current: SplitVersion, stack: StackConfig) -> None:
    """Raises Tampered where the ledger knows an opened holdout of the task and site that `current` does not count."""
    task = current.task
    known = {version.holdout for version in lineage(workspace.home, current, stack)}
    unknown = [name for name in opened_holdouts(workspace, task, current.site) if name not in known]
    if unknown:
        raise Tampered(
            f"task '{task}': the ledger knows opened holdout {unknown[-1]}, which the current split "
            f"{current.dvc_hash} does not count as seen; go back (primum split restore --task {task} "
            f"{unknown[-1]}) or make a next holdout (primum split rotate --task {task})"
        )


def rows_of(root: Path, version: SplitVersion, stack: StackConfig) -> pd.DataFrame:
    """The canonical records of all parts, with their part in the column of that name."""
    parts = [load_part(root, version, part, stack).assign(part=part) for part in PARTS]
    return pd.concat(parts, ignore_index=True)


def seen_rows(root: Path, versions: tuple[SplitVersion, ...], stack: StackConfig) -> pd.DataFrame:
    """Every distinct canonical record that stands in any part of the versions."""
    rows = pd.concat([rows_of(root, version, stack) for version in versions], ignore_index=True)
    return rows.drop(columns="part").drop_duplicates(ignore_index=True)


def waiting(
    root: Path, current: SplitVersion, frame: pd.DataFrame, task: TaskConfig, stack: StackConfig
) -> pd.DataFrame:
    """The records of the source that no split of the lineage has seen."""
    seen = seen_rows(root, lineage(root, current, stack), stack)
    return frame[fresh_records(frame, seen, task)]


def keep(  # noqa: PLR0913 - what a split is made of, and the one before
    workspace: Workspace,
    records: Path,
    frame: pd.DataFrame,
    current: SplitVersion,
    task: TaskConfig,
    stack: StackConfig,
    seed: int,
) -> SplitVersion:
    """The current split with its records as the source holds them now; the very same version if they are equal."""
    old = rows_of(workspace.home, current, stack)
    part = frame["record_id"].map(old.set_index("record_id")["part"]).fillna("").to_numpy(dtype=object)
    stays = part != ""
    if not stays.any():
        raise BadInput(
            f"task '{task.name}': none of the {len(old)} records of its split (opened before, so it is kept) is in "
            "the source now; ids made of the rows' content change with it: name the id column (keys.record_id), or "
            "give the new records a task name of their own"
        )
    if len(frame) > stays.sum() and task.split.official is None:
        rotate = f"primum split rotate --task {task.name} --dry-run"
        how = rotate if current.site == ALL_SITES else "the retrain pipeline makes it when they are enough"
        say(
            f"split: generation {current.lineage.generation} is kept; {int((~stays).sum())} new record(s) wait for "
            f"the next holdout ({how})"
        )
    again = checked(frame, Assignment(part, current.duplicate_groups), task)
    if _same(frame[stays].assign(part=part[stays]), old):
        return current
    refuse_small_classes(frame[stays], task, np.array([PARTS.index(name) for name in part[stays]]))
    gone = len(old) - int(stays.sum())
    notes = (f"{gone} record(s) of the split are no longer in the source",) if gone else ()
    tree = Lineage(
        generation=current.lineage.generation,
        parent=current.dvc_hash,
        origin=current.holdout,
        earlier=(*current.lineage.earlier, current.dvc_hash),
    )
    again = replace(again, notes=(*notes, *again.notes))
    return store_split(workspace.home, records, again, task, stack, seed, tree, current.site)


def _same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    if list(left.columns) != list(right.columns):
        return False
    left, right = (f.sort_values("record_id").reset_index(drop=True) for f in (left, right))
    return left.equals(right)
