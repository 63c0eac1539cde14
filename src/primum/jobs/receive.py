"""The first words of the other side: take in what is missing by content hash, lay it out, hand over to our code.

Its text travels ahead of everything else and runs there before any of Primum is there: the standard library
only, and nothing that an older Python cannot read, which is then told that it is too old.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

GREETING = b"PRIMUM 1\n"
"""What comes before it is the login shell's."""
_CHUNK = 1 << 20


def main() -> int:
    """Serve one job."""
    os.umask(0o077)
    answer(GREETING)
    if sys.version_info < (3, 11):  # noqa: UP036 - here it is the other machine's
        version = ".".join(map(str, sys.version_info[:2]))
        return refuse(f"its Python is {version}; set stack.remote.python to one from 3.11 on")
    request = json.loads(sys.stdin.buffer.readline())
    try:
        root = Path.home() / Path(request["folder"]).expanduser()
        job = take_in(root, request["trees"])
    except OSError as error:
        return refuse(f"{request['folder']} cannot be written ({error.strerror})")
    except RuntimeError:
        return refuse(f"stack.remote.folder: nobody has the home of {request['folder']}")
    except ValueError:
        return refuse(
            "a file arrived with another content than it was announced with; run the same command again"
        )
    sys.path.insert(0, str(root / "trees" / request["code"]))
    os.environ["PRIMUM_HOME"] = str(root)
    try:
        from primum.jobs.far_end import serve
    except ModuleNotFoundError as error:
        return refuse(
            f"{sys.executable} lacks the library '{error.name}'; docs/stacks.md says what to install"
        )
    return serve(root, job)


def take_in(root: Path, trees: dict[str, Any]) -> bytes:
    """Ask for the missing blobs, lay out the trees of files, and return the job's text."""
    blobs = root / "blobs"
    for name in ("blobs", "trees", "jobs"):
        (root / name).mkdir(parents=True, exist_ok=True)
    wanted = sorted({content for files in trees.values() for content in files.values()})
    missing = [content for content in wanted if not (blobs / content).is_file()]
    answer(json.dumps({"missing": missing}).encode() + b"\n")
    for content in missing:
        receive(blobs, content)
    for name, files in trees.items():
        lay_out(root, name, files)
    return exactly(int.from_bytes(exactly(8), "big"))


def receive(blobs: Path, content: str) -> None:
    """Write one blob, whole, or not at all. Raises ValueError when it has another hash than announced."""
    left, digest = int.from_bytes(exactly(8), "big"), hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=str(blobs))
    try:
        with os.fdopen(handle, "wb") as file:
            while left:
                data = exactly(min(left, _CHUNK))
                digest.update(data)
                file.write(data)
                left -= len(data)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != content:
            raise ValueError
        Path(name).replace(blobs / content)
    except BaseException:
        Path(name).unlink()
        raise


def lay_out(root: Path, name: str, files: dict[str, str]) -> None:
    """Make `trees/<name>` of links to blobs; a tree's name is the hash of what is in it, so one is enough."""
    tree = root / "trees" / name
    if tree.is_dir():
        return
    partial = Path(tempfile.mkdtemp(dir=str(root / "trees")))
    for path, content in files.items():
        (partial / path).parent.mkdir(parents=True, exist_ok=True)
        os.link(str(root / "blobs" / content), str(partial / path))
    try:
        partial.rename(tree)
    except OSError:  # another job was faster
        shutil.rmtree(str(partial))


def exactly(size: int) -> bytes:
    """Read so many bytes; a connection that ends before them ends us."""
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit(1)
    return data


def refuse(why: str) -> int:
    """Say why nothing is done."""
    answer(json.dumps({"refused": why}).encode() + b"\n")
    return 2


def answer(data: bytes) -> None:
    """Write at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
