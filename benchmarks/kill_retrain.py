"""Does a retraining that is killed end as an undisturbed one does? The real command, SIGKILL at random moments.

    python benchmarks/kill_retrain.py [--kills 20] [--seed 0] [--out benchmarks/results]

A made-up cohort at two hospitals (one shifted, one with many new labels) with the fake backend. The command and
all that it started are killed and started again until it ends; then its home is set back and the next cycle
begins, until so many kills are reached. Compared are versions and stages (by content hash), the order of the
ledger's entries, and every number of the sites' outcomes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
CONFIG = {"gate.balance.required": False, "gate.resamples": 200, "retrain.min_new_labels": 200}


def environment(home: Path) -> dict[str, str]:
    """A home of its own."""
    own = {"PRIMUM_HOME": str(home), "ZENML_CONFIG_PATH": str(home / ".primum" / "zenml")}
    return {**os.environ, **own, "OMP_NUM_THREADS": "1"}


def start(home: Path, pipeline: str, at: str) -> subprocess.Popen[bytes]:
    """The real command, in a process group of its own."""
    changes = [word for key, value in CONFIG.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    words = [
        "run.py",
        "--pipeline",
        pipeline,
        "--config",
        str(home.parent / "run.yaml"),
        "--at",
        at,
        *changes,
    ]
    with (home.parent / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment(home),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def found(home: Path) -> dict[str, Any]:
    """Versions, ledger and outcomes as they stand; read by a process of its own, as the home is set back."""
    code = (
        "import json; from primum.stack.store import bootstrap; from primum.workspace import find_workspace; "
        "from site_kills import state; w = find_workspace(); bootstrap(w); print(json.dumps(state(w)))"
    )
    paths = os.pathsep.join(sys.path)
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(home) | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    state: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    reports = sorted((home / "outputs").glob("wards/retrain-*/retrain.json"))
    outcomes = [json.loads(path.read_text())["outcomes"] for path in reports]
    # A kill after the cycle's end makes the rerun a cycle of its own, with nothing due.
    return state | {"outcomes": next((o for o in reversed(outcomes) if o), [])}


def main() -> None:
    """Kill, run again, compare, write down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="primum-kills-") as folder:
        measure(Path(folder), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """The whole comparison in `folder`."""
    import pandas as pd
    from site_kills import AFTER, BEFORE
    from site_worlds import cohort, months, write_task

    home, kept = folder / "home", folder / "kept"
    before = cohort(BEFORE, months("2020-01", 12))
    write_task(folder, pd.concat([before, cohort(AFTER, months("2021-01", 6), start=100_000)]))
    if start(home, "finetune", "2020-12-31").wait():
        raise SystemExit((folder / "said.txt").read_text()[-2000:])
    shutil.copytree(home, kept, symlinks=True)
    began = time.monotonic()
    if start(home, "retrain", "2021-06-30").wait():
        raise SystemExit((folder / "said.txt").read_text()[-2000:])
    seconds, undisturbed = time.monotonic() - began, found(home)
    drawn = random.Random(arguments.seed)  # noqa: S311 - moments, not secrets
    kills, cycles, different, failed = 0, 0, [], 0
    while kills < arguments.kills:
        shutil.rmtree(home)
        shutil.copytree(kept, home, symlinks=True)
        cycles, whole = cycles + 1, True
        while True:
            began, run = time.monotonic(), start(home, "retrain", "2021-06-30")
            try:
                code = run.wait(drawn.uniform(0.05, 1) * seconds if kills < arguments.kills else None)
                break
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                kills, whole = kills + 1, False
        if whole:  # the machine may be busy at one time and idle at another
            seconds = min(seconds, time.monotonic() - began)
        failed += code != 0
        again = found(home)
        different += [f"cycle {cycles}: {what}" for what in undisturbed if again[what] != undisturbed[what]]
        print(f"cycle {cycles}: {kills} kills so far; different: {different or 'nothing'}", flush=True)
    looks = sum(entry[0] == "look" for entry in undisturbed["ledger"])
    record.write(
        "kill_retrain",
        [
            record.row(
                f"reruns of {cycles} cycles with {kills} kills that failed", failed, None, "0", not failed
            ),
            record.row(
                "versions, ledgers or outcomes that differ from the undisturbed run's",
                len(different),
                None,
                "0",
                not different,
            ),
        ],
        ("zenml", "dvc"),
        arguments.out,
        seed=arguments.seed,
        seconds_undisturbed=round(seconds, 1),
        looks_and_decisions={"looks": looks, "entries": len(undisturbed["ledger"])},
        different=different,
        outcomes=[{key: o[key] for key in ("site", "action", "verdict")} for o in undisturbed["outcomes"]],
    )


if __name__ == "__main__":
    main()
