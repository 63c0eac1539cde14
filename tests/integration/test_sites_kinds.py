"""Tasks of other kinds: without sites or times, with three classes and free text, several visits a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from site_worlds import first_champion, retrain

from primum import registry
from primum.config import GateConfig, RunConfig, load_run
from primum.rotation import kept_to_judge
from primum.stack.store import bootstrap
from primum.versioning import find_version, load_part
from primum.workspace import Workspace

CLASSES = ("low", "middle", "high")
WORDS = [
    f"{a}{b}" for a in ("ren", "cor", "der", "pul", "oss", "hep") for b in ("al", "ic", "um", "itis", "oma")
]


def visits(patients: int, start: int, harder: float) -> pd.DataFrame:
    """Two visits a patient; `harder` shifts how often each class occurs."""
    rng = np.random.default_rng([7, start])
    rows: list[dict[str, Any]] = []
    for i in range(patients):
        level = int(np.clip(round(rng.normal(1 + harder, 0.9)), 0, 2))
        for visit in range(2):
            sign = level if rng.random() < 0.75 else int(rng.integers(3))
            rows.append(
                {
                    "id": f"v{start + i}-{visit}",
                    "who": f"p{start + i}",
                    "sign": ("absent", "faint", "loud")[sign],
                    "age": round(float(rng.normal(60, 10)), 3),
                    "note": " ".join(rng.choice(WORDS, 14)),
                    "grade": CLASSES[level],
                }
            )
    return pd.DataFrame(rows)


def write(folder: Path, records: pd.DataFrame) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    records.to_csv(folder / "records.csv", index=False)
    unneeded = {
        name: {"required": False} for name in GateConfig.model_fields if name not in ("leakage", "parsed")
    }
    checks = {k: v for k, v in unneeded.items() if hasattr(getattr(GateConfig(), k), "required")}
    task = {
        "name": "grades",
        "source": {"path": str(folder / "records.csv")},
        "keys": {"record_id": "id", "patient_id": "who"},
        "label": {"column": "grade", "classes": list(CLASSES)},
        "prompt": {"question": "Which grade?"},
        "features": [
            {"column": "sign", "values": ["absent", "faint", "loud"]},
            {"column": "age"},
            {"column": "note", "kind": "text"},
        ],
    }
    run = {
        "task": task,
        "gate": {**checks, "resamples": 200},
        "stack": {"backend": "fake"},
        "model": {"recipe": {"ranks": [4], "epochs": 3}},
        "retrain": {"min_new_labels": 100, "rest_days": 0},
    }
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def grades(tmp_path_factory: pytest.TempPathFactory, project: Path) -> tuple[Workspace, RunConfig]:
    folder = tmp_path_factory.mktemp("grades")
    workspace = Workspace(project=project, home=folder / "home")
    bootstrap(workspace)
    before = visits(250, 0, 0.0)
    first_champion(workspace, load_run(workspace.configs, write(folder, before), {}))
    file = write(folder, pd.concat([before, visits(250, 10_000, 0.8)]))
    return workspace, load_run(workspace.configs, file, {})


def test_without_sites_and_times_everything_new_is_the_window_of_one_site(
    grades: tuple[Workspace, RunConfig],
) -> None:
    workspace, config = grades
    run = retrain(workspace, config)
    (report,), (plan,), (outcome,) = run.watch.reports, run.plans, run.outcomes
    assert report.error is None
    assert (report.site, plan.site, outcome.site) == ("all", "all", "all")
    assert report.current_records == 500
    assert report.alarms
    assert plan.action in ("recalibrate", "retrain")
    assert outcome.verdict == "PROMOTE"
    assert outcome.candidates[0].name == "recalibrated"  # three classes: a new temperature
    assert {c.name for c in outcome.candidates} <= {"recalibrated", "site", "pooled", "pooled-then-site"}
    assert (outcome.champion_before, outcome.champion_after) == ("grades@all v1", "grades@all v2")
    champion = registry.champion("grades", "all")
    assert champion is not None
    card = registry.fetch_bundle(workspace, champion).card
    split = find_version(workspace.home, "grades", card.recalibrated_on or card.split_version, config.stack)
    parts = {part: load_part(workspace.home, split, part) for part in ("train", "validation", "test")}  # type: ignore[arg-type]
    patients = {part: set(rows["patient_id"]) for part, rows in parts.items()}
    assert not patients["test"] & (patients["train"] | patients["validation"])  # both visits on one side
    assert kept_to_judge(parts["test"]["patient_id"], "grades", config.retrain.judged_share).all()
    assert all(p.startswith("p1") for p in patients["test"])


def test_the_next_cycle_waits_for_new_patients(grades: tuple[Workspace, RunConfig]) -> None:
    workspace, config = grades
    run = retrain(workspace, config)
    (plan,) = run.plans
    assert plan.action in ("none", "stay", "retrain", "recalibrate")
    if run.outcomes:  # the looks that are left at the present holdout
        assert run.outcomes[0].holdout_records
