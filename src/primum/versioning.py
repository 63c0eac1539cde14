"""Split versions: stored by content with DVC, pushed to its remote, brought back by hash. The only DVC caller.

DVC is used in its own process-wide form (`dvc.repo.Repo`), imported late: the import costs more than most
commands of this program.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from primum.config import StackConfig, TaskConfig
from primum.errors import BadInput, PrimumError, Tampered, Unavailable
from primum.records import Part, SplitVersion
from primum.split import PARTS, Assignment

SPLITS = Path("data", "splits")
LOCK_SECONDS = 30.0
"""How long another DVC process in the same workspace is waited for."""
CONNECT_SECONDS = 10
MANIFEST = "split.json"
CONFIG = """\
[core]
    analytics = false
    autostage = false
    remote = local
['remote "local"']
    url = ../.primum/dvc-remote
"""
FULL = (errno.ENOSPC, errno.EDQUOT)


def ensure_repo(root: Path) -> None:
    """Give the folder `root` a DVC repository where it has none; a git repository is used but not needed."""
    root.mkdir(parents=True, exist_ok=True)
    if (root / ".dvc" / "config").is_file():
        return
    _dvc()
    from dvc.repo import Repo

    in_git = _git(root, "rev-parse", "--is-inside-work-tree") is not None
    Repo.init(str(root), no_scm=not in_git, subdir=in_git and not (root / ".git").exists(), force=True).close()
    with (root / ".dvc" / "config").open("a", encoding="utf-8") as config:
        config.write(CONFIG)


def store_split(  # noqa: PLR0913 - what a split is made of
    root: Path, records: Path, assignment: Assignment, task: TaskConfig, stack: StackConfig, seed: int
) -> SplitVersion:
    """Write the split, `dvc add` it and push it to the stack's remote.

    `records` is the canonical Parquet file, in the order of `assignment.part`. The files depend on the set of
    records, the task's split and the seed alone (no clock, canonical order), so the same split has the same
    hash and is stored once. Raises Unavailable when the disk is full (nothing half-written), when another
    process holds the workspace, or when the remote does not answer (the split then stays here).
    """
    folder = root / SPLITS / task.name
    with _repository(root, stack) as repo:
        _remote(repo, stack)
        with _disk(folder), _draft(folder) as draft:
            _write(draft, records, assignment, task, seed)
            version = _version(root, folder, draft)
            if _pointer(root, task.name) != version.dvc_hash or _folder_hash(folder) != version.dvc_hash:
                _publish(repo, draft, folder, version)
        _push(repo, stack, version)
    return version


def load_part(root: Path, version: SplitVersion, part: Part, stack: StackConfig | None = None) -> pd.DataFrame:
    """The records of one part, exactly as they were stored under `version.dvc_hash`.

    Every file of the folder is hashed again. A folder that does not match (another split was stored since, a
    file was altered or lost) is left alone: the part is then read from DVC's cache or remote. Raises Tampered
    when what is stored does not match either, Unavailable when it is nowhere to be had.
    """
    name = f"{part}.parquet"
    try:
        content = (root / version.path / name).read_bytes()
        digests = {**_digests(root / version.path), name: _md5(content)}
        if _tree_hash(digests) == version.dvc_hash:
            return pd.read_parquet(io.BytesIO(content))
    except OSError:
        pass  # moved, removed or unreadable: the stored version decides
    with _repository(root, stack or StackConfig()) as repo:
        return pd.read_parquet(_stored(repo, stack or StackConfig(), version.dvc_hash)[name])


def restore(
    root: Path, task: str, dvc_hash: str, stack: StackConfig, dest: Path | None = None
) -> SplitVersion:
    """Bring a past split back from cache or remote into the workspace (and its pointer), or into `dest` only.

    Raises BadInput for what is no split version, Tampered for content that does not match the hash,
    Unavailable when it is nowhere to be had.
    """
    if not re.fullmatch(r"[0-9a-f]{32}\.dir", dvc_hash):
        raise BadInput(f"'{dvc_hash}' is no split version; it is 32 hex digits and '.dir', as in {SPLITS}/*.dvc")
    if dest is not None and dest.exists() and not (dest.is_dir() and not any(dest.iterdir())):
        raise BadInput(f"{dest} exists; name a folder that does not, so that nothing is overwritten")
    folder = dest or root / SPLITS / task
    with _repository(root, stack) as repo:
        files = _stored(repo, stack, dvc_hash)
        with _disk(folder), _draft(folder) as draft:
            for name, path in files.items():
                shutil.copyfile(path, draft / name)
            version = _version(root, folder, draft)
            if version.dvc_hash != dvc_hash or version.task != task:
                raise Tampered(f"{dvc_hash} is a split of task '{version.task}', not of '{task}'")
            if dest is not None:
                _swap(draft, folder)
            else:
                _publish(repo, draft, folder, version)
    return version


def pointer_note(root: Path, version: SplitVersion) -> str | None:
    """None when git has the pointer file of this version, else the line that says how to keep it."""
    pointer = f"{version.path}.dvc"
    if _git(root, "rev-parse", "--is-inside-work-tree") is None:
        return f"no git repository here: keep {pointer} yourself, it is the key to split {version.dvc_hash}"
    if version.dvc_hash in (_git(root, "show", f"HEAD:./{pointer}") or ""):
        return None
    return f"git add {pointer} && git commit -m 'Split {version.task} {version.dvc_hash[:12]}' -- {pointer}"


def history(root: Path, task: str) -> tuple[str, ...]:
    """The split versions that the pointer file names now and named in git's history, newest first."""
    log = _git(root, "log", "--format=", "-p", "--", f"./{SPLITS.as_posix()}/{task}.dvc") or ""
    found = [_pointer(root, task), *re.findall(r"^\+.*md5: ([0-9a-f]{32}\.dir)", log, flags=re.MULTILINE)]
    return tuple(dict.fromkeys(h for h in found if h))


def _dvc() -> None:
    os.environ["DVC_NO_ANALYTICS"] = "1"


@contextmanager
def _repository(root: Path, stack: StackConfig) -> Iterator[Any]:
    """The workspace's DVC repository, locked: DVC's own lock keeps other processes out."""
    _dvc()
    ensure_repo(root)
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    try:
        repo = Repo(str(root.resolve()), config=_overrides(root, stack))
    except DvcException as error:
        raise BadInput(f"{root / '.dvc' / 'config'}: {_line(error)}; mend the file") from None
    lock = lock_repo(repo)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            lock.__enter__()
            break
        except LockError:
            if time.monotonic() > deadline:
                repo.close()
                raise Unavailable(
                    f"{root}: another DVC process has held the workspace for {LOCK_SECONDS:.0f} s; wait for it "
                    "to end, or end it, and run again"
                ) from None
            lock = lock_repo(repo)
    try:
        yield repo
    finally:
        lock.__exit__(None, None, None)
        repo.close()
