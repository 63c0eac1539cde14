"""Schedules put into systemd, cron and launchd, by programs that keep their state in a folder."""

from __future__ import annotations

import plistlib
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from timer_machine import NOW, Made

from primum.errors import BadInput, Unavailable
from primum.timer import schedules
from primum.timer.choice import choose
from primum.timer.cron import parse
from primum.timer.install import install, make, remove, secrets
from primum.timer.schedules import Via
from primum.timer.standing import standing

LINUX = ("systemctl", "loginctl", "systemd-analyze", "crontab")
CRONTAB = '# mine\r\nMAILTO=""\nSHELL=/bin/fish\n\n5 5 * * * echo 100\\% caf\udce9\n# the end\n'
"""With a carriage return, a byte that is no UTF-8, and assignments that must not reach our line."""


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch, LINUX)


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch, ("launchctl",))


def states(made: Made) -> dict[str, str]:
    return {s.name: s.state for s in standing(made.workspace, made.machine, NOW)}


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_systemd_gets_a_service_and_a_timer_that_catches_up(linux: Made) -> None:
    schedule = linux.schedule()
    notes = install(linux.workspace, linux.machine, schedule, replace=False)
    folder = linux.machine.home / ".config" / "systemd" / "user"
    timer = (folder / f"{schedule.unit}.timer").read_text()
    assert "OnCalendar=Mon *-*-* 03:00:00\nPersistent=true\n" in timer
    service = (folder / f"{schedule.unit}.service").read_text()
    assert f"WorkingDirectory={linux.workspace.project}".replace("%", "%%") in service
    assert f"PRIMUM_HOME={linux.workspace.home}" in service
    assert service.count("-m primum.cli schedule run retrain-heart") == 1
    assert states(linux) == {"retrain-heart": "installed"}
    assert notes == ["it runs while you are logged in; to run without: loginctl enable-linger"]
    remove(linux.workspace, linux.machine, "retrain-heart")
    assert states(linux) == {}
    assert list(folder.iterdir()) == []
    assert "clean " + schedule.unit + ".timer" in (linux.state / "said").read_text()


def test_cron_changes_no_other_byte_of_the_crontab(linux: Made) -> None:
    before = CRONTAB.encode("utf-8", "surrogateescape")
    (linux.state / "crontab").write_bytes(before)
    first, second = linux.schedule("a", via="cron"), linux.schedule("b", via="cron", task="stroke")
    for schedule in (first, second):
        install(linux.workspace, linux.machine, schedule, replace=False)
    now = (linux.state / "crontab").read_bytes()
    assert now.endswith(before)
    assert now.count(b"schedule run") == 2
    assert b"the project 100\\%" in now
    assert states(linux) == {"a": "installed", "b": "installed"}
    changed = first.model_copy(update={"cron": "7 7 * * *"})
    install(linux.workspace, linux.machine, changed, replace=True)
    assert (linux.state / "crontab").read_bytes().count(b"\n7 7 * * * cd ") == 1
    for name in ("a", "b"):
        remove(linux.workspace, linux.machine, name)
    assert (linux.state / "crontab").read_bytes() == before


def test_a_crontab_that_there_was_not_is_not_left(linux: Made) -> None:
    install(linux.workspace, linux.machine, linux.schedule(via="cron"), replace=False)
    remove(linux.workspace, linux.machine, "retrain-heart")
    assert not (linux.state / "crontab").exists()


def test_what_the_crontab_says_is_what_a_shell_runs(linux: Made) -> None:
    """cron hands the line to /bin/sh with `\\%` as `%`; the run's own log shows that it came through whole."""
    install(linux.workspace, linux.machine, linux.schedule(via="cron"), replace=False)
    line = (linux.state / "crontab").read_text().split("\n")[1]
    command = line.removeprefix("0 3 * * 1 ").replace("\\%", "%")
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = (schedules.folder_of(linux.workspace, "retrain-heart") / "log.txt").read_text()
    assert f"argv --pipeline retrain --task heart | home {linux.workspace.home} | ledger None" in log
    assert f"cwd {linux.workspace.project}" in log


def test_launchd_gets_a_property_list(mac: Made) -> None:
    schedule = mac.schedule(line="0 3 1 * 1", via="launchd")
    install(mac.workspace, mac.machine, schedule, replace=False)
    path = mac.machine.home / "Library" / "LaunchAgents" / f"org.primum.{schedule.unit}.plist"
    agent = plistlib.loads(path.read_bytes())
    assert agent["ProgramArguments"] == list(schedule.command)
    assert agent["EnvironmentVariables"] == {"PRIMUM_HOME": str(mac.workspace.home)}
    assert agent["WorkingDirectory"] == str(mac.workspace.project)
    assert agent["StartCalendarInterval"] == [
        {"Day": 1, "Hour": 3, "Minute": 0},
        {"Weekday": 1, "Hour": 3, "Minute": 0},
    ]
    assert f"bootstrap gui/501 {path}" in (mac.state / "said").read_text()
    assert states(mac) == {"retrain-heart": "installed"}
    (mac.state / f"loaded-org.primum.{schedule.unit}").unlink()
    assert "launchd does not know it" in states(mac)["retrain-heart"]
    remove(mac.workspace, mac.machine, "retrain-heart")
    assert not path.exists()


@pytest.mark.parametrize("via", ["systemd", "cron"])
def test_the_same_schedule_twice_is_refused_and_nothing_changes(linux: Made, via: Via) -> None:
    install(linux.workspace, linux.machine, linux.schedule(via=via), replace=False)
    before = files(linux.workspace.home), files(linux.machine.home)
    with pytest.raises(
        BadInput, match=r"'retrain-heart' is installed already: retrain heart at '0 3 \* \* 1' by"
    ):
        install(linux.workspace, linux.machine, linux.schedule(line="0 4 * * *", via=via), replace=False)
    with pytest.raises(
        BadInput, match=r"'retrain-heart' runs retrain heart already.*looks in turn.*--replace"
    ):
        install(linux.workspace, linux.machine, linux.schedule("other", via=via), replace=False)
    assert (files(linux.workspace.home), files(linux.machine.home)) == before
    install(linux.workspace, linux.machine, linux.schedule(pipeline="drift", via=via), replace=False)
    assert states(linux) == {"drift-heart": "installed", "retrain-heart": "installed"}


def test_replace_takes_the_others_place_also_in_another_timer(linux: Made) -> None:
    install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    notes = install(linux.workspace, linux.machine, linux.schedule("weekly", via="cron"), replace=True)
    assert "schedule 'retrain-heart' was taken away for it" in notes
    assert states(linux) == {"weekly": "installed"}
    install(linux.workspace, linux.machine, linux.schedule("weekly"), replace=True)
    assert states(linux) == {"weekly": "installed"}
    assert not (linux.state / "crontab").exists()


def test_a_mac_that_refuses_an_agent_keeps_the_earlier_one(mac: Made) -> None:
    install(mac.workspace, mac.machine, mac.schedule(via="launchd"), replace=False)
    install(mac.workspace, mac.machine, mac.schedule(line="0 4 * * *", via="launchd"), replace=True)
    (mac.state / "fails").touch()
    with pytest.raises(Unavailable, match="launchctl bootstrap failed: Bootstrap failed: 5"):
        install(
            mac.workspace, mac.machine, mac.schedule("drift", via="launchd", pipeline="drift"), replace=False
        )
    assert states(mac) == {"retrain-heart": "installed"}


@pytest.mark.parametrize("killed_before", ["enable", "start"])
def test_an_installation_that_was_killed_shows_and_heals(linux: Made, killed_before: str) -> None:
    class Killed(BaseException):
        pass

    def run(words: list[str], stdin: str) -> object:
        if killed_before in words:
            raise Killed
        return linux.machine.run(words, stdin)

    broken = type(linux.machine)(linux.machine.home, "linux", 501, run)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        install(linux.workspace, broken, linux.schedule(), replace=False)
    assert states(linux)["retrain-heart"].startswith("half-installed (the timer is ")
    assert "mend: primum schedule remove retrain-heart" in states(linux)["retrain-heart"]
    install(linux.workspace, linux.machine, linux.schedule(line="0 5 * * *"), replace=False)
    assert states(linux) == {"retrain-heart": "installed"}


def test_a_removal_that_was_killed_shows_and_heals(linux: Made) -> None:
    schedule = linux.schedule(via="cron")
    install(linux.workspace, linux.machine, schedule, replace=False)
    schedules.forget(linux.workspace, schedule.name)
    assert states(linux)["retrain-heart"].startswith("half-installed (no definition that can be read)")
    remove(linux.workspace, linux.machine, "retrain-heart")
    assert states(linux) == {}
    install(linux.workspace, linux.machine, schedule, replace=False)
    text = (linux.state / "crontab").read_text().split("\n")
    (linux.state / "crontab").write_text("\n".join([text[0], text[1], "6 6 * * * mine", ""]))  # end mark lost
    assert "its lines in the crontab were changed" in states(linux)["retrain-heart"]
    install(linux.workspace, linux.machine, schedule, replace=False)
    assert (linux.state / "crontab").read_text().split("\n")[3:] == ["6 6 * * * mine", ""]
    assert states(linux) == {"retrain-heart": "installed"}


def test_a_timer_that_fails_leaves_what_was_there(linux: Made) -> None:
    (linux.state / "fails-enable").touch()
    with pytest.raises(Unavailable, match=r"systemctl --user enable .* failed: Failed: the test says so"):
        install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    assert states(linux) == {}
    (linux.state / "fails-enable").unlink()
    install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    (linux.state / "full").touch()
    with pytest.raises(Unavailable, match="is as it was: crontab: No space left on device"):
        install(linux.workspace, linux.machine, linux.schedule(line="1 1 * * *", via="cron"), replace=True)
    (linux.state / "refuses").touch()
    with pytest.raises(BadInput, match=r"systemd does not take the schedule '1 1 .*Failed to parse"):
        install(linux.workspace, linux.machine, linux.schedule(line="1 1 * * *"), replace=True)
    assert states(linux) == {"retrain-heart": "installed"}
    (linux.state / "refuses").unlink()
    (linux.state / "fails-start").touch()  # for the new one and for the old
    with pytest.raises(Unavailable, match="start"):
        install(linux.workspace, linux.machine, linux.schedule(line="1 1 * * *"), replace=True)
    assert states(linux)["retrain-heart"].startswith("half-installed")
    kept = schedules.read(linux.workspace, "retrain-heart")
    assert (kept.via, kept.cron) == ("systemd", "0 3 * * 1")
    assert not (linux.state / "crontab").exists()


def test_an_unknown_name_is_told_the_nearest(linux: Made) -> None:
    with pytest.raises(BadInput, match="no schedule 'retrain-hart'; none is installed"):
        remove(linux.workspace, linux.machine, "retrain-hart")
    install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    with pytest.raises(BadInput, match="no schedule 'retrain-hart'; did you mean 'retrain-heart'"):
        remove(linux.workspace, linux.machine, "retrain-hart")


def test_another_homes_schedules_are_not_ours(linux: Made) -> None:
    install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    other = type(linux.workspace)(linux.workspace.project, linux.workspace.home / "other")
    assert standing(other, linux.machine, NOW) == []
    with pytest.raises(BadInput, match="none is installed"):
        remove(other, linux.machine, "retrain-heart")


@pytest.mark.parametrize(
    ("programs", "expected"),
    [(LINUX, "systemd"), (("crontab",), "cron"), (("launchctl", "crontab"), "launchd")],
)
def test_the_default_is_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...], expected: str
) -> None:
    assert choose(Made(tmp_path, monkeypatch, programs).machine, None) == expected


def test_no_timer_is_one_line_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Made(tmp_path, monkeypatch, ())
    with pytest.raises(
        Unavailable, match=r"no timer is usable here \(systemd: systemd is not installed, cron: .*\); log in"
    ):
        choose(bare.machine, None)
    with pytest.raises(Unavailable, match="--via cron: cron is not installed; install it"):
        choose(bare.machine, "cron")
    with pytest.raises(Unavailable, match="--via launchd: only a Mac has it"):
        choose(bare.machine, "launchd")


def test_what_cannot_be_asked_is_not_taken_for_half_installed(linux: Made) -> None:
    """Over a connection without a session, an installation by cron must not take the timer's place unasked."""
    install(linux.workspace, linux.machine, linux.schedule(), replace=False)
    (linux.state / "fails-show").touch()
    assert states(linux)["retrain-heart"].startswith("cannot be asked: no systemd user session")
    with pytest.raises(BadInput, match="is installed already"):
        install(linux.workspace, linux.machine, linux.schedule(via="cron"), replace=False)


def test_a_user_whom_cron_refuses(linux: Made) -> None:
    (linux.state / "denied").touch()
    with pytest.raises(Unavailable, match="not allowed to use this program"):
        choose(linux.machine, "cron")
    (linux.state / "fails-show").touch()
    with pytest.raises(Unavailable, match="no timer is usable here"):
        choose(linux.machine, None)


@pytest.mark.parametrize("via", ["systemd", "cron"])
def test_no_secret_is_written_anywhere(linux: Made, via: Via) -> None:
    shell = {"PATH": "/bin", "PRIMUM_LEDGER_URL": "postgresql://me:hunter2@db/l", "WANDB_API_KEY": "hunter2"}
    schedule = make(linux.workspace, None, "retrain", "heart", parse("0 3 * * 1"), via, (), shell, NOW)
    install(linux.workspace, linux.machine, schedule, replace=False)
    notes = secrets(linux.workspace, schedule, shell)
    place = schedules.environment_of(linux.workspace, "retrain-heart")
    assert notes == [
        f"PRIMUM_LEDGER_URL is set here; its runs fail until you write it into {place}",
        f"WANDB_API_KEY of this shell will not be there; what its runs need goes into {place}",
    ]
    everything = b"".join(
        b"".join(files(folder).values()) for folder in (linux.workspace.home, linux.machine.home)
    )
    everything += b"".join(files(linux.state).values())
    assert b"hunter2" not in everything + "".join(notes).encode()
    assert place.stat().st_mode & 0o777 == 0o600
    assert schedules.folder_of(linux.workspace, "retrain-heart").stat().st_mode & 0o777 == 0o700
    place.write_text("PRIMUM_LEDGER_URL='postgresql://me:hunter2@db/l'\nWANDB_API_KEY=x\n")
    install(linux.workspace, linux.machine, schedule, replace=True)
    assert "hunter2" in place.read_text()
    assert secrets(linux.workspace, schedule, shell) == []


def test_a_missed_run_is_seen(linux: Made) -> None:
    install(linux.workspace, linux.machine, linux.schedule(line="0 3 * * *"), replace=False)
    (soon,) = standing(linux.workspace, linux.machine, NOW + timedelta(hours=1))
    assert (soon.missed, soon.outcome, soon.sound) == (None, "has not run yet", True)
    (late,) = standing(linux.workspace, linux.machine, NOW + timedelta(days=2))
    assert late.missed is not None
    assert NOW < late.missed < NOW + timedelta(days=2)
    assert not late.sound


@pytest.mark.parametrize("name", ["Upper", "a b", "../x", "", "-a", "a" * 81])
def test_names_that_cannot_be_a_units(linux: Made, name: str) -> None:
    if name == "":
        assert linux.schedule(name).name == "retrain-heart"
        return
    with pytest.raises(BadInput, match="--name"):
        linux.schedule(name)


def test_a_folder_that_would_end_a_line_is_refused(linux: Made) -> None:
    odd = type(linux.workspace)(linux.workspace.project, linux.workspace.home / "a\nb")
    with pytest.raises(BadInput, match="rename it"):
        make(odd, None, "retrain", "heart", parse("0 3 * * 1"), "cron", (), {}, NOW)
