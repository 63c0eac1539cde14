"""How a command ends: expected errors in one line with their exit code, unexpected ones in a log file."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from primum.errors import PrimumError

INTERRUPTED = 130
"""The shell's exit code for Ctrl-C."""


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
        _say("stopped; the same command continues from the last checkpoint")
        ending.code = INTERRUPTED
    except Exception as error:
        if os.environ.get("PRIMUM_DEBUG") == "1":
            raise
        message, ending.code = explain(error)
        _say(message)


def explain(error: BaseException) -> tuple[str, int]:
    """The one line and the exit code of an exception, looking through what wraps it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PrimumError):
            return str(seen), seen.exit_code
        if getattr(seen, "errno", None) == errno.ENOSPC or "disk is full" in str(seen):
            return "the disk is full: free space and run the same command again; finished steps are kept", 2
        seen = seen.__cause__ or seen.__context__
    return f"unexpected {type(error).__name__}; this is a defect of primum. Details: {_log(error)}", 1


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
