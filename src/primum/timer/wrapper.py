"""What a timer starts: one run of a pipeline, alone, with its log and a note of how it went."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from primum.errors import Unavailable
from primum.failures import explain
from primum.timer.schedules import (
    LEDGER,
    LastRun,
    Schedule,
    environment_of,
    folder_of,
    read_environment,
    read_last,
    turn,
    write_last,
)
from primum.workspace import Workspace

LOG_BYTES = 2**20
"""A log that is longer when a run begins makes room."""
LOGS_KEPT = 5
_PATIENCE = 1.0
"""Seconds until a lock that is held is a run and not a question."""
_SAID = ("primum: ", "run.py: error: ")
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Clock = Callable[[], datetime]


def log_of(workspace: Workspace, name: str) -> Path:
    """Where a schedule's runs write; the older ones are log.1.txt and so on."""
    return folder_of(workspace, name) / "log.txt"


def run_schedule(workspace: Workspace, schedule: Schedule, at: str | None, clock: Clock) -> tuple[int, str]:
    """Run the pipeline unless a run of this schedule goes on; the exit code, and a line for whoever watches.

    `at`: the date that the pipeline takes for today. Raises Unavailable where nothing can be noted.
    """
    with turn(workspace, schedule.name, _PATIENCE) as lock:
        log = log_of(workspace, schedule.name)
        if lock is None:
            last = read_last(workspace, schedule.name)
            since = f", since {_stamp(last.began)} as process {last.process}" if last else ""
            words = f"skipped: a run of '{schedule.name}' goes on{since}"
            _append(log, f"{_stamp(clock())} {words}\n")
            return 0, words
        _rotate(log)
        last = LastRun(began=clock(), process=os.getpid(), at=at)
        write_last(workspace, schedule.name, last)
        words_of_run = _words(schedule, at)
        _append(log, f"{_stamp(last.began)} began: {' '.join(words_of_run[1:])}\n")
        began_at = log.stat().st_size
        try:
            code = _call(schedule, words_of_run, _environment(workspace, schedule), log, lock)
        except Exception as problem:
            error, code = explain(problem)
        else:
            error = "" if code == 0 else _error_line(log, began_at) or _without_words(code)
        return code, _finish(workspace, schedule, last, clock(), (code, error))


def _words(schedule: Schedule, at: str | None) -> list[str]:
    words = [str(schedule.python), "run.py", "--pipeline", schedule.pipeline, *schedule.arguments]
    return words + (["--at", at] if at is not None else [])


def _environment(workspace: Workspace, schedule: Schedule) -> dict[str, str]:
    """The timer's own, the home and PATH of the installation, and what the environment file has."""
    file = environment_of(workspace, schedule.name)
    own = {"PATH": schedule.path, "PRIMUM_HOME": str(schedule.home), "PYTHONUNBUFFERED": "1"}
    variables = dict(os.environ) | own | read_environment(file)
    if schedule.ledger_elsewhere and not variables.get(LEDGER):
        raise Unavailable(
            f"{LEDGER} was set when schedule '{schedule.name}' was installed and is not now; write it into {file}"
        )
    return variables


def _call(schedule: Schedule, words: list[str], environment: dict[str, str], log: Path, lock: int) -> int:
    """Run the pipeline. It holds the lock as well: were this process killed, no second run would start beside it."""
    with log.open("ab") as out:
        try:
            child = subprocess.Popen(  # noqa: S603 - the installation's own words
                words,
                cwd=schedule.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(
                f"{schedule.python} in {schedule.project} cannot be started ({error.strerror}); "
                f"install the schedule again: primum schedule install --replace"
            ) from None
        with _forwarding(child):
            code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand signals on to the run, once each, and wait for what it makes of them."""
    before = {number: signal.signal(number, lambda n, _: child.send_signal(n)) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(
    workspace: Workspace, schedule: Schedule, last: LastRun, now: datetime, ending: tuple[int, str]
) -> str:
    code, error = ending
    done = last.model_copy(update={"ended": now, "code": code, "error": error})
    write_last(workspace, schedule.name, done)
    words = f"ended with exit code {code}" + (f": {error}" if error else "")
    _append(log_of(workspace, schedule.name), f"{_stamp(now)} {words}\n")
    return f"'{schedule.name}' {words}"


def _error_line(log: Path, offset: int) -> str:
    """The last line that the run said in Primum's name, or that its command line was refused with."""
    with log.open("rb") as file:
        file.seek(max(offset, log.stat().st_size - 2**16))
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = [line.removeprefix("primum: ") for line in lines if line.startswith(_SAID)]
    return said[-1] if said else ""


def _without_words(code: int) -> str:
    return f"stopped by signal {code - 128}" if code > 128 else "its log says more"


def _rotate(log: Path) -> None:
    """log.txt becomes log.1.txt, that log.2.txt and so on; the oldest goes."""
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    older = [log.with_name(f"log.{number}.txt") for number in range(1, LOGS_KEPT + 1)]
    for source, target in reversed(list(zip([log, *older], older, strict=False))):
        if source.exists():
            source.replace(target)


def _append(log: Path, text: str) -> None:
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise Unavailable(
            f"{log} cannot be written ({error.strerror}); free space or mend its folder"
        ) from None


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
