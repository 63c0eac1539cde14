"""Which timers this machine has, and which of them a schedule is put into."""

from __future__ import annotations

from primum.errors import Unavailable
from primum.timer.crontab import Crontab
from primum.timer.launchd import Launchd
from primum.timer.machine import Machine, Timer
from primum.timer.schedules import Via
from primum.timer.systemd import Systemd


def timers(machine: Machine) -> dict[Via, Timer]:
    """Every way to start schedules; the first that this machine has is its default."""
    own: dict[Via, Timer] = {"launchd": Launchd(machine)} if machine.platform == "darwin" else {}
    return own | {"systemd": Systemd(machine), "cron": Crontab(machine)}


def choose(machine: Machine, via: Via | None) -> Via:
    """The timer that was asked for, or the machine's own. Raises Unavailable with the mend."""
    known = timers(machine)
    if via is not None:
        if via not in known:
            raise Unavailable("--via launchd: only a Mac has it; take --via systemd or --via cron")
        missing = known[via].missing()
        if missing is None:
            return via
        raise Unavailable(f"--via {via}: {missing}; {_MENDS[via]}")
    reasons = {name: timer.missing() for name, timer in known.items()}
    found = next((name for name, why in reasons.items() if why is None), None)
    if found is None:
        why = ", ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise Unavailable(
            f"no timer is usable here ({why}); log in to a desktop or SSH session, or install cron"
        )
    return found


_MENDS: dict[Via, str] = {
    "systemd": "log in to a desktop or SSH session of your own (not sudo or su), or take --via cron",
    "cron": "install it (apt-get install cron), or take --via systemd",
    "launchd": "log in to the Mac's desktop, or take --via cron",
}
