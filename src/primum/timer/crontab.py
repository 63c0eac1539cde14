"""Schedules as marked lines of the user's crontab."""

from __future__ import annotations

import re
import shlex

import psutil

from primum.errors import Unavailable
from primum.timer.machine import MISSING, Machine
from primum.timer.schedules import Schedule

_BEGIN = "# begin of {unit}, kept by `primum schedule`"
_END = "# end of {unit}"
_DAEMONS = {"cron", "crond", "fcron", "busybox"}


class Crontab:
    """Three lines a schedule, at the top of the crontab: assignments (SHELL, CRON_TZ) further down do not reach them.

    Every other byte of the crontab stays as it is. cron mails what a failed run says, where there is mail.
    """

    skipping = False

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def missing(self) -> str | None:
        """No crontab command, or none for this user."""
        done = self._machine.run(["crontab", "-l"], "")
        if done.code == MISSING:
            return "cron is not installed"
        return None if done.code == 0 or "no crontab" in done.err else f"crontab: {done.said}"

    def written(self, schedule: Schedule) -> str:
        """The lines that go into the crontab."""
        return f"# crontab -e\n{_block(schedule)}".rstrip()

    def install(self, schedule: Schedule) -> list[str]:
        """Put the lines there, in the place of earlier ones of that name."""
        block = _block(schedule)
        self._write(block + _without(self._read(), schedule.unit))
        notes = ["cron does not catch up on a run that the machine was off for"]
        if not _DAEMONS & {process.info["name"] for process in psutil.process_iter(["name"])}:
            notes.append("no cron daemon runs here; start it (service cron start), or nothing happens")
        return notes

    def remove(self, unit: str) -> None:
        """Take the lines away; a crontab that had nothing else goes too."""
        text = self._read()
        rest = _without(text, unit)
        if rest != text:
            self._write(rest)

    def state(self, unit: str) -> str:
        """From the crontab."""
        why = self.missing()
        if why is not None:
            return f"cannot be asked: {why}"
        text = self._read()
        if _BEGIN.format(unit=unit) not in text.split("\n"):
            return "absent"
        if _pattern(unit).search(text) is None:
            return "half-installed (its lines in the crontab were changed)"
        return "installed"

    def units(self) -> list[str]:
        """From the marks."""
        if self.missing() is not None:
            return []
        found = re.findall(_line(_BEGIN).replace("UNIT", r"(\S+)"), self._read(), re.MULTILINE)
        return sorted(set(found))

    def _read(self) -> str:
        done = self._machine.run(["crontab", "-l"], "")
        if done.code == 0:
            return done.out
        if "no crontab" in done.err:
            return ""
        raise Unavailable(f"the crontab cannot be read: {done.said}")

    def _write(self, text: str) -> None:
        words = ["crontab", "-"] if text else ["crontab", "-r"]
        done = self._machine.run(words, text)
        if done.code != 0:
            raise Unavailable(f"the crontab cannot be written, and is as it was: {done.said}")
        if self._read() != text:
            raise Unavailable("the crontab is not what was written; look at it with crontab -l")


def _block(schedule: Schedule) -> str:
    words = ["cd", str(schedule.project), "&&", "env", f"PRIMUM_HOME={schedule.home}", *schedule.command]
    command = " ".join(word if word == "&&" else shlex.quote(word) for word in words)
    line = f"{schedule.cron} {command} >/dev/null".replace("%", "\\%")  # cron ends the command at a bare %
    return f"{_BEGIN.format(unit=schedule.unit)}\n{line}\n{_END.format(unit=schedule.unit)}\n"


def _without(text: str, unit: str) -> str:
    """The crontab without a schedule's lines; where its end is missing, its begin and the line after it."""
    return _pattern(unit, broken=True).sub("", _pattern(unit).sub("", text))


def _pattern(unit: str, *, broken: bool = False) -> re.Pattern[str]:
    begin, end = (_line(mark).replace("UNIT", re.escape(unit)) for mark in (_BEGIN, _END))
    if broken:
        ours = r"(?:[^\n]* -m primum\.cli schedule run [^\n]*\n)?"
        return re.compile(f"{begin}\n{ours}|{end}\n", re.MULTILINE)
    return re.compile(rf"{begin}\n[^\n]* -m primum\.cli schedule run [^\n]*\n{end}\n", re.MULTILINE)


def _line(mark: str) -> str:
    """A mark as the pattern of a whole line, with UNIT where the unit stands."""
    return "^" + re.escape(mark.format(unit="UNIT")) + "$"
