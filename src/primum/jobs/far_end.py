"""The other machine's side of a job, once our code is there: run it like a job of its own, send what it left."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

from primum.errors import PrimumError
from primum.failures import explain
from primum.jobs.devices import locked, resolve_stack
from primum.jobs.job import ERROR, RESULT, SCORES, Job, Result, write_failure
from primum.jobs.lifeline import hold
from primum.jobs.runner import LOG, job_folder, run_here
from primum.workspace import find_workspace

_KEPT_SECONDS = 30 * 86400
"""How long a training's folder stays after it was last written to."""


def serve(root: Path, text: bytes) -> int:
    """Do the job that `text` is, in a folder that goes with it, and write its files to standard output."""
    try:
        with job_folder(root / "jobs") as folder:
            hold(folder)
            _forget_old(root)
            code = _run(folder, Job.model_validate_json(text).model_copy(update={"root": str(root)}))
            _send(folder, code)
    except Exception as error:
        message, code = explain(error)
        _say({"refused": message})
        return code
    return 0


def _run(folder: Path, job: Job) -> int:
    try:
        job = job.model_copy(update={"stack": resolve_stack(job.stack)})
        with locked(find_workspace(), job.stack, lambda text: _say({"say": text})):
            code = run_here(folder, job, lambda *step: _say({"progress": step}))
        sys.stderr.buffer.write((folder / LOG).read_bytes())
        return code
    except PrimumError as error:
        write_failure(folder, error, str(error))
        return error.exit_code


def _send(folder: Path, code: int) -> None:
    """One line that says what comes: names, hashes, sizes. Then the files, one behind the other."""
    files = {name: folder / name for name in (RESULT, ERROR, SCORES) if (folder / name).is_file()}
    if RESULT in files:
        result = Result.model_validate_json(files[RESULT].read_bytes())
        for place, candidate in enumerate(result.candidates):
            left = (p for p in sorted(Path(candidate.path).iterdir()) if p.is_file())
            files |= {f"{place}/{path.name}": path for path in left}
    listed = []
    for name, path in files.items():
        with path.open("rb") as file:
            listed.append((name, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size))
    _say({"done": {"code": code, "files": listed}})
    for path in files.values():
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _say(message: object) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _forget_old(root: Path) -> None:
    """Trainings that nobody continued, and adapters that were sent long ago."""
    for folder in (root / "work").glob("*"):
        if time.time() - _last_written(folder) > _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
