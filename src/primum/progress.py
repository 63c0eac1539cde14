"""Progress for people: live bars on a terminal, plain lines elsewhere; on stderr, past ZenML's log capture."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

_bars: Progress | None = None
_relay: Callable[[str, int, int], None] | None = None


def relay(to: Callable[[str, int, int], None]) -> None:
    """From now on hand progress on instead of showing it: to the process that has the terminal."""
    global _relay  # noqa: PLW0603 - one process, one way out
    _relay = to


@contextmanager
def display() -> Iterator[None]:
    """Show live bars while the block runs, where stderr is a terminal."""
    global _bars  # noqa: PLW0603 - one terminal, one display
    if not sys.stderr.isatty():
        yield
        return
    # A copy of the descriptor: ZenML wraps the streams' write methods to capture the steps' logs.
    with os.fdopen(os.dup(2), "w") as terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, TimeElapsedColumn(), console=Console(file=terminal, force_terminal=True)
        ) as bars:
            _bars = bars
            try:
                yield
            finally:
                _bars = None


def show(what: str, done: int, total: int) -> None:
    """Say that `done` of `total` units of `what` are finished. Fits the backends' `Progress` callback."""
    if _relay is not None:
        _relay(what, done, total)
        return
    if _bars is None:
        if done >= total:
            say(f"  {what}: {done} of {total}")
        return
    task = next((t.id for t in _bars.tasks if t.description == what), None)
    if task is None:
        task = _bars.add_task(what, total=total)
    _bars.update(task, completed=done, total=total)


def say(text: str) -> None:
    """Write one line for the person who waits."""
    if _bars is not None:
        _bars.console.print(text, markup=False, highlight=False)
    else:
        os.write(2, f"{text}\n".encode())
