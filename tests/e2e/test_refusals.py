"""Bad input through the real command: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module", autouse=True)
def _one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ZenML's store, which takes ten seconds to make, is made once; homes and tasks are each test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZENML_CONFIG_PATH", str(tmp_path_factory.mktemp("zenml")))
        yield


def write_task(folder: Path, rows: list[str], name: str, source: str = "records.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / source).write_text("\n".join(["id,age,ill", *rows]) + "\n", encoding="utf-8")
    run = folder / "run.yaml"
    run.write_text(
        f"task:\n  name: {name}\n  source: {{kind: csv, path: {folder / source}}}\n  keys: {{record_id: id}}\n"
        "  label: {column: ill, classes: ['no', 'yes']}\n  features: [{column: age, minimum: 0, maximum: 120}]\n"
        "  prompt: {question: Ill}\nstack: {backend: fake}\n",
        encoding="utf-8",
    )
    return run


def records(n: int = 200) -> list[str]:
    drawn = random.Random(1)  # noqa: S311 - made-up ages, not secrets
    ages = [drawn.randrange(20, 100_000) / 1000 for _ in range(n)]
    return [f"{i},{age},{'yes' if age > 60 else 'no'}" for i, age in enumerate(ages)]


def finetune(project: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PRIMUM_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "run.py", "--pipeline", "finetune", *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def errors(done: subprocess.CompletedProcess[str]) -> str:
    """What stderr says beside progress lines."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert "Traceback" not in done.stderr + done.stdout
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_value_out_of_range_ends_the_run_before_the_split(
    project: Path, home: Path, tmp_path: Path
) -> None:
    run = write_task(tmp_path / "in", [*records(), "999,150,yes"], "range")
    done = finetune(project, home, "--config", str(run))
    assert done.returncode == 2
    message = errors(done)
    assert "records.csv" in message
    assert "row 201" in message
    assert "'age'" in message
    assert not (home / "data" / "splits" / "range").exists()
    assert not list((home / "outputs").rglob("*.html"))


def test_an_unreachable_remote_stops_before_training_and_keeps_the_split(
    project: Path, home: Path, tmp_path: Path
) -> None:
    run = write_task(tmp_path / "in", records(), "remote")
    (tmp_path / "file").write_text("")
    remote = f"stack.dvc_remote_url={tmp_path / 'file' / 'remote'}"
    done = finetune(project, home, "--config", str(run), "--set", remote)
    assert done.returncode == 2
    assert "the split is kept" in errors(done)
    assert (home / "data" / "splits" / "remote" / "train.parquet").exists()
    assert not list((home / ".primum" / "work").rglob("adapter_model.safetensors"))


def test_an_unreadable_base_model_is_named(project: Path, home: Path, tmp_path: Path) -> None:
    run = write_task(tmp_path / "in", records(), "base")
    done = finetune(
        project,
        home,
        *(
            "--config",
            str(run),
            "--set",
            "stack.backend=cpu",
            "--set",
            f"model.source={tmp_path / 'no-model'}",
        ),
    )
    assert done.returncode == 2
    assert "no-model" in errors(done)


def test_a_class_too_small_is_refused_with_the_numbers(project: Path, home: Path, tmp_path: Path) -> None:
    rows = [line for line in records() if line.endswith("no")] + ["900,70,yes", "901,71,yes"]
    done = finetune(project, home, "--config", str(write_task(tmp_path / "in", rows, "small")))
    assert done.returncode == 2
    assert "2" in errors(done)
    assert "yes" in errors(done)


def test_the_whole_way_with_the_fake_backend_and_a_site_of_ones_own(
    project: Path, home: Path, tmp_path: Path
) -> None:
    """The fake ships with the package: a task can be tried out in seconds, and its bundle says what made it."""
    run = write_task(tmp_path / "in", records(), "whole")
    done = finetune(project, home, "--config", str(run), "--output", str(tmp_path / "reports"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "whole" / "latest" / "report.html").exists()
    assert not (home / "outputs").exists()


def test_after_the_last_planned_look_the_holdout_stays_closed(
    project: Path, home: Path, tmp_path: Path
) -> None:
    run = write_task(tmp_path / "in", records(), "last")
    words = ("--config", str(run), "--set", "gate.planned_looks=1")
    assert finetune(project, home, *words).returncode == 0
    second = finetune(project, home, *words, "--no-cache")
    assert second.returncode == 0, second.stderr
    assert "HOLD" in second.stdout
    assert "exhausted" in second.stdout
    assert not (home / "outputs" / "last" / "latest" / "paired_preds.csv").exists()
