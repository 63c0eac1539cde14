"""Schedules as timers of the user's systemd."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from primum.errors import BadInput, Unavailable
from primum.timer import cron
from primum.timer.machine import MISSING, Done, Machine
from primum.timer.schedules import Schedule

_SERVICE = """\
[Unit]
Description=Primum schedule {name}: {what}

[Service]
Type=oneshot
WorkingDirectory={project}
Environment={home}
ExecStart={command}
KillMode=mixed
Nice=10
"""
_TIMER = """\
[Unit]
Description=Primum schedule {name}: {what}

[Timer]
{calendar}
Persistent=true

[Install]
WantedBy=timers.target
"""


class Systemd:
    """A service and a timer a schedule, in ~/.config/systemd/user."""

    skipping = True

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._folder = machine.home / ".config" / "systemd" / "user"

    def missing(self) -> str | None:
        """No systemd, or no session of this user that one could speak to."""
        done = self._ctl("show", "--property=Version", "--value")
        if done.code == 0:
            return None
        return (
            "systemd is not installed" if done.code == MISSING else f"no systemd user session ({done.said})"
        )

    def written(self, schedule: Schedule) -> str:
        """Both unit files and the commands."""
        texts = [f"# {path}\n{text}" for path, text in self._files(schedule).items()]
        return "\n".join([*texts, f"systemctl --user enable --now {schedule.unit}.timer"])

    def install(self, schedule: Schedule) -> list[str]:
        """Write, check, enable and start the timer, as if there had been none: systemd would catch up at once."""
        files = self._files(schedule)
        self._check(schedule, files)
        self.remove(schedule.unit)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path, text in files.items():
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{self._folder} cannot be written ({error.strerror})") from None
        self._must("daemon-reload")
        self._must("enable", f"{schedule.unit}.timer")
        self._must("start", f"{schedule.unit}.timer")
        return self._notes()

    def remove(self, unit: str) -> None:
        """Stop, disable and delete; its stamp (when it last ran) too."""
        timer = f"{unit}.timer"
        for words in (("disable", timer), ("stop", timer), ("clean", "--what=state", timer)):
            self._ctl(*words)  # of a half-installed one systemd knows some only
        stamp = self._machine.home / ".local" / "share" / "systemd" / "timers" / f"stamp-{timer}"
        wanted = self._folder / "timers.target.wants" / timer
        for path in (stamp, wanted, *self._paths(unit)):
            path.unlink(missing_ok=True)
        self._ctl("daemon-reload")
        self._ctl("reset-failed", timer)

    def state(self, unit: str) -> str:
        """From the files and from what systemd says."""
        there = [path.exists() for path in self._paths(unit)]
        if not any(there):
            return "absent"
        if not all(there):
            return "half-installed (a unit file is missing)"
        why = self.missing()
        if why is not None:
            return f"cannot be asked: {why}"
        for question, answer in (("is-enabled", "enabled"), ("is-active", "active")):
            done = self._ctl(question, f"{unit}.timer")
            if done.out.strip() != answer:
                return f"half-installed (the timer is {done.out.strip() or 'unknown to systemd'})"
        return "installed"

    def units(self) -> list[str]:
        """From the files' names."""
        return sorted({path.stem for path in self._folder.glob("primum-*.*") if path.suffix in _SUFFIXES})

    def _paths(self, unit: str) -> tuple[Path, Path]:
        return (self._folder / f"{unit}.service", self._folder / f"{unit}.timer")

    def _files(self, schedule: Schedule) -> dict[Path, str]:
        about = {"name": schedule.name, "what": _percent(schedule.what)}
        service = _SERVICE.format(
            **about,
            project=_percent(str(schedule.project)),
            home=_quoted(f"PRIMUM_HOME={schedule.home}"),
            command=" ".join(_quoted(word).replace("$", "$$") for word in schedule.command),
        )
        lines = "\n".join(f"OnCalendar={text}" for text in cron.calendar(cron.parse(schedule.cron)))
        timer = _TIMER.format(**about, calendar=lines)
        return dict(zip(self._paths(schedule.unit), (service, timer), strict=True))

    def _check(self, schedule: Schedule, files: dict[Path, str]) -> None:
        """Have systemd itself read what will be written, where its tool is there."""
        with tempfile.TemporaryDirectory() as folder:
            drafts = [Path(folder) / path.name for path in files]
            for draft, text in zip(drafts, files.values(), strict=True):
                draft.write_text(text, encoding="utf-8")
            expressions = cron.calendar(cron.parse(schedule.cron))
            for words in (("calendar", *expressions), ("--user", "verify", *map(str, drafts))):
                done = self._machine.run(["systemd-analyze", *words], "")
                if done.code not in (0, MISSING):
                    raise BadInput(f"systemd does not take the schedule '{schedule.cron}': {done.said}")

    def _notes(self) -> list[str]:
        done = self._machine.run(
            ["loginctl", "show-user", str(self._machine.user), "--property=Linger", "--value"], ""
        )
        if done.out.strip() == "yes":
            return []
        return ["it runs while you are logged in; to run without: loginctl enable-linger"]

    def _ctl(self, *words: str) -> Done:
        return self._machine.run(["systemctl", "--user", *words], "")

    def _must(self, *words: str) -> None:
        done = self._ctl(*words)
        if done.code != 0:
            raise Unavailable(f"systemctl --user {' '.join(words)} failed: {done.said}")


_SUFFIXES = (".service", ".timer")


def _percent(text: str) -> str:
    """systemd takes % for a specifier."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a line with several."""
    escaped = _percent(word).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped) else f'"{escaped}"'
