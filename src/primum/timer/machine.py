"""The machine that timers are installed on, and how its programs are called. Tests bring one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from primum.timer.schedules import Schedule

MISSING = 127
"""The exit code of a program that is not there, as a shell gives it."""


@dataclass(frozen=True)
class Done:
    """How a program ended. Text is UTF-8; other bytes survive the way in and out."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """The first line that it said, errors before all."""
        lines = [line.strip() for line in (self.err + "\n" + self.out).split("\n") if line.strip()]
        return lines[0] if lines else f"exit code {self.code}"


Runner = Callable[[Sequence[str], str], Done]
"""(words of the command, its stdin) -> how it ended."""


@dataclass(frozen=True)
class Machine:
    """One user on one machine."""

    home: Path
    """The user's home folder, not Primum's."""
    platform: str
    """As sys.platform: linux, darwin ..."""
    user: int
    run: Runner


def call(words: Sequence[str], stdin: str = "") -> Done:
    """Run a program of the PATH; one that is missing, or silent for a minute, is an exit code as well."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and names that were checked
            list(words),
            input=stdin.encode("utf-8", "surrogateescape"),
            env=os.environ | {"LC_ALL": "C"},  # its words are read, not only its exit code
            capture_output=True,
            check=False,
            timeout=60,
        )
    except FileNotFoundError:
        return Done(MISSING, err=f"{words[0]} is not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(126, err=f"{words[0]}: {type(error).__name__}")
    text = [stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr)]
    return Done(done.returncode, *text)


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(Path.home(), sys.platform, os.getuid(), call)


class Timer(Protocol):
    """One way to start schedules: systemd, cron or launchd. An entry is known by its unit, Schedule.unit."""

    skipping: bool
    """Leaves a run out whose time the clock jumps over."""

    def missing(self) -> str | None:
        """Why this machine cannot use it, in half a sentence; None where it can."""

    def written(self, schedule: Schedule) -> str:
        """What an installation writes and runs, for a person to read. Raises BadInput."""

    def install(self, schedule: Schedule) -> list[str]:
        """Put the entry in place, or in an earlier one's; what a person should know. Raises Unavailable."""

    def remove(self, unit: str) -> None:
        """Take the entry away, whole or half as it may be. Raises Unavailable."""

    def state(self, unit: str) -> str:
        """`installed`, `absent`, or in words what is wrong."""

    def units(self) -> list[str]:
        """The user's entries of Primum, whole or half."""
