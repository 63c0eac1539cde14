"""One run of the retrain pipeline, however often it was interrupted: its name, its date, its folder."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from primum.config import RunConfig
from primum.progress import say
from primum.records import Frozen
from primum.sites.journal import keep
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

    def site(self, name: str) -> Path:
        """The folder of one site (a slug)."""
        return Path(self.folder) / "sites" / name


def begin(workspace: Workspace, config: RunConfig, now: datetime, since: datetime | None = None) -> Cycle:
    """The cycle that an interrupted run of the same configuration left, else a new one as of `config.at` or now."""
    open_cycle, wanted = _read(_note(workspace, config)), config.content_hash()
    if open_cycle is not None:
        stale = config.at is None and now - open_cycle.at > STALE
        if open_cycle.config_hash == wanted and not stale:
            say(f"going on with {open_cycle.name} as of {open_cycle.at:%Y-%m-%d}, which was interrupted")
            return open_cycle
        why = "is too old to go on with" if stale else "was interrupted under another configuration"
        say(f"{open_cycle.name} {why} and is given up; its looks stay spent")
        shutil.rmtree(open_cycle.folder, ignore_errors=True)
    name = f"retrain-{config.task.name}-{now:%Y%m%dT%H%M%S%f}"
    folder = workspace.work(config.task.name) / "cycles" / name
    cycle = Cycle(name=name, at=config.at or now, since=since, folder=str(folder), config_hash=wanted)
    keep(_note(workspace, config), cycle)
    return cycle


def single(workspace: Workspace, config: RunConfig, now: datetime, since: datetime | None) -> Cycle:
    """What the drift pipeline runs as: nothing of it is continued."""
    name = f"drift-{config.task.name}-{now:%Y%m%dT%H%M%S%f}"
    folder = workspace.work(config.task.name) / "cycles" / name
    return Cycle(name=name, at=config.at or now, since=since, folder=str(folder), config_hash="")


def drop(cycle: Cycle) -> None:
    """Remove what a cycle has kept."""
    shutil.rmtree(cycle.folder, ignore_errors=True)


def finish(workspace: Workspace, config: RunConfig, cycle: Cycle) -> None:
    """The cycle is over: what it made is in registry, ledger and report."""
    _note(workspace, config).unlink(missing_ok=True)
    drop(cycle)


def _note(workspace: Workspace, config: RunConfig) -> Path:
    return workspace.state / "cycles" / f"{config.task.name}.json"


def _read(path: Path) -> Cycle | None:
    try:
        return Cycle.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
