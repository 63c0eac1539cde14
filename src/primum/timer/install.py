"""Schedules put in place and taken away."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from primum.errors import BadInput, PrimumError
from primum.timer import cron, schedules
from primum.timer.choice import timers
from primum.timer.machine import Machine, Timer
from primum.timer.schedules import Schedule, Via
from primum.timer.standing import INSTALLED, is_half, known_names, state_of
from primum.workspace import Workspace, held

_ELSEWHERE = (
    "WANDB_API_KEY",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "HF_TOKEN",
)
"""Variables with which runs may reach others; a timer's runs do not have this shell's."""


def make(  # noqa: PLR0913 - what a schedule is made of
    workspace: Workspace,
    name: str | None,
    pipeline: str,
    task: str,
    line: cron.Cron,
    via: Via,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    now: datetime,
) -> Schedule:
    """A schedule of this home, started by the Python that runs now. Raises BadInput."""
    for path in (workspace.project, workspace.home, Path(sys.executable)):
        if re.search(r"[\x00-\x1f\\\ud800-\udfff]", str(path)):
            raise BadInput(f"{str(path)!r}: timers cannot hold backslashes and control characters; rename it")
    return Schedule.model_validate(
        {
            "name": schedules.require_name(name or f"{pipeline}-{task}"),
            "pipeline": pipeline,
            "task": task,
            "cron": line.text,
            "via": via,
            "arguments": arguments,
            "project": workspace.project,
            "home": workspace.home,
            "python": Path(sys.executable),
            "path": environment.get("PATH", os.defpath),
            "ledger_elsewhere": bool(environment.get(schedules.LEDGER)),
            "installed": now,
        }
    )


def install(workspace: Workspace, machine: Machine, schedule: Schedule, *, replace: bool) -> list[str]:
    """Put a schedule in place; what a person should know. Raises BadInput where one stands in its way.

    A half-installed one of the same name is healed by this. A failure leaves what was there before.
    """
    with _alone(workspace):
        secret = schedules.environment_of(workspace, schedule.name)
        schedules.read_environment(secret)  # a bad file is refused now, not at night
        before = _standing(workspace, schedule.name)
        rivals = [s for s in _all(workspace) if (s.pipeline, s.task) == (schedule.pipeline, schedule.task)]
        others = [s for s in rivals if s.name != schedule.name]
        if not replace:
            _refuse(workspace, machine, schedule, before, others)
        notes = _put(workspace, machine, schedule, before)
        for other in others:
            _take(workspace, machine, other.name)
            notes.append(f"schedule '{other.name}' was taken away for it")
    return notes


def _refuse(
    workspace: Workspace,
    machine: Machine,
    schedule: Schedule,
    before: Schedule | None,
    others: list[Schedule],
) -> None:
    if before is not None and not is_half(state_of(machine, before)):
        raise BadInput(
            f"schedule '{before.name}' is installed already: {before.what} at '{before.cron}' by {before.via}; "
            f"--replace puts this one in its place, primum schedule remove {before.name} takes it away"
        )
    if others:
        other = others[0]
        raise BadInput(
            f"schedule '{other.name}' runs {other.what} already, at '{other.cron}' by {other.via}; two would "
            f"spend the holdout's looks in turn: --replace puts '{schedule.name}' in its place"
        )


def _put(workspace: Workspace, machine: Machine, schedule: Schedule, before: Schedule | None) -> list[str]:
    known = timers(machine)
    schedules.write(workspace, schedule)
    try:
        notes = known[schedule.via].install(schedule)
    except PrimumError:
        with suppress(PrimumError):
            _put_back(known[schedule.via], schedule, before)
        if before is None:
            schedules.forget(workspace, schedule.name)
        else:
            schedules.write(workspace, before)
        raise
    for via, timer in known.items():
        if via != schedule.via and schedule.unit in timer.units():
            timer.remove(schedule.unit)
    return notes


def _put_back(timer: Timer, failed: Schedule, before: Schedule | None) -> None:
    earlier = before if before is not None and before.via == failed.via else None
    if earlier is not None and timer.state(failed.unit) == INSTALLED:
        return  # it was refused before anything was touched
    timer.remove(failed.unit)
    if earlier is not None:
        timer.install(earlier)


def secrets(workspace: Workspace, schedule: Schedule, environment: Mapping[str, str]) -> list[str]:
    """Which variables of this shell (`environment`) a run will not have, and where to put them; never a value."""
    file = schedules.environment_of(workspace, schedule.name)
    there = schedules.read_environment(file)
    notes = []
    if schedule.ledger_elsewhere and schedules.LEDGER not in there:
        notes.append(f"{schedules.LEDGER} is set here; its runs fail until you write it into {file}")
    also = [name for name in _ELSEWHERE if environment.get(name) and name not in there]
    if also:
        notes.append(
            f"{', '.join(also)} of this shell will not be there; what its runs need goes into {file}"
        )
    return notes


def remove(workspace: Workspace, machine: Machine, name: str) -> None:
    """Take a schedule away, whole or half. Raises BadInput with the nearest name for one that is not there."""
    with _alone(workspace):
        known = known_names(workspace, machine)
        if name not in known:
            raise schedules.unknown(name, known)
        _take(workspace, machine, name)


def _take(workspace: Workspace, machine: Machine, name: str) -> None:
    unit = schedules.unit_of(name, workspace.home)
    for timer in timers(machine).values():
        if unit in timer.units():
            timer.remove(unit)
    schedules.forget(workspace, name)


def _standing(workspace: Workspace, name: str) -> Schedule | None:
    with suppress(PrimumError):
        return schedules.read(workspace, name)
    return None


def _all(workspace: Workspace) -> list[Schedule]:
    found = [_standing(workspace, name) for name in schedules.names(workspace)]
    return [schedule for schedule in found if schedule is not None]


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """One installation at a time."""
    from primum.progress import say

    with held(workspace, "schedules", "another schedule is being installed or removed; waiting", say):
        yield
