"""What is kept of a schedule: its definition, last run and environment file, in `.primum/schedules/NAME`."""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from primum.errors import BadInput, Tampered
from primum.records import Frozen
from primum.workspace import Workspace, writable

Via = Literal["systemd", "cron", "launchd"]
LEDGER = "PRIMUM_LEDGER_URL"
_ENVIRONMENT = """\
# Secrets of this schedule's runs, one NAME=VALUE a line; only you can read this file, and it must stay so (0600).
# Unit files, crontabs and the schedule's definition never hold them.
# PRIMUM_LEDGER_URL=postgresql://user:password@host/ledger
"""


class Schedule(Frozen):
    """A pipeline that a timer of this machine starts."""

    name: str
    pipeline: Literal["retrain", "drift"]
    task: str
    cron: str
    via: Via
    arguments: tuple[str, ...]
    """What follows `run.py --pipeline PIPELINE`."""
    project: Path
    home: Path
    python: Path
    path: str
    """PATH when it was installed: a timer's own has neither Homebrew's folder nor the CUDA one."""
    ledger_elsewhere: bool
    """PRIMUM_LEDGER_URL was set at installation: without it a run would count its looks in another ledger."""
    installed: datetime

    @property
    def unit(self) -> str:
        """What the timer's entry is called; two homes on one machine do not meet."""
        return unit_of(self.name, self.home)

    @property
    def command(self) -> tuple[str, ...]:
        """What the timer starts."""
        return (str(self.python), "-m", "primum.cli", "schedule", "run", self.name)

    @property
    def what(self) -> str:
        """The schedule in words."""
        return f"{self.pipeline} {self.task}"


class LastRun(Frozen):
    """How a schedule's last run went."""

    began: datetime
    process: int
    at: str | None = None
    """The date that the run was told to take for today."""
    ended: datetime | None = None
    code: int | None = None
    error: str = ""
    """The one line that a failed run ended with."""


def unit_of(name: str, home: Path) -> str:
    """`primum-NAME-` and eight hex digits of the home's path."""
    return f"primum-{name}-{home_tag(home)}"


def home_tag(home: Path) -> str:
    """Eight hex digits that tell homes apart."""
    return hashlib.sha256(str(home).encode()).hexdigest()[:8]


def require_name(name: str) -> str:
    """A name that is a file's, a unit's and a label's. Raises BadInput."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,79}", name):
        raise BadInput(f"--name {name}: use lower-case letters, digits, '.', '_' and '-', at most 80 of them")
    return name


def folder_of(workspace: Workspace, name: str) -> Path:
    """Where everything of a schedule lies."""
    return workspace.state / "schedules" / name


def environment_of(workspace: Workspace, name: str) -> Path:
    """The file with a schedule's secrets."""
    return folder_of(workspace, name) / "environment"


def names(workspace: Workspace) -> list[str]:
    """Schedules that this home has a definition of."""
    return sorted(f.parent.name for f in (workspace.state / "schedules").glob("*/schedule.json"))


def read(workspace: Workspace, name: str) -> Schedule:
    """A schedule's definition. Raises BadInput with the nearest name, Tampered for a file that cannot be read."""
    known = names(workspace)
    if name not in known:
        raise unknown(name, known)
    file = folder_of(workspace, name) / "schedule.json"
    try:
        return Schedule.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        raise Tampered(
            f"{file} cannot be read as a schedule; primum schedule remove {name}, then install it again"
        ) from None


def unknown(name: str, known: list[str]) -> BadInput:
    """The refusal of a name that no schedule has."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    hint = f"; did you mean '{near[0]}'?" if near else "; none is installed: primum schedule install --task T"
    return BadInput(f"no schedule '{name}'{hint}")


def write(workspace: Workspace, schedule: Schedule) -> None:
    """Keep a definition, with an empty environment file beside it where there is none."""
    folder = writable(folder_of(workspace, schedule.name), "the schedule's folder")
    folder.chmod(0o700)
    environment = environment_of(workspace, schedule.name)
    if not environment.exists():
        _replace(environment, _ENVIRONMENT)
    _replace(folder / "schedule.json", schedule.model_dump_json(indent=2) + "\n")


def forget(workspace: Workspace, name: str) -> None:
    """Remove the definition; log, last run and environment stay."""
    (folder_of(workspace, name) / "schedule.json").unlink(missing_ok=True)


def read_last(workspace: Workspace, name: str) -> LastRun | None:
    """How the last run went; None where there was none, or where its note cannot be read."""
    try:
        return LastRun.model_validate_json((folder_of(workspace, name) / "last.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write_last(workspace: Workspace, name: str, last: LastRun) -> None:
    """Keep how the last run went."""
    _replace(folder_of(workspace, name) / "last.json", last.model_dump_json(indent=2) + "\n")


@contextmanager
def turn(workspace: Workspace, name: str, patience: float) -> Iterator[int | None]:
    """The schedule's lock, as a file descriptor that a child may inherit and so hold as well; None: it is taken.

    The kernel frees it when the last process that has it ended, however that ended. `patience` in seconds: whoever
    only asks (is_running) has it for a moment, and must not make a run believe that another one goes on.
    """
    folder = writable(folder_of(workspace, name), "the schedule's folder")
    descriptor = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if _locked(descriptor, time.monotonic() + patience) else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def is_running(workspace: Workspace, name: str) -> bool:
    """True while a run of the schedule goes on."""
    if not (folder_of(workspace, name) / "run.lock").exists():
        return False
    with turn(workspace, name, patience=0) as mine:
        return mine is None


def read_environment(file: Path) -> dict[str, str]:
    """The variables of an environment file; {} where there is none. Raises BadInput with the line, never its text."""
    try:
        text = file.read_text(encoding="utf-8")
        mode = file.stat().st_mode
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read ({type(error).__name__}); it must be UTF-8 text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, sign, value = stripped.partition("=")
        if not sign or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise BadInput(f"{file}, line {number}: write it as NAME=VALUE, without blanks around the =")
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[key] = value[1:-1] if quoted else value
    if found and mode & 0o077:
        raise BadInput(f"{file} holds secrets and others can read it; chmod 600 {file}")
    return found


def _replace(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
