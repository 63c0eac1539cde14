"""Folders, locks and the git revision."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from primum.errors import Unavailable
from primum.workspace import Workspace, find_workspace, git_revision, only_run, writable


def test_home_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path))
    found = find_workspace()
    assert found.home == tmp_path
    assert found.ledger == tmp_path / ".primum" / "ledger.sqlite"
    assert (found.project / "run.py").exists()


def test_a_second_run_of_the_same_task_waits_and_says_so(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    said: list[str] = []
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        def say(text: str) -> None:
            said.append(text)
            waiting.set()

        with only_run(workspace, "t", say):
            order.append("second")

    with only_run(workspace, "t", said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "another run of task 't'" in said[0]


def test_another_task_does_not_wait(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    with only_run(workspace, "a", pytest.fail), only_run(workspace, "b", pytest.fail):
        pass


def test_writable_creates_or_refuses(tmp_path: Path) -> None:
    assert writable(tmp_path / "a" / "b", "x").is_dir()
    (tmp_path / "f").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        writable(tmp_path / "f" / "g", "the output folder")


def test_git_revision_tells_a_changed_tree(tmp_path: Path) -> None:
    assert git_revision(tmp_path) == "none"

    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "x")
    clean = git_revision(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_revision(tmp_path) == f"{clean}+changes"
