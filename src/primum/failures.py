"""How a command ends: expected errors in one line with their exit code, unexpected ones in a log file."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from primum.errors import PrimumError, Unavailable

INTERRUPTED = 130
"""The shell's exit code for Ctrl-C."""
DISK_FULL = "the disk is full: free space and run the same command again; finished steps are kept"
LESS_MEMORY = (
    "set a smaller model.recipe.micro_batch_size, model.recipe.gradient_checkpointing: true or "
    "model.quantisation: nf4, and run the same command again; finished epochs are kept"
)
OUT_OF_MEMORY = f"out of memory: {LESS_MEMORY}"
_NO_MEMORY = (
    "out of memory",
    "allocate memory",
    "unable to allocate",
    "defaultcpuallocator",
    "[metal::malloc]",
)
"""What torch, CUDA, MLX and the system say, in lower case."""
_NO_SPACE = ("disk is full", "No space left on device", "Disk quota exceeded", "File too large")
_STOPPED = ("RunInterruptedException", "RunStoppedException")
"""ZenML's own, for a TERM signal in the middle of a step."""


@dataclass
class Ending:
    """The exit code of a command; 0 until something fails."""

    code: int = 0


@contextmanager
def failing_softly() -> Iterator[Ending]:
    """Turn whatever the block raises into one line on stderr and an exit code; PRIMUM_DEBUG=1 shows tracebacks."""
    ending = Ending()
    try:
        yield ending
    except KeyboardInterrupt:
        _stopped(ending)
    except Exception as error:
        if os.environ.get("PRIMUM_DEBUG") == "1":
            raise
        if type(error).__name__ in _STOPPED:
            _stopped(ending)
            return
        message, ending.code = explain(error)
        _say(message)


def why_one(error: Exception) -> str:
    """Why one of many failed, in one line, so that the others go on. A TERM signal means all: it is raised again."""
    if type(error).__name__ in _STOPPED:
        raise error
    return explain(error)[0]


def _stopped(ending: Ending) -> None:
    _say("stopped; the same command continues from the last checkpoint")
    ending.code = INTERRUPTED


def explain(error: BaseException) -> tuple[str, int]:
    """The one line and the exit code of an exception, looking through what wraps it."""
    known = expected(error)
    if known is not None:
        return str(known), known.exit_code
    return f"unexpected {type(error).__name__}; this is a defect of primum. Details: {_log(error)}", 1


def expected(error: BaseException) -> PrimumError | None:
    """What an exception comes to for a person, looking through what wraps it; None: nobody expected it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PrimumError):
            return seen
        if is_disk_full(seen):
            return Unavailable(DISK_FULL)
        if is_out_of_memory(seen):
            return Unavailable(OUT_OF_MEMORY)
        seen = seen.__cause__ or seen.__context__
    return None


def is_disk_full(error: BaseException) -> bool:
    """True for a full disk, a used up quota or file size limit, and what SQLite and safetensors say of them."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return any(words in str(error) for words in _NO_SPACE)


def is_out_of_memory(error: BaseException) -> bool:
    """True for Python's MemoryError, the system's ENOMEM, and the RuntimeErrors of torch, CUDA and MLX."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError | OSError) and any(w in str(error).lower() for w in _NO_MEMORY)


def _say(message: str) -> None:
    print(f"primum: {' '.join(message.split())}", file=sys.__stderr__)  # one line, whatever it was


def _log(error: BaseException) -> str:
    """Write where it happened - never the message, which may quote a record - to a file; return its path."""
    from primum.workspace import find_workspace

    folder = find_workspace().state / "logs"
    path = folder / f"error-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        frames = "".join(traceback.format_tb(error.__traceback__))
        path.write_text(f"{type(error).__name__}\n{frames}", encoding="utf-8")
    except OSError:
        return "set PRIMUM_DEBUG=1 to see them"
    return f"{path} (PRIMUM_DEBUG=1 shows the message)"
