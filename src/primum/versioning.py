"""Split versions: stored by content with DVC, pushed to its remote, brought back by hash.

The only caller of DVC, which runs inside this process and is imported late. What is read was hashed first.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from primum.config import StackConfig, TaskConfig
from primum.dvc_folder import ensure_repo, knock, overrides
from primum.errors import BadInput, Tampered, Unavailable
from primum.pointer import SPLIT_HASH, SPLITS, pointed, pointer_note, split_name
from primum.progress import say
from primum.records import ALL_SITES, Lineage, Part, SplitVersion
from primum.split import Assignment
from primum.split_folder import (
    MANIFEST,
    describe,
    digests,
    disk,
    draft_beside,
    file_md5,
    files_of,
    folder_hash,
    md5,
    need_room,
    tree_hash,
    write_parts,
)

__all__ = ["ensure_repo", "find_version", "load_part", "pointer_note", "restore", "store_split"]

FIRST = Lineage()
"""A task's first split has seen nothing."""

LOCK_SECONDS = 30.0
"""How long another process that holds the workspace's DVC lock is waited for."""


def store_split(  # noqa: PLR0913 - what a split is made of
    root: Path,
    records: Path,
    assignment: Assignment,
    task: TaskConfig,
    stack: StackConfig,
    seed: int,
    lineage: Lineage = FIRST,
    site: str = ALL_SITES,
) -> SplitVersion:
    """Write the split, `dvc add` it, push it to the stack's remote.

    `records` is the canonical Parquet file, in the order of `assignment.part`. The files depend on the set of
    records, the split's config, the seed and the lineage alone (no clock, canonical order), so the same split
    has the same hash and is stored once. Raises Unavailable when the disk is full (nothing is half-written),
    when another process holds the workspace, or when the remote does not answer (the split is then kept here).
    """
    folder = root / SPLITS / split_name(task.name, site)
    with _repository(root, stack) as repo:
        _known_remote(repo, stack)
        with disk(folder), draft_beside(folder) as draft:
            write_parts(draft, records, assignment, task, seed, lineage, site)
            version = describe(root, files_of(draft))
            if not pointed(root, task.name, site) == version.dvc_hash == folder_hash(folder):
                need_room(root, 2 * version.size)  # DVC's cache, and a remote on the same disk
                _publish(repo, draft, folder, version.dvc_hash)
        try:
            _copy(repo, stack, [version.dvc_hash], push=True)
        except Unavailable as error:
            kept = f"the split is kept in {version.path} ({version.dvc_hash}) and training did not start"
            raise Unavailable(f"{error}; {kept}; mend the remote and run again") from None
    return version


def load_part(
    root: Path, version: SplitVersion, part: Part, stack: StackConfig | None = None
) -> pd.DataFrame:
    """The records of one part, exactly as they were stored under `version.dvc_hash`.

    Every file of the folder is hashed again. A folder that does not match (another split was stored since, a
    file was altered or lost) is left alone, and the part is read from DVC's cache or remote. Raises Tampered
    when what lies there does not match either, Unavailable when it is nowhere to be had.
    """
    name, folder = f"{part}.parquet", root / version.path
    with suppress(OSError):
        content = (folder / name).read_bytes()
        if tree_hash({**digests(folder), name: md5(content)}) == version.dvc_hash:
            return pd.read_parquet(io.BytesIO(content))
    stack = stack or StackConfig()
    with _repository(root, stack) as repo:
        return pd.read_parquet(_stored(repo, stack, version.dvc_hash)[name])


def find_version(root: Path, task: str, dvc_hash: str, stack: StackConfig) -> SplitVersion:
    """A past split version as DVC's cache or remote holds it; nothing in the workspace changes.

    Raises as `restore`.
    """
    with _repository(root, stack) as repo:
        return describe(root, _split_files(repo, task, dvc_hash, stack))


def restore(
    root: Path, task: str, dvc_hash: str, stack: StackConfig, dest: Path | None = None
) -> SplitVersion:
    """Bring a past split back from cache or remote: into the workspace with its pointer, or into `dest` only.

    Raises BadInput for what is no split version of the task, Tampered for content that does not match the
    hash, Unavailable when it is nowhere to be had.
    """
    if dest is not None and dest.exists():
        raise BadInput(f"{dest} exists; name a folder that does not, so that nothing is overwritten")
    with _repository(root, stack) as repo:
        files = _split_files(repo, task, dvc_hash, stack)
        folder = dest or root / describe(root, files).path
        with disk(folder), draft_beside(folder) as draft:
            for name, path in files.items():
                shutil.copyfile(path, draft / name)
            version = describe(root, files_of(draft), folder)
            if dest is None:
                _publish(repo, draft, folder, dvc_hash)
            else:
                draft.replace(folder)
    return version


def _split_files(repo: Any, task: str, dvc_hash: str, stack: StackConfig) -> Mapping[str, Path]:
    if not re.fullmatch(SPLIT_HASH, dvc_hash):
        raise BadInput(
            f"'{dvc_hash}' is no split version; it is 32 hex digits and `.dir`, as in {SPLITS}/*.dvc"
        )
    files = _stored(repo, stack, dvc_hash)
    if MANIFEST not in files or json.loads(files[MANIFEST].read_bytes())["task"] != task:
        raise BadInput(
            f"{dvc_hash} is no split of task '{task}'; `primum split list --task {task}` shows those that are"
        )
    return files


@contextmanager
def _repository(root: Path, stack: StackConfig) -> Iterator[Any]:
    """The workspace's DVC repository, held by DVC's own lock, so that processes take turns."""
    ensure_repo(root)
    need_room(root, 0)
    os.environ["DVC_NO_ANALYTICS"] = "1"
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):  # no bars, no tracebacks: every failure is raised below
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as held, disk(root / ".dvc"):
        try:
            repo = held.enter_context(Repo(str(root.resolve()), config=overrides(root.resolve(), stack)))
        except DvcException as error:
            raise BadInput(f"{root / '.dvc' / 'config'}: {_line(error)}; mend the file") from None
        _take_lock(repo, held)
        yield repo


def _take_lock(repo: Any, held: ExitStack) -> None:
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    who = f"another process holds DVC's lock of {repo.root_dir}"
    deadline = time.monotonic() + LOCK_SECONDS
    for attempt in itertools.count():
        try:
            held.enter_context(lock_repo(repo))  # DVC itself tries for three seconds
            return
        except LockError:
            if time.monotonic() > deadline:
                raise Unavailable(f"{who} for {LOCK_SECONDS:.0f} s now; let it end and run again") from None
        if attempt == 0:
            say(f"{who}; waiting for at most {LOCK_SECONDS:.0f} s")


def _known_remote(repo: Any, stack: StackConfig) -> None:
    if not repo.config["remote"].get(stack.dvc_remote, {}).get("url"):
        raise BadInput(
            f"stack.dvc_remote: '{stack.dvc_remote}' is not a remote of .dvc/config "
            f"({', '.join(repo.config['remote']) or 'it has none'}); add it there or set stack.dvc_remote_url"
        )


def _publish(repo: Any, draft: Path, folder: Path, dvc_hash: str) -> None:
    """Swap the draft in and `dvc add` it; on any failure the folder and its pointer are as they were."""
    pointer, old = folder.with_name(f"{folder.name}.dvc"), draft.with_name(f"{draft.name}.old")
    before = pointer.read_bytes() if pointer.exists() else None
    shutil.rmtree(old, ignore_errors=True)  # what a killed process left; DVC's cache has it
    try:
        if folder.exists():
            folder.replace(old)
        draft.replace(folder)
        (stage,) = repo.add([str(folder)])
        if stage.outs[0].hash_info.value != dvc_hash:
            raise Unavailable(f"{folder}: its files changed while DVC stored them; run again")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        pointer.unlink(missing_ok=True)
        if before is not None:
            pointer.write_bytes(before)
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _copy(repo: Any, stack: StackConfig, names: list[str], *, push: bool) -> None:
    """Copy objects between cache and remote, as `dvc push` and `dvc pull` do, for these hashes only."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.transfer import transfer

    config = repo.config["remote"][stack.dvc_remote]
    who = f"DVC remote '{stack.dvc_remote}' ({config['url']})"
    try:
        knock(config.get("endpointurl"))
        remote, cache = repo.cloud.get_remote_odb(stack.dvc_remote), repo.cache.local
        source, target = (cache, remote) if push else (remote, cache)
        wanted = {HashInfo("md5", name) for name in names}
        failed = transfer(source, target, wanted, shallow=not push, cache_odb=cache).failed
    except Exception as error:  # a remote raises whatever its own library raises
        raise Unavailable(f"{who} cannot be reached: {_line(error)}") from None
    if failed:
        raise Unavailable(f"{who} did not {'take' if push else 'give'} {len(failed)} file(s)")


def _stored(repo: Any, stack: StackConfig, dvc_hash: str) -> Mapping[str, Path]:
    """File name -> verified file in DVC's cache, fetched from the remote where it is missing or damaged."""
    problem = "is not in DVC's cache"
    try:
        return _cached(repo, dvc_hash)
    except FileNotFoundError:
        pass
    except Tampered:
        problem = "was altered in DVC's cache (the altered file is removed)"
    _known_remote(repo, stack)
    try:
        _copy(repo, stack, [dvc_hash], push=False)
        listed = json.loads(_checked(repo, dvc_hash).read_bytes())
        _copy(repo, stack, [entry["md5"] for entry in listed], push=False)
        return _cached(repo, dvc_hash)
    except (FileNotFoundError, Unavailable) as error:
        why = str(error) if isinstance(error, Unavailable) else f"remote '{stack.dvc_remote}' lacks it"
        raise Unavailable(f"split {dvc_hash} {problem}, and {why}") from None


def _cached(repo: Any, dvc_hash: str) -> Mapping[str, Path]:
    listed = json.loads(_checked(repo, dvc_hash).read_bytes())
    return {entry["relpath"]: _checked(repo, entry["md5"]) for entry in listed}


def _checked(repo: Any, name: str) -> Path:
    """The cache file of a hash. One that does not match it is removed, so that it can be fetched again."""
    path = Path(repo.cache.local.oid_to_path(name))
    if file_md5(path) != name.removesuffix(".dir"):
        path.unlink()
        raise Tampered(f"DVC object {name}: what is stored does not match the hash; it was removed")
    return path


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
