"""How a home's schedules stand: installed, half-installed, missed, failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from primum.errors import PrimumError
from primum.timer import cron, schedules
from primum.timer.choice import timers
from primum.timer.machine import Machine
from primum.timer.schedules import LastRun, Schedule
from primum.workspace import Workspace

INSTALLED, ABSENT = "installed", "absent"


def known_names(workspace: Workspace, machine: Machine) -> list[str]:
    """Schedules of this home that have a definition or an entry of a timer."""
    ending = f"-{schedules.home_tag(workspace.home)}"
    units = [unit for timer in timers(machine).values() for unit in timer.units()]
    ours = {u.removeprefix("primum-").removesuffix(ending) for u in units if u.endswith(ending)}
    return sorted(ours | set(schedules.names(workspace)))


@dataclass(frozen=True)
class Standing:
    """How a schedule stands."""

    name: str
    schedule: Schedule | None
    """None: there is no definition that can be read."""
    state: str
    """`installed`, or in words what is wrong and how it is mended."""
    running: bool
    last: LastRun | None
    next: datetime | None
    missed: datetime | None
    """The time of a run that did not come."""

    @property
    def sound(self) -> bool:
        """Installed, and its last run neither failed nor stayed away."""
        return self.state == INSTALLED and self.missed is None and not self.outcome.startswith("failed")

    @property
    def outcome(self) -> str:
        """How the last run went, in words."""
        if self.running:
            return "runs now"
        if self.last is None:
            return "has not run yet"
        if self.last.ended is None:
            return "failed: its end was not noted; it was killed, or the machine went down"
        return "done" if self.last.code == 0 else f"failed with exit code {self.last.code}: {self.last.error}"


def standing(workspace: Workspace, machine: Machine, now: datetime) -> list[Standing]:
    """Every schedule of this home."""
    return [_stands(workspace, machine, name, now) for name in known_names(workspace, machine)]


def _stands(workspace: Workspace, machine: Machine, name: str, now: datetime) -> Standing:
    last, running = schedules.read_last(workspace, name), schedules.is_running(workspace, name)
    mend = f"; mend: primum schedule remove {name}, then install it again"
    try:
        schedule = schedules.read(workspace, name)
    except PrimumError:
        return Standing(
            name, None, f"half-installed (no definition that can be read){mend}", running, last, None, None
        )
    state = state_of(machine, schedule)
    if state == ABSENT:
        state = f"half-installed ({schedule.via} does not have it)"
    state += mend if is_half(state) else ""
    timer = timers(machine).get(schedule.via)
    skipping = timer is not None and timer.skipping
    line, zone = cron.parse(schedule.cron), cron.machine_zone()
    since = max(schedule.installed, last.began) if last is not None else schedule.installed
    missed = None if running else cron.overdue(line, since, now, zone, skipping=skipping)
    coming = cron.next_after(line, now, zone, skipping=skipping)
    return Standing(name, schedule, state, running, last, coming, missed)


def is_half(state: str) -> bool:
    """True for an entry that does not do its work; not for one that cannot be asked."""
    return state == ABSENT or state.startswith("half-installed")


def state_of(machine: Machine, schedule: Schedule) -> str:
    """As Timer.state, for a timer that this machine may not have."""
    timer = timers(machine).get(schedule.via)
    return ABSENT if timer is None else timer.state(schedule.unit)
