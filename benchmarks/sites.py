"""How long does it take to watch many sites, and does it grow with their number alone?

    python benchmarks/sites.py [--sites 10 25 50] [--out benchmarks/results]

Made-up hospitals with about 500 records each and the fake backend, so that what is measured is everything but a
model's scoring: reading the source, drift reports, the live champion against its gate, the plan, and the pages.
Each number of sites has a home and a process of its own. Processor seconds are compared, as the machine may be
busy; wall seconds stand beside them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
LEFT_OUT = ("balance", "subgroups", "calibration", "not_worse_than_classical")
EASED = {
    f"gate.{check}.required": False for check in LEFT_OUT
}  # a first champion, not its quality, is needed


def one(folder: Path, count: int) -> dict[str, float]:
    """Watch, plan and write the pages of `count` sites; a first run fills the caches of imports and scores."""
    import pandas as pd
    from site_worlds import cohort, first_champion, months, write_task

    from primum.backends import open_backend
    from primum.config import load_run
    from primum.moments import ends
    from primum.reports.watch import write_watch
    from primum.schedule import plan
    from primum.sites.champions import Scorer
    from primum.sites.facts import gather
    from primum.sites.watching import watch
    from primum.stack.store import bootstrap
    from primum.workspace import Workspace

    workspace = Workspace(project=ROOT, home=folder / "home")
    names = [f"hospital {i:04d}" for i in range(count)]
    before = cohort(dict.fromkeys(names, (20, 0.0)), months("2020-01", 12))
    shifted = {name: (43, -1.6 if i % 10 == 0 else 0.0) for i, name in enumerate(names)}
    records = pd.concat([before, cohort(shifted, months("2021-01", 6), start=1_000_000)])
    file = write_task(folder, records)
    bootstrap(workspace)
    first_champion(workspace, load_run(workspace.configs, file, {"at": ends("2020-12-31"), **EASED}))
    at = ends("2021-06-30")
    config = load_run(workspace.configs, file, {"at": at, **EASED})
    found: dict[str, float] = {}
    for turn in ("cold", "warm"):
        out, marks = folder / turn, [(time.process_time(), time.monotonic())]
        scorer = Scorer(workspace, open_backend(config.model, config.stack, ROOT))
        run = watch(workspace, config, scorer, at=at, since=None, out=out, records=out / "records")
        marks.append((time.process_time(), time.monotonic()))
        facts = gather(workspace, config, run, scorer, at, out / "records")
        plans = [plan(one, config.retrain, at) for one in facts]
        marks.append((time.process_time(), time.monotonic()))
        write_watch(out, run)
        marks.append((time.process_time(), time.monotonic()))
        cpu = [b[0] - a[0] for a, b in itertools.pairwise(marks)]
        found |= {f"{turn} {what}": s for what, s in zip(("watch", "plan", "pages"), cpu, strict=True)}
        found |= {f"{turn} cpu": sum(cpu), f"{turn} wall": marks[-1][1] - marks[0][1]}
    found["records"] = len(records)
    found["alarms"] = sum(report.status == "alarm" for report in run.reports)
    found["due"] = sum(p.action in ("recalibrate", "retrain") for p in plans)
    found["GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def child(count: int) -> dict[str, float]:
    """`one` in a process and a home of its own."""
    with tempfile.TemporaryDirectory(prefix="primum-sites-") as folder:
        own = {"PRIMUM_HOME": f"{folder}/home", "ZENML_CONFIG_PATH": f"{folder}/home/.primum/zenml"}
        said = subprocess.run(
            [sys.executable, __file__, "--one", str(count), "--folder", folder],
            env={**os.environ, **own, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if said.returncode:
        raise SystemExit(said.stderr[-2000:])
    result: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure every number of sites, compare, write down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.folder, arguments.one)))
        return
    load = os.getloadavg()[0]
    measured: dict[int, dict[str, Any]] = {count: child(count) for count in arguments.sites}
    few, many = min(measured), max(measured)
    least, most = measured[few], measured[many]
    per_site = (most["warm cpu"] - least["warm cpu"]) / max(1, many - few)
    thousand = most["warm cpu"] + per_site * (1000 - many)
    growth = (most["warm cpu"] / many) / (least["warm cpu"] / few)
    record.write(
        "sites",
        [
            record.row(
                f"processor seconds a site at {many} sites against {few}, ratio",
                growth,
                None,
                "<= 1.2",
                growth <= 1.2,
            ),
            record.row(f"peak memory at {many} sites, GiB", most["GiB"], None, "< 2", most["GiB"] < 2),
            record.row(
                f"processor seconds, {many} sites x 500 records: watch, plan, pages",
                most["warm cpu"],
                None,
                "measured",
                True,
            ),
            record.row(
                "the same at 1,000 sites, extrapolated", thousand, None, "one run, < 3600", thousand < 3600
            ),
        ],
        ("evidently", "zenml", "scikit-learn"),
        arguments.out,
        measured={str(count): {k: round(v, 3) for k, v in m.items()} for count, m in measured.items()},
        load_average={"before": round(load, 1), "after": round(os.getloadavg()[0], 1)},
    )
    print((arguments.out / "sites.json").read_text())


if __name__ == "__main__":
    main()
