"""A child in a session of its own: its output line by line, and an end that leaves no process behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_PATIENCE = 5.0
"""Seconds that a process gets to end by itself before it is killed."""


class Child:
    """A running process. Its standard input is its lifeline (`primum.jobs.lifeline`)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._buffer = bytearray()
        self._silent = False

    @property
    def pid(self) -> int:
        """The process, and the group that it leads."""
        return self._process.pid

    def running(self) -> bool:
        """False once it ended."""
        return self._process.poll() is None

    def write(self, data: bytes) -> None:
        """Send bytes to it. Raises OSError (BrokenPipeError) when it is gone."""
        pipe, left = _open(self._process.stdin).fileno(), memoryview(data)
        while left:
            left = left[os.write(pipe, left) :]

    def hang_up(self) -> None:
        """Let its lifeline go: it ends by itself."""
        with suppress(OSError):
            _open(self._process.stdin).close()

    def lines(self) -> Iterator[bytes]:
        """Its output, a line at a time without the line's end, until it ended and said all it had to say."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                yield line
            elif not self._more():
                break
        if self._buffer:
            last = bytes(self._buffer)
            self._buffer.clear()
            yield last

    def read(self, size: int) -> bytes:
        """`size` bytes of its output; fewer where it ends first."""
        while len(self._buffer) < size and self._more():
            pass
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def wait(self) -> int:
        """Its exit code, negative for a signal, once it ended."""
        return self._process.wait()

    def _more(self) -> bool:
        """Read on; False at the end of the output, or where the leader is gone and its output stays silent."""
        output = _open(self._process.stdout).fileno()
        ended = False
        while not select.select([output], [], [], 1.0)[0]:
            if ended:
                return False
            ended = not self.running()
        data = os.read(output, 1 << 16)
        self._buffer += data
        self._silent = not data
        return bool(data)

    def end(self) -> None:
        """End the process and everything that hangs on it. Nothing happens where all are gone already."""
        self.hang_up()  # reaches the ranks that a launcher put into sessions of their own
        for sign in () if self._silent and not self.running() else (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sign)
            if self._gone():
                break
        self._process.wait()
        _open(self._process.stdout).close()

    def _gone(self) -> bool:
        """True when nobody holds the output open any more: the process and all it started have ended."""
        output, until = _open(self._process.stdout).fileno(), time.monotonic() + _PATIENCE
        while (left := until - time.monotonic()) > 0:
            if select.select([output], [], [], left)[0] and not os.read(output, 1 << 16):
                return True
        return False


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str], log: Path | None) -> Iterator[Child]:
    """Start `command`; when the block is left, however, no process of it is left either.

    `log` gets its standard error (appended, readable by the owner only); None joins that to the output.
    """
    begun = start(command, environment, log)
    try:
        yield begun
    finally:
        begun.end()


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None, folder: Path | None = None
) -> Child:
    """Start `command` in `folder`; the caller calls `end`. See `child`."""
    errors: int | None = subprocess.STDOUT
    if log is not None:
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own words; never a shell
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            bufsize=0,
        )
    finally:
        if log is not None and errors is not None:
            os.close(errors)
    return Child(process)


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - both are made in `start`
    return pipe
