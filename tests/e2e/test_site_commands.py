"""drift and retrain as a user runs them: the two real commands on a small world, with ZenML and DVC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import run
from primum.config import load_run
from primum.moments import ends
from primum.stack.store import bootstrap
from primum.workspace import find_workspace

FIRST, NOW = "2020-12-31", "2021-06-30"
EASED = ("--set", "gate.balance.required=false", "--set", "gate.resamples=200")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of a task of two hospitals, one of them shifted since 2021, with a champion of 2020."""
    folder = tmp_path_factory.mktemp("world")
    sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
    try:
        import pandas as pd
        from site_worlds import cohort, first_champion, months, write_task
    finally:
        sys.path.pop(0)
    before = cohort({"north": (30, 0.0), "south": (30, 0.0)}, months("2020-01", 12))
    after = cohort({"north": (60, 0.0), "south": (60, -1.6)}, months("2021-01", 6), start=100_000)
    file = write_task(folder, pd.concat([before, after]), name="hospitals")
    workspace = find_workspace()
    bootstrap(workspace)
    eased = {"at": ends(FIRST), "gate.balance.required": False, "gate.resamples": 200}
    first_champion(workspace, load_run(workspace.configs, file, eased))
    return file


def outputs(pipeline: str) -> list[Path]:
    home = Path(os.environ["PRIMUM_HOME"])
    return sorted((home / "outputs" / "hospitals").glob(f"{pipeline}-*"))


def call(pipeline: str, world: Path, *words: str) -> int:
    return run.main(["--pipeline", pipeline, "--config", str(world), *EASED, *words])


def test_drift_leaves_pages_and_an_overview_in_the_dashboard(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("drift", world, "--at", NOW) == 0
    said = capfd.readouterr()
    assert "south" in said.out
    assert "Traceback" not in said.out + said.err
    (folder,) = outputs("drift")
    report = json.loads((folder / "drift.json").read_text())
    assert {r["site"]: r["status"] for r in report["reports"]} == {"north": "quiet", "south": "alarm"}
    assert {p.name for p in (folder / "evidently").iterdir()} == {"south.html"}
    from zenml.client import Client

    last = Client().get_pipeline("drift").last_successful_run
    page = last.steps["report_drift"].outputs["overview"][0].load()
    assert "south" in page
    assert "<script" not in page
    assert not list((Path(os.environ["PRIMUM_HOME"]) / ".primum" / "work" / "hospitals" / "drift").glob("*"))


def test_retrain_recalibrates_the_shifted_site_and_rests_afterwards(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("retrain", world, "--at", NOW) == 0
    first = json.loads((outputs("retrain")[-1] / "retrain.json").read_text())
    (south,) = first["outcomes"]
    assert (south["site"], south["candidates"][0]["name"]) == ("south", "recalibrated")
    assert {"PROMOTE": "promoted", "HOLD": "held", "REJECT": "rejected"}[
        south["verdict"]
    ] in capfd.readouterr().out
    promoted = south["verdict"] == "PROMOTE"
    assert south["champion_after"] == ("hospitals@south v1" if promoted else "hospitals@all v1")
    from zenml.client import Client

    last = Client().get_pipeline("retrain").last_successful_run
    page = last.steps["report_retrain"].outputs["retraining"][0].load()
    assert "south" in page
    assert "<script" not in page
    state = Path(os.environ["PRIMUM_HOME"]) / ".primum" / "cycles"
    assert not (state / "hospitals.json").exists()
    assert not list((state / "hospitals").glob("*"))
    assert call("retrain", world, "--at", NOW, "--site", "south") == 0
    second = json.loads((outputs("retrain")[-1] / "retrain.json").read_text())
    assert second["outcomes"] == []
    assert [p["site"] for p in second["plans"]] == ["south"]
    assert "rests until" in second["plans"][0]["reasons"][0]


@pytest.mark.parametrize("pipeline", ["drift", "retrain"])
def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    world: Path, capfd: pytest.CaptureFixture[str], pipeline: str
) -> None:
    before = outputs(pipeline)
    assert call(pipeline, world, "--at", NOW, "--site", "south", "--dry-run") == 0
    said = capfd.readouterr().out
    assert yaml.safe_load(said)["site"] == "south"
    assert f"# plan: task hospitals, site south, as of {NOW}" in said
    assert "nothing was read or written" in said
    assert outputs(pipeline) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "30.06.2021"), "--at 30.06.2021: write an ISO 8601 date"),
        (("--at", NOW, "--since", "soon"), "--since soon: write an ISO 8601 date"),
        (("--at", NOW, "--since", "2021-07-01"), "the window must begin before the day of the run"),
        (("--at", "2999-01-01"), "lies in the future"),
        (("--at", NOW, "--site", "soth"), "unknown site 'soth'; did you mean 'south'?"),
        (("--at", "2001-01-01"), "no record"),
        (("--set", "retrain.judged_share=1.5"), "retrain.judged_share"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    world: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    before = outputs("drift")
    assert call("drift", world, *words) == 2
    said = capfd.readouterr()
    assert told in said.err
    assert "Traceback" not in said.err + said.out
    assert outputs("drift") == before


def test_a_task_that_serves_nothing_yet_names_what_is_missing(
    tmp_path: Path, world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(world.read_text())
    content["task"]["name"] = "unserved"
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(content))
    assert call("drift", file, "--at", NOW) == 0
    assert "2 could not be looked" in capfd.readouterr().out
    folder = Path(os.environ["PRIMUM_HOME"]) / "outputs" / "unserved"
    (report,) = folder.glob("drift-*/drift.json")
    assert "run the finetune pipeline on task 'unserved' first" in report.read_text()


def test_the_command_itself_ends_with_that_code(world: Path, project: Path) -> None:
    words = ["run.py", "--pipeline", "retrain", "--config", str(world), "--at", "never"]
    done = subprocess.run([sys.executable, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
