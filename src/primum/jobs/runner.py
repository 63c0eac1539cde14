"""Start a job, show how far it is, and bring its result or its error back."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from pydantic import ValidationError

from primum import errors
from primum.backends.base import Progress
from primum.errors import PrimumError, Tampered, Unavailable
from primum.failures import DISK_FULL, OUT_OF_MEMORY
from primum.jobs.devices import locked
from primum.jobs.job import ERROR, JOB, RESULT, SCORES, Failure, Finetune, Job, Result
from primum.jobs.launchers import command, environment
from primum.jobs.process import child
from primum.progress import say
from primum.workspace import find_workspace, writable

LOG = "log"
"""What a job's libraries say, in its folder: it may quote a record, and goes with the rest."""
_LITTLE = 1 << 16
"""Bytes: with less, a disk is full."""


@dataclass(frozen=True)
class Outcome:
    """A job's result, and the log-probabilities (n, K) of a score job."""

    result: Result
    scores: np.ndarray | None


def run_job(job: Job, progress: Progress | None) -> Outcome:
    """Do the job on this machine. Raises what it raised; its folder and all its processes are gone then."""
    workspace = find_workspace()
    with job_folder(workspace.jobs) as folder:
        with locked(workspace, job.stack, say):
            code = run_here(folder, job, progress)
        return outcome(folder, code, folder / LOG)


def run_here(folder: Path, job: Job, progress: Progress | None) -> int:
    """Run the job in `folder` under the launcher of its stack; return the exit code.

    Raises Unavailable where it could not even say that the disk is full.
    """
    words = command(job.stack, folder, training=isinstance(job.task, Finetune))
    write_private(folder / JOB, job.model_dump_json())  # from here on its process removes it if we cannot
    with child(words, environment(job.stack, os.environ), folder / LOG) as process:
        follow(process.lines(), progress, append_to(folder / LOG))
        code = process.wait()
    if code != 0 and not (folder / ERROR).is_file() and shutil.disk_usage(folder).free < _LITTLE:
        raise Unavailable(DISK_FULL)
    return code


def follow(lines: Iterable[bytes], progress: Progress | None, other: Callable[[bytes], None]) -> None:
    """Hand on what a job says of its progress, and any other line to `other`."""
    for line in lines:
        match _message(line):
            case {"progress": [str(what), int(done), int(total)]}:
                if progress:
                    progress(what, done, total)
            case {"say": str(text)}:
                say(text)
            case _:
                other(line)


def _message(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def append_to(log: Path) -> Callable[[bytes], None]:
    """What a job's libraries print may quote a record: it goes to a file, never to the terminal."""

    def append(line: bytes) -> None:
        with log.open("ab") as file:
            file.write(line + b"\n")

    return append


def outcome(folder: Path, code: int, log: Path, where: str = "") -> Outcome:
    """Read what a job left. Raises its error, `where` before the line."""
    if code != 0 or (folder / ERROR).is_file() or not (folder / RESULT).is_file():
        raise why(folder, code, log, where)
    scores = folder / SCORES
    try:
        result = Result.model_validate_json((folder / RESULT).read_bytes())
        return Outcome(result, np.load(scores, allow_pickle=False) if scores.is_file() else None)
    except (ValueError, EOFError):
        raise Tampered(f"{where}the job's result is not in the form that Primum writes") from None


def why(folder: Path, code: int, log: Path | None, where: str = "") -> PrimumError:
    """The error of a process that did not do its work; its log stays where the error names it."""
    failure = _read_failure(folder)
    if failure and failure.kind != PrimumError.__name__:
        return _error(failure, where)
    if _was_killed(code, log):
        return Unavailable(f"{where}a process was killed, as the system does when it runs {OUT_OF_MEMORY}")
    if failure:
        return _error(failure, where)
    line = f"{where}the process ended with exit code {code} and no result"
    if log is None:
        return PrimumError(line)
    return PrimumError(f"{line}; its log: {_keep(log)}")


def _keep(log: Path) -> Path:
    """Move it from its job's folder to the logs, under the job's name."""
    kept = writable(find_workspace().state / "logs", "the state folder") / f"{log.parent.name}.failed.log"
    log.replace(kept)
    return kept


def _read_failure(folder: Path) -> Failure | None:
    try:
        return Failure.model_validate_json((folder / ERROR).read_bytes())
    except (OSError, ValidationError):
        return None


def _error(failure: Failure, where: str) -> PrimumError:
    kind = getattr(errors, failure.kind, PrimumError)
    made: PrimumError = kind(f"{where}{failure.message}")
    return made


def _was_killed(code: int, log: Path | None) -> bool:
    """A signal 9 that nobody here sent: the process's own, a shell's report of it, or torchrun's of a rank."""
    said = re.search(rb"Signal 9 \(SIGKILL\)|exitcode\s*:\s*-9", log.read_bytes()) if log else None
    return code in (-9, 137) or said is not None


@contextmanager
def job_folder(parent: Path) -> Iterator[Path]:
    """A folder for the owner's eyes only, gone after the block; what a killed run left in `parent` is removed first.

    A folder in use is locked, for a process id says nothing where containers or machines share the home.
    """
    writable(parent, "the state folder")
    with FileLock(parent.with_suffix(".lock")):
        for left in parent.glob("job-*"):
            _remove_abandoned(left)
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=parent))  # mode 0700
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):  # BlockingIOError: in use
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
