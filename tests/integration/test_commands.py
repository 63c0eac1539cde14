"""The command lines: help, dry run, refusals; no heavy import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from primum import cli
from primum.docs import reference

HEAVY = ("torch", "zenml", "dvc", "pandas", "sklearn", "transformers", "matplotlib")


@pytest.mark.parametrize("arguments", [["run.py", "--help"], ["-m", "primum.cli", "--help"]])
def test_help_teaches_and_imports_nothing_heavy(project: Path, arguments: list[str]) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = {arguments[-2:]!r}\n"
        "try:\n"
        f"    runpy.{'run_path' if arguments[0] == 'run.py' else 'run_module'}"
        f"({'run.py' if arguments[0] == 'run.py' else 'primum.cli'!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert "usage:" in done.stdout
    assert "HEAVY []" in done.stdout


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "--pipeline", "finetune", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dry_run_prints_the_resolved_configuration_and_the_plan(project: Path, tmp_path: Path) -> None:
    done = run(project, "--dry-run", "--set", "model.recipe.ranks=[4]", "--output", str(tmp_path / "o"))
    assert done.returncode == 0
    assert "learning_rate: 0.002" in done.stdout
    assert "LoRA of rank 4 on primum-base" in done.stdout
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs" / "tasks").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_task_dry_runs(project: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.launch import plan
    from primum.config import load_run

    assert f"# plan: task {path.stem}" in plan(
        load_run(project / "configs", overrides={"task": path.stem}), Path("o")
    )


def test_bad_input_is_one_line_and_exit_code_2(project: Path) -> None:
    done = run(project, "--task", "hart")
    assert done.returncode == 2
    assert done.stderr.startswith("primum: unknown task 'hart'; did you mean")
    assert done.stderr.count("\n") == 1


def test_an_output_folder_that_cannot_be_written_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(project, "--output", str(tmp_path / "file" / "sub"))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_primum_commands_parse() -> None:
    parse = cli.parser().parse_args
    assert (
        parse(["registry", "promote", "--task", "t", "3", "--override", "--by", "A", "--why", "b"]).number
        == 3
    )
    assert parse(["predict", "--task", "t", "a.csv"]).records == Path("a.csv")
    with pytest.raises(SystemExit):
        parse(["registry"])


def test_the_configuration_reference_is_the_models(project: Path) -> None:
    assert (project / "docs" / "configuration.md").read_text() == reference(), "run `make docs`"
