"""One run of the retrain pipeline, however often it was interrupted: its name, its date, its folder."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from primum.config import RunConfig
from primum.journal import keep
from primum.progress import say
from primum.records import Frozen
from primum.workspace import Workspace

STALE = timedelta(days=1)
"""An unfinished cycle as of now is given up after this long: a failing site must not hold the date back."""


class Cycle(Frozen):
    """A retraining of a task's due sites, as of a date."""

    name: str
    """Under which its looks are reserved: a look without a decision is this cycle's own."""
    at: datetime
    since: datetime | None = None
    folder: str
    """What its sites have finished; gone when the cycle is."""
    config_hash: str
    out: str
    """Where this call leaves its pages."""

    def site(self, name: str) -> Path:
        """The folder of one site (a slug)."""
        return Path(self.folder) / "sites" / name

    @property
    def records(self) -> Path:
        """Where all records lie as the cycle read them: every stage of it reads the same ones."""
        return Path(self.folder) / "records"


def begin(
    workspace: Workspace, config: RunConfig, now: datetime, since: datetime | None = None, output: str = ""
) -> Cycle:
    """The cycle that an interrupted run of the same configuration left, else a new one as of `config.at` or now."""
    open_cycle, wanted = _read(_note(workspace, config)), config.content_hash()
    if open_cycle is not None:
        stale = config.at is None and now - open_cycle.at > STALE
        if (open_cycle.config_hash, open_cycle.since) == (wanted, since) and not stale:
            say(f"going on with {open_cycle.name} as of {open_cycle.at:%Y-%m-%d}, which was interrupted")
            return open_cycle.model_copy(update={"out": _out(config, "retrain", output, now)})
        why = "is too old to go on with" if stale else "was interrupted under another configuration"
        say(f"{open_cycle.name} {why} and is given up; its looks stay spent")
    shutil.rmtree(_folder(workspace, config), ignore_errors=True)  # of cycles that are over, or given up
    name = f"retrain-{config.task.name}-{now:%Y%m%dT%H%M%S%f}"
    folder = _folder(workspace, config) / name
    out = _out(config, "retrain", output, now)
    at = config.at or now
    cycle = Cycle(name=name, at=at, since=since, folder=str(folder), config_hash=wanted, out=out)
    keep(_note(workspace, config), cycle)
    return cycle


def single(
    workspace: Workspace, config: RunConfig, now: datetime, since: datetime | None = None, output: str = ""
) -> Cycle:
    """What the drift pipeline runs as: nothing of it is continued."""
    name = f"drift-{config.task.name}-{now:%Y%m%dT%H%M%S%f}"
    folder = workspace.work(config.task.name) / "drift" / name
    out = _out(config, "drift", output, now)
    return Cycle(name=name, at=config.at or now, since=since, folder=str(folder), config_hash="", out=out)


def drop(cycle: Cycle) -> None:
    """Remove what a cycle has kept."""
    shutil.rmtree(cycle.folder, ignore_errors=True)


def finish(workspace: Workspace, config: RunConfig, cycle: Cycle) -> None:
    """The cycle is over: what it made is in registry, ledger and report."""
    _note(workspace, config).unlink(missing_ok=True)
    drop(cycle)


def _out(config: RunConfig, pipeline: str, output: str, now: datetime) -> str:
    """The folder's name is for people: local time."""
    return str(
        (Path(output) / config.task.name / f"{pipeline}-{now.astimezone():%Y-%m-%dT%H-%M-%S}").resolve()
    )


def _note(workspace: Workspace, config: RunConfig) -> Path:
    return workspace.state / "cycles" / f"{config.task.name}.json"


def _folder(workspace: Workspace, config: RunConfig) -> Path:
    """Not in the work folder, which may be deleted between runs: here lies what a look was spent on."""
    return workspace.state / "cycles" / config.task.name


def _read(path: Path) -> Cycle | None:
    try:
        return Cycle.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
