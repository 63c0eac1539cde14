"""Schedules as launch agents of a Mac's user."""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

from primum.errors import Unavailable
from primum.timer import cron
from primum.timer.machine import MISSING, Machine
from primum.timer.schedules import Schedule

_PREFIX = "org.primum."


class Launchd:
    """One property list a schedule, in ~/Library/LaunchAgents."""

    skipping = False

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._folder = machine.home / "Library" / "LaunchAgents"
        self._domain = f"gui/{machine.user}"

    def missing(self) -> str | None:
        """No session on the Mac's desktop."""
        done = self._machine.run(["launchctl", "print", self._domain], "")
        return None if done.code == 0 else f"no session of launchd ({done.said})"

    def written(self, schedule: Schedule) -> str:
        """The property list and the command."""
        path = self._path(schedule.unit)
        text = plistlib.dumps(_agent(schedule)).decode()
        return f"<!-- {path} -->\n{text}\nlaunchctl bootstrap {self._domain} {path}"

    def install(self, schedule: Schedule) -> list[str]:
        """Write and load the agent, in the place of an earlier one."""
        path, data = self._path(schedule.unit), plistlib.dumps(_agent(schedule))
        plistlib.loads(data)
        self._machine.run(["launchctl", "bootout", f"{self._domain}/{_PREFIX}{schedule.unit}"], "")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written ({error.strerror})") from None
        done = self._machine.run(["launchctl", "bootstrap", self._domain, str(path)], "")
        if done.code != 0:
            raise Unavailable(f"launchctl bootstrap failed: {done.said}")
        return [
            "launchd catches up after sleep, not after the machine was off; it runs while you are logged in"
        ]

    def remove(self, unit: str) -> None:
        """Unload and delete."""
        self._machine.run(["launchctl", "bootout", f"{self._domain}/{_PREFIX}{unit}"], "")
        self._path(unit).unlink(missing_ok=True)

    def state(self, unit: str) -> str:
        """From the file and from what launchd says."""
        if not self._path(unit).exists():
            return "absent"
        done = self._machine.run(["launchctl", "print", f"{self._domain}/{_PREFIX}{unit}"], "")
        if done.code == MISSING:
            return "cannot be asked: launchctl is not here"
        return "installed" if done.code == 0 else "half-installed (launchd does not know it)"

    def units(self) -> list[str]:
        """From the files' names."""
        return sorted(p.stem.removeprefix(_PREFIX) for p in self._folder.glob(f"{_PREFIX}primum-*.plist"))

    def _path(self, unit: str) -> Path:
        return self._folder / f"{_PREFIX}{unit}.plist"


def _agent(schedule: Schedule) -> dict[str, Any]:
    return {
        "Label": _PREFIX + schedule.unit,
        "ProgramArguments": list(schedule.command),
        "WorkingDirectory": str(schedule.project),
        "EnvironmentVariables": {"PRIMUM_HOME": str(schedule.home)},
        "StartCalendarInterval": cron.intervals(cron.parse(schedule.cron)),
        "ProcessType": "Background",
    }
