"""What a timer starts: alone, logged, noted, with the home, the PATH and the secrets of the schedule."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from timer_machine import NOW, Made

from primum.timer import schedules, wrapper
from primum.timer.install import install
from primum.timer.schedules import Schedule
from primum.timer.standing import Standing, standing
from primum.timer.wrapper import run_schedule


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch, ("systemctl", "loginctl", "crontab"))


@pytest.fixture
def schedule(made: Made) -> Schedule:
    one = made.schedule()
    install(made.workspace, made.machine, one, replace=False)
    return one


def clock() -> datetime:
    return datetime.now(UTC)


def tell(made: Made, **variables: str) -> None:
    """What the run finds in its environment file."""
    lines = [f"{key}={value}\n" for key, value in variables.items()]
    schedules.environment_of(made.workspace, "retrain-heart").write_text("# mine\n\n" + "".join(lines))


def log(made: Made) -> str:
    return wrapper.log_of(made.workspace, "retrain-heart").read_text()


def stands(made: Made) -> Standing:
    (found,) = standing(made.workspace, made.machine, NOW)
    return found


def started(made: Made, *more: str) -> subprocess.Popen[str]:
    """The command of the timer, as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "primum.cli", "schedule", "run", "retrain-heart", *more],
        env=os.environ | {"PRIMUM_HOME": str(made.workspace.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_run_gets_home_path_arguments_date_and_secrets(made: Made, schedule: Schedule) -> None:
    tell(made, PRIMUM_LEDGER_URL='"sqlite:///x y"')
    assert run_schedule(made.workspace, schedule, "1994-03-01", clock) == (
        0,
        "'retrain-heart' ended with exit code 0",
    )
    assert "argv --pipeline retrain --task heart --at 1994-03-01 | home" in log(made)
    assert f"home {made.workspace.home} | ledger sqlite:///x y" in log(made)
    assert f"cwd {made.workspace.project}" in log(made)
    last = json.loads((schedules.folder_of(made.workspace, schedule.name) / "last.json").read_text())
    assert (last["code"], last["error"], last["at"]) == (0, "", "1994-03-01")
    assert last["began"] <= last["ended"]
    assert wrapper.log_of(made.workspace, schedule.name).stat().st_mode & 0o777 == 0o600
    assert stands(made).outcome == "done"


@pytest.mark.parametrize(
    ("steps", "code", "error"),
    [
        ("say=  fine-tune: 1 of 2;say=primum: the disk is full;exit=2", 2, "the disk is full"),
        ("say=run.py: error: argument --task: x;exit=2", 2, "run.py: error: argument --task: x"),
        ("say=Traceback of a patient named Smith;exit=1", 1, "its log says more"),
    ],
)
def test_a_failure_is_one_line_in_log_note_and_list(
    made: Made, schedule: Schedule, steps: str, code: int, error: str
) -> None:
    tell(made, STEPS=steps)
    assert run_schedule(made.workspace, schedule, None, clock) == (
        code,
        f"'retrain-heart' ended with exit code {code}: {error}",
    )
    assert log(made).rstrip().endswith(f"UTC ended with exit code {code}: {error}")
    assert stands(made).outcome == f"failed with exit code {code}: {error}"
    assert not stands(made).sound


def test_a_second_run_says_so_and_ends_well(made: Made, schedule: Schedule, tmp_path: Path) -> None:
    tell(made, STEPS=f"wait={tmp_path / 'go'}")
    first = started(made)
    wait_for((tmp_path / "go.began").exists)
    assert stands(made).outcome == "runs now"
    second = started(made)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert said.startswith("skipped: a run of 'retrain-heart' goes on, since ")
    assert said.rstrip().endswith(f"as process {first.pid}")
    assert "skipped: a run of" in log(made)
    (tmp_path / "go").touch()
    assert first.wait(60) == 0
    first.communicate()
    assert log(made).count("began: ") == 1


def test_a_killed_starter_lets_no_second_run_begin(made: Made, schedule: Schedule, tmp_path: Path) -> None:
    """SIGKILL reaches the starter only; its run goes on and holds the lock until it ends."""
    tell(made, STEPS=f"wait={tmp_path / 'go'}")
    with started(made) as first:
        wait_for((tmp_path / "go.began").exists)
        first.kill()
    assert stands(made).outcome == "runs now"
    assert run_schedule(made.workspace, schedule, None, clock)[1].startswith("skipped")
    (tmp_path / "go").touch()
    wait_for(lambda: not stands(made).running)
    assert stands(made).outcome.startswith("failed: its end was not noted")
    tell(made)
    assert run_schedule(made.workspace, schedule, None, clock)[0] == 0
    assert stands(made).outcome == "done"


def test_a_signal_reaches_the_run_and_is_noted(made: Made, schedule: Schedule, tmp_path: Path) -> None:
    tell(made, STEPS=f"wait={tmp_path / 'go'}")
    with started(made) as first:
        wait_for((tmp_path / "go.began").exists)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 143
        assert "ended with exit code 143: stopped by signal 15" in str(first.communicate()[1])
    assert not stands(made).running


def test_a_question_at_the_wrong_moment_skips_no_run(made: Made, schedule: Schedule) -> None:
    """`schedule list` holds the lock for an instant."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from primum.timer.schedules import turn\n"
        "from primum.workspace import Workspace\n"
        "with turn(Workspace(Path('.'), Path(sys.argv[1])), 'retrain-heart', 0) as mine:\n"
        "    print(mine is not None, flush=True)\n"
        "    time.sleep(0.3)\n"
    )
    words = [sys.executable, "-c", code, str(made.workspace.home)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "True\n"
        assert run_schedule(made.workspace, schedule, None, clock)[1].endswith("ended with exit code 0")


def test_a_ledger_elsewhere_is_not_replaced_by_the_local_one(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRIMUM_LEDGER_URL", raising=False)
    one = made.schedule(ledger_elsewhere=True)
    install(made.workspace, made.machine, one, replace=False)
    code, words = run_schedule(made.workspace, one, None, clock)
    assert code == 2
    assert "PRIMUM_LEDGER_URL was set when schedule 'retrain-heart' was installed and is not now" in words
    assert "argv" not in log(made)
    tell(made, PRIMUM_LEDGER_URL="sqlite:///there")
    assert run_schedule(made.workspace, one, None, clock)[0] == 0


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("PASSWORD=hunter2\n", 0o644, "holds secrets and others can read it; chmod 600"),
        ("ok=1\nexport hunter2\n", 0o600, "line 2: write it as NAME=VALUE"),
        ("A hunter2 = 3\n", 0o600, "line 1: write it as NAME=VALUE"),
    ],
)
def test_a_bad_environment_file_starts_nothing(
    made: Made, schedule: Schedule, text: str, mode: int, words: str
) -> None:
    file = schedules.environment_of(made.workspace, schedule.name)
    file.write_text(text)
    file.chmod(mode)
    code, said = run_schedule(made.workspace, schedule, None, clock)
    assert code == 2
    assert words in said
    assert "hunter2" not in said + log(made)
    assert "argv" not in log(made)


def test_a_python_that_is_gone_is_one_line(made: Made) -> None:
    one = made.schedule(python=made.state / "gone" / "python")
    install(made.workspace, made.machine, one, replace=False)
    code, said = run_schedule(made.workspace, one, None, clock)
    assert code == 2
    assert "cannot be started (No such file or directory); install the schedule again" in said


def test_the_log_makes_room_and_the_oldest_goes(
    made: Made, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapper, "LOG_BYTES", 10)
    monkeypatch.setattr(wrapper, "LOGS_KEPT", 2)
    for day in range(1, 6):
        run_schedule(made.workspace, schedule, f"2026-01-0{day}", clock)
    folder = schedules.folder_of(made.workspace, schedule.name)
    assert sorted(p.name for p in folder.glob("log*")) == ["log.1.txt", "log.2.txt", "log.txt"]
    assert ["2026-01-0" + str(day) in (folder / "log.2.txt").read_text() for day in (2, 3, 4)] == [
        False,
        True,
        False,
    ]


def command(made: Made, *words: str) -> subprocess.CompletedProcess[str]:
    """`primum schedule`, with the made-up programs first on the PATH."""
    return subprocess.run(
        [sys.executable, "-m", "primum.cli", "schedule", *words],
        env=os.environ | {"PRIMUM_HOME": str(made.workspace.home), "PATH": made.path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_install_list_and_remove_by_command(made: Made) -> None:
    done = command(made, "install", "--task", "heart", "--every", "month", "--via", "cron")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "schedule 'retrain-heart' is installed by cron: retrain heart at '0 3 1 * *'"
    )
    listed = command(made, "list").stdout
    assert listed.startswith("retrain-heart: retrain heart at '0 3 1 * *' by cron, installed\n")
    assert "last run: has not run yet" in listed
    assert "next run: " in listed
    again = command(made, "install", "--task", "heart", "--via", "cron")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "--replace puts this one in its place" in again.stderr
    removed = command(made, "remove", "retrain-heart")
    assert removed.stdout.startswith("schedule 'retrain-heart' is removed\n")
    assert command(made, "list").stdout.startswith("no schedules; ")
    assert not (made.state / "crontab").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--task", "hart"), "unknown task 'hart'; did you mean 'heart'"),
        ((), "name the task with --task NAME"),
        (("--task", "heart", "--cron", "0 25 * * *"), "hour '25': only 0-23"),
        (("--task", "heart", "--cron", "0 2 * * *", "--at-time", "3:00"), "--at-time goes with --every"),
        (("--task", "heart", "--set", "at=2024-01-01"), "runs as of the day that it runs"),
        (("--task", "heart", "--set", "seeed=1"), "unknown key `seeed`"),
        (("--task", "heart", "--stack", "clowd"), "unknown stack 'clowd'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(made: Made, words: tuple[str, ...], said: str) -> None:
    done = command(made, "install", "--via", "cron", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (made.workspace.state / "schedules").exists()
    assert not (made.state / "crontab").exists()


def test_a_dry_run_shows_and_writes_nothing(made: Made) -> None:
    done = command(made, "install", "--task", "heart", "--dry-run", "--via", "systemd", "--set", "seed=7")
    assert "OnCalendar=Mon *-*-* 03:00:00" in done.stdout
    assert "nothing was written" in done.stdout
    assert list(made.workspace.home.iterdir()) == []
    orchestrated = command(
        made, "install", "--task", "heart", "--dry-run", "--via", "zenml", "--set", "seed=7"
    )
    assert (
        "  python run.py --pipeline retrain --schedule '0 3 * * 1' --task heart --set seed=7\n"
        in orchestrated.stdout
    )


def test_a_date_that_is_none_is_refused(made: Made, schedule: Schedule) -> None:
    done = command(made, "run", schedule.name, "--at", "soon")
    assert (done.returncode, done.stderr) == (2, "primum: --at soon: write a date, such as 1994-03-01\n")


def test_the_doctor_shows_schedules(made: Made, schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    from primum.doctor import _schedules
    from primum.timer import machine

    monkeypatch.setattr(machine, "this_machine", lambda: made.machine)
    finding = _schedules(made.workspace)
    assert (finding.state, "has not run yet, missed 20" in finding.detail) == ("broken", True)
    tell(made, STEPS="say=primum: no;exit=2")
    run_schedule(made.workspace, schedule, None, clock)
    finding = _schedules(made.workspace)
    assert (finding.state, finding.detail) == ("broken", "retrain-heart: failed with exit code 2: no")
    tell(made)
    run_schedule(made.workspace, schedule, None, clock)
    finding = _schedules(made.workspace)
    assert finding.state == "ok"
    assert finding.detail.startswith("retrain-heart (done 20")
