"""What of the environment, the stores and the devices works, and how to mend the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from primum.errors import PrimumError
from primum.workspace import Workspace, git_revision, writable

State = Literal["ok", "optional", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    detail: str
    mend: str = ""


def examine(workspace: Workspace) -> list[Finding]:
    """Look at everything. A check that raises becomes a `broken` finding."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "libraries": _libraries,
        "state folder": lambda: _folder(workspace),
        "free disk": lambda: _disk(workspace),
        "git": lambda: _git(workspace),
        "configuration": lambda: _configs(workspace),
        "base model": lambda: _base(workspace),
        "DVC": lambda: _dvc(workspace),
        "ZenML store": lambda: _zenml(workspace),
        "ledger": lambda: _ledger(workspace),
        "CPU": _cpu,
        "CUDA": _cuda,
        "NF4": lambda: _optional(
            "NF4", "bitsandbytes", "pip install -e '.[cuda]', for model.quantisation: nf4"
        ),
        "DeepSpeed": lambda: _optional(
            "DeepSpeed", "deepspeed", "pip install -e '.[deepspeed]', for sharding: zero3"
        ),
        "MLX": _mlx,
        "backend: auto": _auto,
        "ssh": _ssh,
        "schedules": lambda: _schedules(workspace),
    }
    return [_run(what, check) for what, check in checks.items()]


def _run(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except PrimumError as error:
        return Finding(what, "broken", str(error))
    except Exception as error:
        return Finding(what, "broken", type(error).__name__, "run `make setup` again")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("python", "ok", version)
    return Finding("python", "broken", version, "use Python 3.11, 3.12 or 3.13")


def _libraries() -> Finding:
    names = ("zenml", "dvc", "torch", "transformers", "peft", "trl", "scikit-learn", "pandera")
    missing = [n for n in names if not _installed(n)]
    if missing:
        return Finding("libraries", "broken", f"missing: {', '.join(missing)}", "run `make setup`")
    return Finding("libraries", "ok", ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names))


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _folder(workspace: Workspace) -> Finding:
    return Finding("state folder", "ok", str(writable(workspace.state, "the state folder")))


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.home).free / 2**30
    if free < 1:
        return Finding("free disk", "broken", f"{free:.1f} GiB", "free at least 1 GiB")
    return Finding("free disk", "ok", f"{free:.0f} GiB")


def _git(workspace: Workspace) -> Finding:
    revision = git_revision(workspace.project)
    if revision == "none":
        return Finding("git", "broken", "the project is not a git checkout", "git init && git commit")
    return Finding("git", "ok", revision[:12] + ("+changes" if revision.endswith("+changes") else ""))


def _configs(workspace: Workspace) -> Finding:
    from primum.config import SECTIONS, load_run

    load_run(workspace.configs)
    for section, folder in SECTIONS.items():
        for file in sorted((workspace.configs / folder).glob("*.yaml")):
            load_run(workspace.configs, overrides={section: file.stem})
    tasks = sorted(p.stem for p in (workspace.configs / "tasks").glob("*.yaml"))
    return Finding("configuration", "ok", f"tasks: {', '.join(tasks)}")


def _base(workspace: Workspace) -> Finding:
    from primum.backends import open_backend
    from primum.config import load_run

    config = load_run(workspace.configs)
    backend = open_backend(config.model, config.stack, workspace.project)
    return Finding("base model", "ok", f"{backend.base_id} {backend.base_hash[:12]}")


def _dvc(workspace: Workspace) -> Finding:
    from primum.versioning import ensure_repo

    ensure_repo(workspace.home)
    return Finding("DVC", "ok", str(workspace.home / ".dvc"))


def _zenml(workspace: Workspace) -> Finding:
    from primum.stack.store import bootstrap, store_url

    bootstrap(workspace)
    from primum.stack.setup import describe

    return Finding("ZenML store", "ok", f"{store_url()}, stack {dict(describe())['stack']}")


def _ledger(workspace: Workspace) -> Finding:
    from primum.ledger import Ledger

    with closing(Ledger.open(workspace.ledger)) as ledger:
        problems = ledger.verify()
        count = len(ledger.entries())
    if problems:
        return Finding(
            "ledger", "broken", problems[0], "restore the ledger from a backup; nothing is promoted"
        )
    return Finding("ledger", "ok", f"{count} entries, chain intact")


def _cpu() -> Finding:
    return Finding("CPU", "ok", f"{os.cpu_count()} cores")


def _cuda() -> Finding:
    from primum.backends import cuda_devices

    found = [f"{d.index}: {d.name}, {d.memory / 2**30:.0f} GiB" for d in cuda_devices()]
    if not found:
        return Finding(
            "CUDA", "optional", "no device is visible", "run on a machine with an NVIDIA GPU and its driver"
        )
    return Finding("CUDA", "ok", "; ".join(found))


def _mlx() -> Finding:
    if importlib.util.find_spec("mlx_lm") is None:
        mend = "pip install -e '.[mlx]' on a Mac with Apple silicon"
        return Finding("MLX", "optional", "not installed", mend)
    metal = "Metal" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "the CPU only"
    return Finding("MLX", "ok", f"mlx-lm {importlib.metadata.version('mlx-lm')}, on {metal}")


def _auto() -> Finding:
    from primum.config import StackConfig
    from primum.jobs.devices import resolve_stack

    return Finding("backend: auto", "ok", f"takes {resolve_stack(StackConfig(backend='auto')).backend}")


def _ssh() -> Finding:
    if shutil.which("ssh") is None:
        return Finding("ssh", "optional", "no client", "install OpenSSH, to train on another machine")
    return Finding("ssh", "ok", str(shutil.which("ssh")))


def _schedules(workspace: Workspace) -> Finding:
    from primum.timer.machine import this_machine
    from primum.timer.standing import standing

    found = standing(workspace, this_machine(), datetime.now(UTC))
    wrong = [s for s in found if not s.sound]
    if wrong:
        missed = f", missed {wrong[0].missed:%Y-%m-%d %H:%M}" if wrong[0].missed else ""
        state = "" if wrong[0].state == "installed" else f"{wrong[0].state}; "
        detail = f"{wrong[0].name}: {state}{wrong[0].outcome}{missed}"
        return Finding(
            "schedules", "broken", detail, "primum schedule list; the schedule's log.txt says more"
        )
    words = [f"{s.name} ({s.outcome}{f' {s.last.began:%Y-%m-%d}' if s.last else ''})" for s in found]
    return Finding("schedules", "ok", ", ".join(words) or "none installed")


def _optional(what: str, module: str, mend: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(what, "optional", "not installed", mend)
    return Finding(what, "ok", f"{module} is installed")
