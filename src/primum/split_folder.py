"""The folder of one split: three Parquet files and a manifest, equal bytes for equal splits, and its hash.

The hash is the one that DVC gives to a folder: the md5 of the sorted list of (md5, file name). It is computed
here from the files' bytes each time, never from their dates.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from primum.config import TaskConfig
from primum.errors import PrimumError, Unavailable
from primum.pointer import SPLITS, split_name
from primum.records import ALL_SITES, Lineage, SplitVersion
from primum.split import PARTS, Assignment

MANIFEST = "split.json"
ROW_GROUP = 65_536
SPARE = 4 * 2**20
"""Bytes of disk that DVC's own databases may need."""


def write_parts(  # noqa: PLR0913 - what a split is made of
    folder: Path,
    records: Path,
    assignment: Assignment,
    task: TaskConfig,
    seed: int,
    lineage: Lineage,
    site: str,
) -> None:
    """Write train, validation and test of the canonical Parquet file `records` into the empty `folder`.

    `assignment.part` follows the rows of `records`. Rows are written in the order of their record ids,
    without dates or pandas metadata: neither the order of the source nor the hour shows in the bytes.
    """
    table = pq.read_table(records).replace_schema_metadata(None)
    ids = table["record_id"].to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(ids, kind="stable")
    counts, patients = {}, {}
    for part in PARTS:
        rows = table.take(order[assignment.part[order] == part])
        pq.write_table(rows, folder / f"{part}.parquet", compression="zstd", row_group_size=ROW_GROUP)
        labels = rows["label"].to_pandas().value_counts()
        counts[part] = {label: int(labels.get(label, 0)) for label in task.labels}
        patients[part] = rows["patient_id"].to_pandas().nunique()
    manifest = {
        "task": task.name,
        "seed": seed,
        "split": task.split.model_dump(
            mode="json", exclude_none=True
        ),  # what is not asked for is no part of it
        "counts": counts,
        "patients": patients,
        "duplicate_groups": assignment.duplicate_groups,
        "notes": list(assignment.notes),
        "lineage": lineage.model_dump(mode="json"),
    }
    if site != ALL_SITES:  # a task's own split keeps the hash that it had before there were sites
        manifest["site"] = site
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def describe(root: Path, files: Mapping[str, Path], folder: Path | None = None) -> SplitVersion:
    """The version that `files` (name -> where it lies) make when they stand in their own folder of the workspace
    `root`, or in `folder`."""
    manifest = json.loads(files[MANIFEST].read_bytes())
    site = manifest.get("site", ALL_SITES)
    folder, root = folder or root / SPLITS / split_name(manifest["task"], site), root.resolve()
    folder = folder.resolve()
    return SplitVersion(
        task=manifest["task"],
        path=(folder.relative_to(root) if folder.is_relative_to(root) else folder).as_posix(),
        dvc_hash=tree_hash({name: file_md5(path) for name, path in files.items()}),
        size=sum(path.stat().st_size for path in files.values()),
        counts=manifest["counts"],
        patients=manifest["patients"],
        duplicate_groups=manifest["duplicate_groups"],
        notes=tuple(manifest["notes"]),
        lineage=Lineage.model_validate(manifest.get("lineage", {})),
        site=site,
    )


def files_of(folder: Path) -> dict[str, Path]:
    """File name -> path of every file under `folder`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def digests(folder: Path) -> dict[str, str]:
    """File name -> md5 of every file under `folder`."""
    return {name: file_md5(path) for name, path in files_of(folder).items()}


def tree_hash(files: Mapping[str, str]) -> str:
    """DVC's hash of a folder with these files (file name -> md5), as dvc_data.hashfile.tree.Tree.digest."""
    entries = [{"md5": digest, "relpath": name} for name, digest in sorted(files.items())]
    return md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"


def folder_hash(folder: Path) -> str | None:
    """The hash of a folder as it stands on disk; None where there is none."""
    try:
        return tree_hash(digests(folder))
    except OSError:
        return None


def file_md5(path: Path) -> str:
    """The md5 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def md5(content: bytes) -> str:
    """The md5 of `content`, in hex."""
    digest = _new_md5()
    digest.update(content)
    return str(digest.hexdigest())


def _new_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)  # DVC's choice; FIPS machines refuse it without the flag


@contextmanager
def draft_beside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, gone afterwards unless it was moved; DVC's lock makes it the only one."""
    draft = folder.with_name(f".{folder.name}.primum-draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def disk(where: Path) -> Iterator[None]:
    """Turn what the disk refuses, also in SQLite's words, into one line."""
    try:
        yield
    except PrimumError:
        raise
    except Exception as error:
        chain: list[BaseException] = [error]
        while cause := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(cause)
        codes = {cause.errno for cause in chain if isinstance(cause, OSError)}
        sqlite = isinstance(error, sqlite3.OperationalError) and "disk" in str(error)
        if sqlite or codes & {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise Unavailable(
                f"{where.parent}: the disk is full (or failing); nothing was kept, free space"
            ) from None
        if codes & {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise Unavailable(
                f"{where.parent} cannot be written; nothing was kept, mend its rights"
            ) from None
        raise


def need_room(root: Path, size: int) -> None:
    """Refuse early: a disk that fills up under DVC's databases (SQLite, memory-mapped) can kill the process."""
    free = shutil.disk_usage(root).free
    if free < size + SPARE:
        raise Unavailable(
            f"{root}: the disk is full: {free / 2**20:.1f} MiB are free and {(size + SPARE) / 2**20:.1f} MiB are "
            "needed; nothing was kept, free some space"
        )
