"""A machine with made-up systemctl, crontab and launchctl: scripts that keep their state in a folder."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from primum.timer import cron
from primum.timer.install import make
from primum.timer.machine import Machine, call
from primum.timer.schedules import Schedule, Via
from primum.workspace import Workspace

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
_SCRIPTS = {
    "systemctl": """
shift
last="$2"; for word in "$@"; do last="$word"; done
echo "$1 $last" >> "$S/said"
[ -e "$S/fails-$1" ] && { echo "Failed: the test says so" >&2; exit 1; }
case "$1" in
  show) echo 252 ;;
  enable) touch "$S/enabled-$last" ;;
  disable) rm -f "$S/enabled-$last" ;;
  start) touch "$S/active-$last" ;;
  stop) rm -f "$S/active-$last" ;;
  is-enabled) [ -e "$S/enabled-$last" ] && echo enabled || { echo disabled; exit 1; } ;;
  is-active) [ -e "$S/active-$last" ] && echo active || { echo inactive; exit 3; } ;;
esac
""",
    "loginctl": "echo no\n",
    "systemd-analyze": """[ -e "$S/refuses" ] && { echo "Failed to parse calendar specification" >&2; exit 1; }
exit 0
""",
    "crontab": """
[ -e "$S/denied" ] && { echo "You (me) are not allowed to use this program (crontab)" >&2; exit 1; }
case "$1" in
  -l) [ -e "$S/crontab" ] && cat "$S/crontab" || { echo "no crontab for me" >&2; exit 1; } ;;
  -r) rm "$S/crontab" ;;
  -) [ -e "$S/full" ] && { echo "crontab: No space left on device" >&2; exit 1; }; cat > "$S/crontab" ;;
esac
""",
    "launchctl": """
echo "$@" >> "$S/said"
name="$(basename "$2" .plist)"; [ "$1" = bootstrap ] && name="$(basename "$3" .plist)"
case "$1" in
  print) [ "$2" = gui/501 ] || [ -e "$S/loaded-$name" ] || exit 113 ;;
  bootstrap) [ -e "$S/fails" ] && { echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }
    touch "$S/loaded-$name" ;;
  bootout) rm "$S/loaded-$name" ;;
esac
""",
}
_PROJECT = """\
import os, sys, time
print("argv", *sys.argv[1:], "| home", os.environ["PRIMUM_HOME"], "| ledger", os.environ.get("PRIMUM_LEDGER_URL"))
print("cwd", os.getcwd())
for step in os.environ.get("STEPS", "").split(";"):
    kind, _, value = step.partition("=")
    if kind == "wait":
        open(value + ".began", "w").close()
        while not os.path.exists(value): time.sleep(0.02)
    if kind == "say": print(value, file=sys.stderr)
    if kind == "exit": sys.exit(int(value))
"""
"""The pipeline: says what it was given, then does what STEPS of its environment tells."""


class Made:
    """A project, a home and a user's home below one folder; and a machine with the given programs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...]) -> None:
        self.state, self.bin = folder / "state", folder / "bin"
        project, home, user = folder / "the project 100%", folder / "home", folder / "user"
        for made in (self.state, self.bin, project, home, user):
            made.mkdir(parents=True)
        for name in programs:
            script = self.bin / name
            script.write_text(f"#!/bin/sh\nS='{self.state}'\n{_SCRIPTS[name]}")
            script.chmod(0o755)
        (project / "run.py").write_text(_PROJECT)
        self.workspace = Workspace(project=project, home=home)
        platform = "darwin" if "launchctl" in programs else "linux"
        self.machine = Machine(user, platform, 501, self._run)
        monkeypatch.setenv("HOME", str(user))
        self.path = f"{self.bin}:{os.environ['PATH']}"

    def _run(self, words: object, stdin: str = "") -> object:
        """Only what was made is there: the real programs of this machine are not called."""
        assert isinstance(words, list)
        program = self.bin / words[0]
        return call([str(program), *words[1:]], stdin)

    def schedule(
        self, name: str | None = None, line: str = "0 3 * * 1", via: Via = "systemd", **other: object
    ) -> Schedule:
        made = make(
            self.workspace,
            name,
            str(other.pop("pipeline", "retrain")),
            str(other.pop("task", "heart")),
            cron.parse(line),
            via,
            ("--task", "heart"),
            {"PATH": self.path},
            NOW,
        )
        return made.model_copy(update={"python": Path(sys.executable), **other})
