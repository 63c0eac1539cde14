"""One job over one SSH connection: send what is missing there, follow it, take what it left."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import NonNegativeInt, ValidationError

from primum.backends.base import Progress
from primum.config import Remote
from primum.errors import BadInput, PrimumError, Tampered, Unavailable
from primum.jobs import receive, travel
from primum.jobs.job import ERROR, RESULT, SCORES, Job
from primum.jobs.process import Child, child
from primum.jobs.runner import LOG, Outcome, append_to, follow, job_folder, outcome
from primum.jobs.ssh import connect, refusal
from primum.records import Frozen
from primum.workspace import find_workspace

_CHUNK = 1 << 20
_DONE, _REFUSED = b'{"done":', b'{"refused":'


class _Missing(Frozen):
    missing: tuple[str, ...]


class _Refused(Frozen):
    refused: str


class _Files(Frozen):
    code: int
    files: tuple[tuple[str, str, NonNegativeInt], ...]
    """Name, SHA-256 and size of each."""


class _Done(Frozen):
    done: _Files


_Message = TypeVar("_Message", bound=Frozen)


class _Broken(Exception):  # noqa: N818 - what ssh said of it tells why
    pass


def run_remotely(
    remote: Remote,
    job: Job,
    trees: Sequence[travel.Tree],
    progress: Progress | None,
    folders: Sequence[Path] = (),
) -> Outcome:
    """Do the job on `remote`; the files of its i-th adapter come into `folders[i]`, all of them or none.

    Raises BadInput or Unavailable with the mend when there is no way to it, and what the job itself raised.
    """
    script = Path(receive.__file__).read_bytes()
    with job_folder(find_workspace().jobs) as folder:
        log = folder / LOG
        with child(connect(remote, script), os.environ, log) as process:
            lines = process.lines()
            try:
                _hand_over(process, lines, script, remote, job, [travel.code(), *trees], progress)
                done = _follow(lines, remote, log, progress)
                _take(process, done.files, folder, folders, remote)
            except (_Broken, BrokenPipeError, StopIteration):
                raise _reason(process, lines, remote, log) from None
            process.wait()
        return outcome(folder, done.code, log, f"on {remote.host}: ")


def _hand_over(  # noqa: PLR0913 - both ends of the conversation
    process: Child,
    lines: Iterator[bytes],
    script: bytes,
    remote: Remote,
    job: Job,
    trees: Sequence[travel.Tree],
    progress: Progress | None,
) -> None:
    request = {
        "folder": remote.folder,
        "code": trees[0].hash,
        "trees": {tree.hash: tree.hashes for tree in trees},
    }
    process.write(script + json.dumps(request).encode() + b"\n")
    while not next(lines).rstrip().endswith(receive.GREETING.rstrip()):
        pass  # a login shell may have its say first, and need not end its line
    blobs = {tree.hashes[name]: path for tree in trees for name, path in tree.files.items()}
    missing = _read(_Missing, next(lines), remote).missing
    for number, content in enumerate(missing, 1):
        if content not in blobs:
            raise _Broken
        _send(process, blobs[content])
        if progress:
            progress(f"files to {remote.host}", number, len(missing))
    text = job.model_dump_json().encode()
    process.write(len(text).to_bytes(8, "big") + text)


def _send(process: Child, path: Path) -> None:
    left = path.stat().st_size
    process.write(left.to_bytes(8, "big"))
    with path.open("rb") as file:
        while chunk := file.read(min(left, _CHUNK)):
            process.write(chunk)
            left -= len(chunk)
    if left:  # the other side would wait for the rest
        raise Unavailable(f"{path} became shorter while it was sent; run the same command again")


def _read(kind: type[_Message], line: bytes, remote: Remote) -> _Message:
    """A message of the other side. Raises BadInput for a refusal, and `_Broken` for what is no message."""
    try:
        if line.startswith(_REFUSED):
            raise _refused(remote, line)
        return kind.model_validate_json(line)
    except ValidationError:
        raise _Broken from None


def _reason(process: Child, lines: Iterator[bytes], remote: Remote, log: Path) -> PrimumError:
    """Why the conversation ended early: the other side's last word, or what ssh says of the connection."""
    process.hang_up()
    for line in lines:
        with suppress(ValidationError):
            return _refused(remote, line)
    return refusal(remote, process.wait(), log.read_text(errors="replace"))


def _refused(remote: Remote, line: bytes) -> BadInput:
    return BadInput(f"on {remote.host}: {_Refused.model_validate_json(line).refused}")


def _follow(lines: Iterator[bytes], remote: Remote, log: Path, progress: Progress | None) -> _Files:
    """Show progress until the line that announces the job's files."""
    for line in lines:
        if line.startswith((_DONE, _REFUSED)):
            return _read(_Done, line, remote).done
        follow([line], progress, append_to(log))
    raise _Broken


def _take(
    process: Child,
    files: Sequence[tuple[str, str, int]],
    folder: Path,
    folders: Sequence[Path],
    remote: Remote,
) -> None:
    """Read the announced files; each is renamed to its place once all have arrived as they were announced."""
    arrived: dict[Path, Path] = {}
    try:
        for name, content, size in files:
            target = _place(name, folder, folders, remote)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = arrived[target] = target.with_name(f"{target.name}.incoming")
            if _receive(process, partial, size) != content:
                raise Tampered(f"{remote.host}: a file arrived with another content than it was sent with")
        for target, partial in arrived.items():
            partial.replace(target)
    finally:
        for partial in arrived.values():
            with suppress(OSError):
                partial.unlink()


def _receive(process: Child, path: Path, size: int) -> str:
    """Write `size` bytes to `path`; return their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while size:
            chunk = process.read(min(size, _CHUNK))
            if not chunk:
                raise _Broken
            size -= len(chunk)
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _place(name: str, folder: Path, folders: Sequence[Path], remote: Remote) -> Path:
    """Where a file belongs here; the other machine does not choose paths of this one."""
    if name in (RESULT, ERROR, SCORES):
        return folder / name
    parts = re.fullmatch(r"(\d+)/(\w[\w.-]*)", name)
    if parts is None or int(parts[1]) >= len(folders):
        raise Tampered(f"{remote.host}: it sent a file that nobody asked for")
    return folders[int(parts[1])] / parts[2]
