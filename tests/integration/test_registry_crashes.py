"""A kill between any two steps: the next call ends what was begun, and nothing is promoted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_samples import NOW, decide, kinds, make_bundle, register

from primum import registry
from primum.errors import Tampered
from primum.ledger import Ledger
from primum.registry import healing, stages, store
from primum.stack.store import bootstrap
from primum.workspace import Workspace


class Killed(BaseException):
    """Nothing in the code catches it, as nothing catches a SIGKILL."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Workspace:
    found = Workspace(project=project, home=tmp_path_factory.mktemp("crashes"))
    bootstrap(found)
    return found


def kill(after: bool, inner: Callable[..., Any]) -> Callable[..., Any]:
    def dies(*args: Any, **kwargs: Any) -> Any:
        if after:
            inner(*args, **kwargs)
        raise Killed

    return dies


def client_method(name: str) -> tuple[Any, str]:
    from zenml.client import Client

    return Client, name


STEPS: dict[str, Callable[[], tuple[Any, str]]] = {
    "the bundle": lambda: (stages, "keep_bundle"),
    "the card": lambda: (stages, "write_model_card"),
    "the model": lambda: client_method("create_model"),
    "the version": lambda: client_method("create_model_version"),
    "its record": lambda: (store, "add"),
    "the ledger's entry": lambda: (Ledger, "record_once"),
    "the stage": lambda: (store, "to_production"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_registration_that_was_killed_ends_as_an_undisturbed_one(
    workspace: Workspace, tmp_path: Path, step: str, after: bool
) -> None:
    task = f"{step}-{after}".replace(" ", "-").replace("'", "")
    bundle = make_bundle(tmp_path, task, 1)
    decision = decide(workspace, bundle, "PROMOTE")
    owner, name = STEPS[step]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, kill(after, getattr(owner, name)))
        with pytest.raises(Killed):
            registry.register(workspace, bundle, decision, NOW, "card")
    for _ in range(2):
        made = registry.register(workspace, bundle, decision, NOW, "card")
        assert (made.number, made.stage, made.anchor) == (1, "production", True)
    assert kinds(workspace, task) == ["decision", "promotion"]
    assert len(registry.versions(task)) == 1


def test_a_kill_between_anchor_and_stage_makes_no_other_version_the_anchor(
    workspace: Workspace, tmp_path: Path
) -> None:
    real = store._update

    def update(chosen: registry.RegisteredVersion, **changes: Any) -> Any:
        if "stage" in changes:
            raise Killed
        return real(chosen, **changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_update", update)
        with pytest.raises(Killed):
            register(workspace, tmp_path, "between", 1, "PROMOTE")
    register(workspace, tmp_path, "between", 2, "PROMOTE")
    anchor = registry.anchor("between", "all")
    assert anchor is not None
    assert anchor.number == 1
    champion = registry.champion("between", "all")
    assert champion is not None
    assert champion.number == 2
    assert [e.number for e in registry.history("between", "all", workspace=workspace)] == [2, 2, 1, 1]


@pytest.mark.parametrize("action", ["rollback", "retire"])
def test_a_rollback_or_retirement_that_was_killed_is_ended_and_not_done_twice(
    workspace: Workspace, tmp_path: Path, action: str
) -> None:
    task = f"killed-{action}"
    for salt in (1, 2, 3):
        register(workspace, tmp_path, task, salt, "PROMOTE", site="north")

    def act() -> registry.RegisteredVersion:
        if action == "rollback":
            return registry.rollback(workspace, task, "north", NOW)
        return registry.retire(workspace, task, "north", NOW, "w")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "to_production", kill(False, lambda: None))
        patch.setattr(store, "to_archive", kill(False, lambda: None))
        with pytest.raises(Killed):
            act()
    assert registry.version(task, "north", 3).stage == "production"  # the stage lags behind the ledger
    before = kinds(workspace, task)
    done = act()
    assert kinds(workspace, task) == before
    assert (done.number, done.stage) == ((2, "production") if action == "rollback" else (3, "archived"))


def test_what_was_killed_is_healed_before_a_run_builds_on_it(workspace: Workspace, tmp_path: Path) -> None:
    register(workspace, tmp_path, "run", 1, "PROMOTE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "to_production", kill(False, lambda: None))
        with pytest.raises(Killed):
            register(workspace, tmp_path, "run", 2, "PROMOTE")
    registry.require_ledger(workspace, "run", "all")
    assert [v.stage for v in registry.versions("run", "all")] == ["production", "archived"]
    healed = registry.heal(workspace, "run", "all")
    assert healed is not None
    assert healed.number == 2


def test_a_stage_that_was_set_by_hand_is_made_what_the_ledger_says(
    workspace: Workspace, tmp_path: Path
) -> None:
    held = register(workspace, tmp_path, "hand", 1, "HOLD")
    store.to_production(held)
    assert registry.heal(workspace, "hand", "all") is None
    assert registry.champion("hand", "all") is None
    empty = Workspace(project=workspace.project, home=tmp_path / "other")
    promoted = register(workspace, tmp_path, "hand", 2, "PROMOTE")
    with pytest.raises(Tampered, match="restore the ledger"):  # a lost ledger does not empty production
        registry.heal(empty, "hand", "all")
    assert registry.champion("hand", "all") == promoted


def test_a_version_that_the_registry_lost_is_named(workspace: Workspace, tmp_path: Path) -> None:
    from zenml.client import Client

    register(workspace, tmp_path, "lost", 1, "PROMOTE")
    Client().delete_model("lost.all")
    with pytest.raises(Tampered, match=r"lost@all v1 is in production.*restore ZenML's store"):
        registry.heal(workspace, "lost", "all")


def test_a_decision_that_was_overtaken_promotes_nothing(
    workspace: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path, "overtaken", 1)
    decision = decide(workspace, bundle, "PROMOTE")
    register(workspace, tmp_path, "overtaken", 2, "PROMOTE")
    late = registry.register(workspace, bundle, decision, NOW)
    assert (late.outcome, late.stage) == ("PROMOTE", None)
    assert "another version was promoted after the decision on it" in capfd.readouterr().err
    champion = registry.champion("overtaken", "all")
    assert champion is not None
    assert champion.number == 1
    assert registry.promote(workspace, late, NOW).stage == "production"  # a person may


def test_a_version_that_was_rolled_back_does_not_come_again_with_its_run(
    workspace: Workspace, tmp_path: Path
) -> None:
    register(workspace, tmp_path, "rerun", 1, "PROMOTE")
    bundle = make_bundle(tmp_path, "rerun", 2)
    decision = decide(workspace, bundle, "PROMOTE")
    registry.register(workspace, bundle, decision, NOW)
    registry.rollback(workspace, "rerun", "all", NOW)
    assert registry.register(workspace, bundle, decision, NOW).stage == "archived"


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from registry_samples import NOW, decide, make_bundle
from primum import registry
from primum.registry import store
from primum.stack.store import bootstrap
from primum.workspace import find_workspace
workspace = find_workspace()
bootstrap(workspace)
bundle = make_bundle(Path(sys.argv[2]), "sigkill", 1)
store.to_production = lambda chosen: os.kill(os.getpid(), signal.SIGKILL)
registry.register(workspace, bundle, decide(workspace, bundle, "PROMOTE"), NOW)
"""


def test_a_sigkill_between_ledger_and_stage_is_healed_by_the_next_process(
    workspace: Workspace, tmp_path: Path
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)],
        env={**os.environ, "PRIMUM_HOME": str(workspace.home)},
        check=False,
        timeout=120,
    )
    assert dead.returncode == -signal.SIGKILL
    assert registry.champion("sigkill", "all") is None
    assert kinds(workspace, "sigkill") == ["decision", "promotion"]
    healed = healing.heal(workspace, "sigkill", "all")
    assert healed is not None
    assert (healed.number, healed.stage, healed.anchor) == (1, "production", True)
    assert kinds(workspace, "sigkill") == ["decision", "promotion"]
