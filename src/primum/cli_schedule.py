"""`primum schedule`: retrain and drift at fixed times, by this machine's own timer."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from primum.cli_holdouts import Commands
from primum.errors import BadInput
from primum.workspace import Workspace

if TYPE_CHECKING:
    from primum.config import RunConfig
    from primum.timer.cron import Cron
    from primum.timer.standing import Standing


def add_schedule(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum schedule`."""
    schedule = commands.add_parser(
        "schedule", help="retrain and drift at fixed times: systemd, cron or launchd, with lock and log"
    )
    actions = schedule.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_install(actions)
    listing = actions.add_parser("list", help="schedules of this home: state, last run, next run")
    listing.set_defaults(run=_list)
    remove = actions.add_parser("remove", help="take a schedule away; its log stays")
    remove.add_argument("name")
    remove.set_defaults(run=_remove)
    run = actions.add_parser("run", help="what the timer starts: one run, unless one goes on")
    run.add_argument("name")
    run.add_argument("--at", metavar="DATE", help="run as on that day, as in run.py")
    run.set_defaults(run=_run)


def _add_install(actions: Commands[argparse.ArgumentParser]) -> None:
    install = actions.add_parser(
        "install",
        help="run a pipeline at fixed times",
        description="Run a pipeline at fixed times of this machine's clock. By default: every Monday at 03:00, by "
        "the timer that this machine has.",
    )
    add = install.add_argument
    add("--pipeline", choices=("retrain", "drift"), default="retrain", help="by default retrain")
    add("--task")
    when = install.add_mutually_exclusive_group()
    when.add_argument("--cron", metavar="LINE", help="five fields in quotes, such as '0 3 * * 1'")
    when.add_argument("--every", choices=("day", "week", "month"), help="week: Mondays; month: the first")
    add("--at-time", metavar="HH:MM", help="with --every; by default 03:00")
    add("--config", type=Path, metavar="FILE", help="the run file, as in run.py")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="as in run.py")
    add("--name", help="by default PIPELINE-TASK")
    add(
        "--via",
        choices=("systemd", "cron", "launchd", "zenml"),
        help="by default this machine's own; zenml: the stack's orchestrator",
    )
    add("--stack", metavar="NAME", help="where runs compute: a file of configs/stacks")
    add("--replace", action="store_true", help="put it in the place of the one that is there")
    add("--dry-run", action="store_true", help="show what would be written and when it would run; do nothing")
    install.set_defaults(run=_install)


def _install(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.timer import choice, install
    from primum.timer.machine import this_machine

    line = _line(arguments)
    config = _config(workspace, arguments)
    given = _arguments(arguments)
    if arguments.via == "zenml":
        _on_orchestrator(workspace, arguments, line, given)
        return
    machine, now = this_machine(), datetime.now(UTC)
    via = choice.choose(machine, arguments.via)
    schedule = install.make(
        workspace, arguments.name, arguments.pipeline, config.task.name, line, via, given, os.environ, now
    )
    if arguments.dry_run:
        print(choice.timers(machine)[via].written(schedule))
        print(f"# {_coming(line, now, skipping=choice.timers(machine)[via].skipping)}; nothing was written")
        return
    notes = install.install(workspace, machine, schedule, replace=arguments.replace)
    notes += install.secrets(workspace, schedule, os.environ)
    print(f"schedule '{schedule.name}' is installed by {via}: {schedule.what} at '{line.text}'")
    print(f"  {_coming(line, now, skipping=choice.timers(machine)[via].skipping)}")
    for note in notes:
        print(f"  {note}")


def _line(arguments: argparse.Namespace) -> Cron:
    from primum.timer import cron

    if arguments.cron is None:
        return cron.every(arguments.every or "week", arguments.at_time or "03:00")
    if arguments.at_time is not None:
        raise BadInput("--at-time goes with --every; in --cron the first two fields are minute and hour")
    return cron.parse(arguments.cron)


def _config(workspace: Workspace, arguments: argparse.Namespace) -> RunConfig:
    """The run's configuration: it must be sound now, not only when the timer comes."""
    from primum.config import load_run, parse_overrides

    if arguments.task is None and arguments.config is None:
        raise BadInput("name the task with --task NAME, or its run file with --config FILE")
    named = {"task": arguments.task, "stack": arguments.stack}
    overrides = {key: value for key, value in named.items() if value is not None}
    config = load_run(workspace.configs, arguments.config, overrides | parse_overrides(arguments.set))
    if config.at is not None:
        raise BadInput("`at`: a schedule runs as of the day that it runs; take the key out")
    return config


def _arguments(arguments: argparse.Namespace) -> tuple[str, ...]:
    """As run.py takes them, from whatever folder."""
    words: list[str] = []
    if arguments.task is not None:
        words += ["--task", arguments.task]
    if arguments.config is not None:
        words += ["--config", str(arguments.config.resolve())]
    if arguments.stack is not None:
        words += ["--set", f"stack={arguments.stack}"]
    for pair in arguments.set:
        words += ["--set", pair]
    return tuple(words)


def _on_orchestrator(
    workspace: Workspace, arguments: argparse.Namespace, line: Cron, given: tuple[str, ...]
) -> None:
    """A pipeline is built by run.py; here is only asked whether the orchestrator takes a schedule."""
    if not arguments.dry_run:
        from primum.stack.store import bootstrap

        bootstrap(workspace)
        from primum.stack.scheduling import require_schedulable, schedulable_stack

        stack = schedulable_stack(arguments.stack)
        if stack is not None:
            require_schedulable(stack)
    words = ["python", "run.py", "--pipeline", arguments.pipeline, "--schedule", line.text, *given]
    print("a schedule on the stack's orchestrator is made with the pipeline; in the project's folder:")
    print(f"  {shlex.join(words)}")


def _coming(line: Cron, now: datetime, *, skipping: bool) -> str:
    from primum.timer import cron

    zone, moment, found = cron.machine_zone(), now, []
    for _ in range(3):
        moment = cron.next_after(line, moment, zone, skipping=skipping)
        found.append(f"{moment:%a %Y-%m-%d %H:%M}")
    return f"next runs, {cron.zone_name(zone)}: {', '.join(found)}"


def _list(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.timer.machine import this_machine
    from primum.timer.standing import standing

    found = standing(workspace, this_machine(), datetime.now(UTC))
    print("\n".join(map(_shown, found)) or "no schedules; primum schedule install --task T makes one")


def _shown(one: Standing) -> str:
    if one.schedule is None:
        return f"{one.name}: {one.state}"
    what = f"{one.schedule.what} at '{one.schedule.cron}' by {one.schedule.via}"
    last = f"{_local(one.last.began)}, " if one.last else ""
    lines = [f"{one.name}: {what}, {one.state}", f"  last run: {last}{one.outcome}"]
    if one.missed is not None:
        lines.append(
            f"  missed:   {_local(one.missed)}; did the machine, the session or the cron daemon run then?"
        )
    if one.next is not None:
        lines.append(f"  next run: {_local(one.next)}")
    return "\n".join(lines)


def _local(moment: datetime) -> str:
    from primum.timer import cron

    zone = cron.machine_zone()
    return f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M} {cron.zone_name(zone)}"


def _remove(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.timer import install, schedules
    from primum.timer.machine import this_machine

    install.remove(workspace, this_machine(), arguments.name)
    folder = schedules.folder_of(workspace, arguments.name)
    print(f"schedule '{arguments.name}' is removed")
    if schedules.is_running(workspace, arguments.name):
        print("  a run of it goes on, and ends by itself")
    if folder.exists():
        print(f"  its log and its environment file stay in {folder}")


def _run(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from primum.timer import schedules
    from primum.timer.wrapper import run_schedule

    if arguments.at is not None:
        try:
            datetime.fromisoformat(arguments.at)
        except ValueError:
            raise BadInput(f"--at {arguments.at}: write a date, such as 1994-03-01") from None
    schedule = schedules.read(workspace, arguments.name)
    code, words = run_schedule(workspace, schedule, arguments.at, lambda: datetime.now(UTC))
    print(words if code == 0 else f"primum: {words}", file=sys.stdout if code == 0 else sys.stderr)
    return code
