"""Kills a retraining at chosen events, runs it again until it ends, and says what came of it (JSON on stdout).

A process of its own that imports everything once and forks: nothing of the tests' process is in the children.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
from site_worlds import cohort, first_champion, months, retrain, write_task

from primum import baselines, journal, registry, selection, versioning
from primum.config import RunConfig, load_run
from primum.ledger import Ledger
from primum.moments import ends
from primum.registry import stages, store
from primum.sites import cycle, recalibration, retraining
from primum.stack.store import bootstrap
from primum.workspace import Workspace

BEFORE = {"north": (30, 0.0), "south": (30, 0.0)}
AFTER = {"north": (60, 0.0), "south": (60, -1.6)}
STEPS: list[tuple[Any, str]] = [
    (journal, "keep"),
    (cycle, "keep"),
    (Ledger, "_write"),
    (store, "add"),
    (store, "_update"),
    (stages, "keep_bundle"),
    (stages, "write_model_card"),
    (versioning, "_publish"),
    (versioning, "_copy"),
    (selection, "write_bundle"),
    (recalibration, "write_bundle"),
    (cycle, "drop"),
]
"""What changes something that outlives the process."""


def main(project: str, folder: str, kills: str = "") -> None:
    """Build the world and run it undisturbed; then again, killed at one event after another until it ends.

    With `kills` so many runs are killed once instead, at events that are spread over the run.
    """
    workspace = Workspace(project=Path(project), home=Path(folder) / "home")
    os.environ["PRIMUM_HOME"] = str(workspace.home)
    os.environ["ZENML_CONFIG_PATH"] = str(workspace.zenml)
    preload()
    quicken()
    records = pd.concat(
        [cohort(BEFORE, months("2020-01", 12)), cohort(AFTER, months("2021-01", 6), start=100_000)]
    )
    file = write_task(Path(folder), records)

    def config(at: str) -> RunConfig:
        # The gate's own strictness is not what is tested: its verdicts must only be the same ones.
        eased = {"gate.balance.required": False, "gate.resamples": 200, "retrain.min_new_labels": 200}
        return load_run(workspace.configs, file, {"at": ends(at), **eased})

    def build() -> None:
        bootstrap(workspace)
        first_champion(workspace, config("2020-12-31"))

    def run(kill_at: int | None) -> None:
        bootstrap(workspace)
        happened = watched(kill_at)
        outcomes = [o.model_dump(mode="json") for o in retrain(workspace, config("2021-06-30")).outcomes]
        found = {"outcomes": outcomes, **state(workspace), "events": happened}
        (Path(folder) / "found.json").write_text(json.dumps(found), encoding="utf-8")

    def found() -> dict[str, Any]:
        read: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
        return read

    assert forked(build) == 0
    kept = Path(folder) / "kept"
    shutil.copytree(workspace.home, kept, symlinks=True)
    assert forked(lambda: run(None)) == 0
    undisturbed = found()
    events, count = undisturbed.pop("events"), int(kills or 0)
    last = events.index("before drop", 1)  # what comes after it is the next cycle
    spread = [1 + i * last // max(1, count - 1) for i in range(count)]
    runs = []
    for first in spread or [4]:
        shutil.rmtree(workspace.home)
        shutil.copytree(kept, workspace.home, symlinks=True)
        at, killed = first, 0
        while (code := forked(lambda at=at: run(at))) == -signal.SIGKILL:
            killed, at = killed + 1, sys.maxsize if spread else at + 1
        assert code == 0
        again = found()
        again.pop("events")
        runs.append({"at": first, "event": events[first - 1], "kills": killed, "found": again})
    print(json.dumps({"undisturbed": undisturbed, "events": events, "runs": runs}))


def forked(work: Callable[[], None]) -> int:
    """Run in a child; its exit code, negative where a signal ended it."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(2, 1)  # what is printed there is not the answer
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def watched(kill_at: int | None) -> list[str]:
    """Count what happens from here on, before and after each step; die at event `kill_at`."""
    happened: list[str] = []

    def tick(what: str) -> None:
        happened.append(what)
        if len(happened) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            tick(f"before {name}")
            result = inner(*args, **kwargs)
            tick(f"after {name}")
            return result

        setattr(owner, name, outer)

    for owner, name in STEPS:
        wrap(owner, name)
    return happened


def state(workspace: Workspace) -> dict[str, Any]:
    """What registry and ledger hold, less what depends on the clock."""
    with closing(Ledger.open(workspace.ledger)) as ledger:
        entries = ledger.entries()
    ledger_rows = [[e.kind, e.site, e.holdout, *told(e.kind, e.payload)] for e in entries]
    versions = [[v.name, v.stage, v.anchor, v.outcome, v.bundle_sha256] for v in registry.versions()]
    return {"ledger": ledger_rows, "versions": versions}


def told(kind: str, payload: Any) -> list[Any]:
    """What an entry says."""
    if kind == "decision":
        verdict = payload["verdict"]
        return [verdict["outcome"], verdict["evidence"]["candidate"], verdict["evidence"]["look"]["number"]]
    return [payload.get(key) for key in ("number", "candidate", "version", "bundle", "from", "to")]


def preload() -> None:
    """Import what is imported late: once for all children."""
    for name in ("evidently", "zenml.client", "zenml.zen_stores.sql_zen_store", "dvc.repo", "dvc.api"):
        importlib.import_module(name)


def quicken() -> None:
    """One setting of each plain model, fewer trees and resamples: what is tested here is not them."""
    grid, few = baselines._grid, {"random_forest": {"trees": 5}}
    quick: dict[str, Any] = {
        "_grid": lambda name: iter([next(grid(name)) | few.get(name, {})]),
        "RESAMPLES": 100,
        "git_revision": lambda _: "none",
    }
    for name, value in quick.items():
        setattr(baselines if name == "_grid" else retraining, name, value)


if __name__ == "__main__":
    main(*sys.argv[1:])
