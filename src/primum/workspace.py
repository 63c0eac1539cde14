"""Where things lie: the project (configs) and the home (data, stores, outputs).

The home is the project's folder unless the environment variable PRIMUM_HOME names another one; tests and
scheduled jobs use that to keep everything they write in a folder of their own.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from primum.errors import Unavailable


@dataclass(frozen=True)
class Workspace:
    """The folders of one installation."""

    project: Path
    home: Path
    ledger_url: str | None = field(default=None, repr=False)
    """A ledger in a database, with its password: from the environment variable PRIMUM_LEDGER_URL only."""

    @property
    def configs(self) -> Path:
        """Task, model, gate and stack files."""
        return self.project / "configs"

    @property
    def state(self) -> Path:
        """Everything Primum keeps: ledger, bundles, work in progress, ZenML's store."""
        return self.home / ".primum"

    @property
    def ledger(self) -> str | Path:
        """The holdouts' looks and all decisions: a database's address, or a SQLite file."""
        return self.ledger_url or self.state / "ledger.sqlite"

    @property
    def bundles(self) -> Path:
        """Registered adapter bundles, one folder per content hash."""
        return self.state / "bundles"

    @property
    def zenml(self) -> Path:
        """ZenML's configuration and database."""
        return self.state / "zenml"

    @property
    def jobs(self) -> Path:
        """Folders of the jobs that run now."""
        return self.state / "jobs"

    def work(self, task: str) -> Path:
        """Checkpoints and intermediate files of a task; safe to delete between runs."""
        return self.state / "work" / task


def find_workspace() -> Workspace:
    """The project this package was installed from, and its home."""
    project = Path(__file__).resolve().parents[2]
    home = Path(os.environ.get("PRIMUM_HOME", project)).expanduser().resolve()
    return Workspace(project=project, home=home, ledger_url=os.environ.get("PRIMUM_LEDGER_URL") or None)


def writable(folder: Path, what: str) -> Path:
    """Create `folder` and prove that it can be written to. Raises Unavailable with the mend."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"x")
        finally:
            probe.unlink(missing_ok=True)  # on a full disk an empty file is made
    except OSError as error:
        raise Unavailable(
            f"{what} {folder} cannot be written ({error.strerror}); choose another folder"
        ) from None
    return folder


@contextmanager
def only_run(workspace: Workspace, task: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the task's lock: a second run of the same task waits, and says so once."""
    words = f"another run of task '{task}' is going on; waiting for it to end (Ctrl-C to give up)"
    with held(workspace, task, words, say):
        yield


@contextmanager
def held(workspace: Workspace, name: str, words: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock `name` of this home; where another process has it, say `words` once and wait."""
    from filelock import FileLock, Timeout

    folder = writable(workspace.state / "locks", "the state folder")
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(words)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=1)
            except Timeout:
                time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


def git_revision(folder: Path) -> str:
    """The commit of `folder`, with `+changes` where the tree differs from it; `none` outside git."""

    def git(*words: str) -> str:
        return subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        revision = git("rev-parse", "HEAD")
        return f"{revision}+changes" if git("status", "--porcelain", "--untracked-files=no") else revision
    except (OSError, subprocess.SubprocessError):
        return "none"
