"""The doctor on real stores: what works, what does not, and how to mend it."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from primum.doctor import _configs, _run, examine
from primum.ledger import Ledger
from primum.workspace import Workspace


def test_a_sound_installation_has_nothing_broken(project: Path, tmp_path: Path) -> None:
    findings = {f.what: f for f in examine(Workspace(project=project, home=tmp_path))}
    assert [f for f in findings.values() if f.state == "broken"] == []
    assert findings["ledger"].detail == "0 entries, chain intact"
    assert "primum-base" in findings["base model"].detail
    assert "breast_cancer" in findings["configuration"].detail
    assert findings["backend: auto"].detail.removeprefix("takes ") in ("cpu", "cuda", "mlx")
    assert findings["ZenML store"].detail.endswith(", stack default")
    for optional in (f for f in findings.values() if f.state == "optional"):
        assert optional.mend.startswith(("pip install", "run on a machine", "install OpenSSH"))


def test_an_altered_ledger_and_missing_configs_are_found(project: Path, tmp_path: Path) -> None:
    workspace = Workspace(project=tmp_path / "elsewhere", home=tmp_path)
    ledger = Ledger.open(workspace.ledger)
    ledger.record("note", task="t", site="all", payload={"a": 1}, now=datetime(2026, 1, 1, tzinfo=UTC))
    ledger.close()
    with sqlite3.connect(workspace.ledger) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE primum_ledger SET task = 'other' WHERE position = 1")
    broken = {f.what for f in examine(workspace) if f.state == "broken"}
    assert {"ledger", "configuration", "git"} <= broken


def test_a_stack_file_that_no_run_has_used_yet_is_read_too(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "stacks" / "studio.yaml").write_text("backend: mlx\nremote: {user: me}\n")
    finding = _run("configuration", lambda: _configs(Workspace(project=tmp_path, home=tmp_path)))
    assert (finding.state, "stack.remote.host` is missing" in finding.detail) == ("broken", True)
