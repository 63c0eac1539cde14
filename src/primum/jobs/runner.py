"""Start a job, show how far it is, and bring its result or its error back."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from primum import errors
from primum.backends.base import Progress
from primum.errors import PrimumError, Unavailable
from primum.failures import OUT_OF_MEMORY
from primum.jobs.devices import locked
from primum.jobs.job import ERROR, JOB, RESULT, SCORES, Failure, Finetune, Job, Result
from primum.jobs.launchers import command, environment
from primum.jobs.process import child
from primum.progress import say
from primum.workspace import Workspace, find_workspace, writable


@dataclass(frozen=True)
class Outcome:
    """A job's result, and the log-probabilities (n, K) of a score job."""

    result: Result
    scores: np.ndarray | None


def run_job(job: Job, progress: Progress | None) -> Outcome:
    """Do the job on this machine. Raises what it raised; its folder and all its processes are gone then."""
    workspace = find_workspace()
    with job_folder(workspace) as folder, job_log(workspace) as log:
        write_private(folder / JOB, job.model_dump_json())
        with locked(workspace, job.stack, say):
            code = run_here(folder, job, log, progress)
        return outcome(folder, code, log)


def run_here(folder: Path, job: Job, log: Path, progress: Progress | None) -> int:
    """Run the job that lies in `folder` under the launcher of its stack; return the exit code."""
    words = command(job.stack, folder, training=isinstance(job.task, Finetune))
    with child(words, environment(job.stack, os.environ), log) as process:
        follow(process.lines(), progress, append_to(log))
        return process.wait()


def follow(lines: Iterable[bytes], progress: Progress | None, other: Callable[[bytes], None]) -> None:
    """Hand on what a job says of its progress, and any other line to `other`."""
    for line in lines:
        try:
            message = json.loads(line)
            known = message.keys() & {"progress", "say"}
        except (ValueError, AttributeError):
            known = set()
        if "progress" in known:
            if progress:
                what, done, total = message["progress"]
                progress(str(what), int(done), int(total))
        elif "say" in known:
            say(str(message["say"]))
        else:
            other(line)


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
    result = Result.model_validate_json((folder / RESULT).read_bytes())
    return Outcome(result, np.load(scores, allow_pickle=False) if scores.is_file() else None)


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
    kept = log.with_suffix(".failed.log")
    log.replace(kept)
    return PrimumError(f"{line}; its log: {kept}")


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
def job_folder(workspace: Workspace) -> Iterator[Path]:
    """A folder for the owner's eyes only, gone after the block; what a killed run left is removed first."""
    parent = writable(workspace.state / "jobs", "the state folder")
    for left in parent.glob("job-*"):
        if not _alive(left.name.split("-")[1]):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"job-{os.getpid()}-", dir=parent))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def job_log(workspace: Workspace) -> Iterator[Path]:
    """A file for what a job's libraries say; it stays only where an error names it (see `why`)."""
    folder = writable(workspace.state / "logs", "the state folder")
    handle, name = tempfile.mkstemp(prefix="job-", suffix=".log", dir=folder)  # mode 0600
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
