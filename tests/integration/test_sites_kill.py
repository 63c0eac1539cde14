"""SIGKILL at one event after another of a retraining: it ends as an undisturbed one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_retraining_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    project: Path, tmp_path: Path
) -> None:
    """Before or after each write of journal, ledger, registry and split store."""
    script = Path(__file__).with_name("site_kills.py")
    done = subprocess.run(
        [sys.executable, str(script), str(project), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    undisturbed, (run,) = said["undisturbed"], said["runs"]
    assert run["kills"] > 6
    assert run["found"]["outcomes"] == undisturbed["outcomes"]
    assert run["found"]["ledger"] == undisturbed["ledger"]  # every look once, in the same order
    assert run["found"]["versions"] == undisturbed["versions"]
    assert {o["site"] for o in undisturbed["outcomes"]} == {"north", "south"}
    assert {"look", "decision", "promotion"} == {entry[0] for entry in undisturbed["ledger"]}
