"""The step operator with ZenML's real store: steps in processes of their own, errors, a killed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from job_samples import gone_soon, until

PIPELINES = textwrap.dedent(
    '''
    """Pipelines of one step each, on the operator `mlx`. Usage: KIND"""
    import os, sys, time
    from pathlib import Path
    from typing import Annotated

    from primum.workspace import find_workspace
    from primum.stack.store import bootstrap, close_abandoned
    bootstrap(find_workspace())

    from zenml import pipeline, step
    from zenml.enums import ExecutionMode
    from primum.config import StackConfig
    from primum.errors import BadInput
    from primum.failures import failing_softly
    from primum.progress import show
    from primum.stack import setup


    @step(enable_cache=False)
    def work(kind: str, stack: StackConfig) -> Annotated[int, "parent"]:
        show("work", 1, 1)
        if kind == "bad":
            raise BadInput("row 3: no label")
        if kind == "defect":
            raise ValueError("patient Doe")
        Path("step-home").write_text(str(find_workspace().home))
        if kind.startswith("endless"):
            Path("pid").write_text(str(os.getpid()))
            time.sleep(600)
        return os.getppid()


    @pipeline(name="probe", execution_mode=ExecutionMode.FAIL_FAST)
    def probe(kind: str, stack: StackConfig):
        work.with_options(step_operator=setup.operator_of(stack))(kind, stack)


    def run(kind):
        stack = StackConfig(backend="mlx")
        setup.require_operator(stack)
        note = Path("note")
        close_abandoned(note)
        note.write_text(f"probe-{kind}")
        with failing_softly() as ending:
            finished = probe.with_options(run_name=f"probe-{kind}")(kind, stack)
            print("ran below", finished.steps["work"].outputs["parent"][0].load() == os.getpid())
        print("code", ending.code)


    def cancel(name):
        from zenml.client import Client
        from zenml.stack import StackComponent
        step = Client().get_pipeline_run(name).steps["work"]
        operator = StackComponent.from_model(Client().get_stack_component("step_operator", "mlx"))
        print("before", operator.get_status(step).value)
        operator.cancel(step)
        print("after", operator.wait(step).value)
        operator.cancel(step)


    def check():
        from zenml.client import Client
        close_abandoned(Path("note"))
        for found in Client().list_pipeline_runs():
            print(found.name, found.status.value)
        before = setup.ensure("mlx").id, Client().active_stack_model.name
        print("again", before == (setup.ensure("mlx").id, "default-mlx"))
        print("plain", setup.activate("cpu").name)


    if __name__ == "__main__":
        for kind in sys.argv[1:]:
            if kind == "check":
                check()
            elif kind.startswith("cancel-"):
                cancel(kind.removeprefix("cancel-"))
            else:
                run(kind)
    '''
)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the probe lies, its steps run, and its home is."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def start(place: Path) -> Start:
    """Start the probe from another folder than its steps run in, with a home relative to that."""
    (place / "probe.py").write_text(PIPELINES)
    (place / "elsewhere").mkdir()
    environment = {**os.environ, "PRIMUM_HOME": "../home"}
    for name in ("ZENML_CONFIG_PATH", "ZENML_CUSTOM_SOURCE_ROOT"):
        environment.pop(name)

    def run(*kinds: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "../probe.py", *kinds],
            cwd=place / "elsewhere",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def test_steps_on_an_operator(start: Start, place: Path) -> None:
    out, _ = start("fine", "bad", "defect").communicate(timeout=300)
    told = out.splitlines()
    assert "  work: 1 of 1" in told
    assert "ran below True" in told
    assert "primum: row 3: no label" in told
    assert [line for line in told if line.startswith("code")] == ["code 0", "code 2", "code 1"]
    assert any("unexpected ValueError" in line for line in told)
    assert "Traceback" not in out
    assert "Doe" not in out
    assert Path((place / "step-home").read_text()) == place / "home"

    endless = start("endless")
    until((place / "pid").exists, seconds=120)
    step = psutil.Process(int((place / "pid").read_text()))
    endless.send_signal(signal.SIGKILL)
    endless.communicate()
    gone_soon([step])
    assert not list((place / "home" / ".primum" / "jobs").iterdir())

    out, _ = start("check").communicate(timeout=120)
    told = out.splitlines()
    assert {"probe-fine completed", "probe-bad failed", "probe-endless failed"} <= set(told)
    assert {"again True", "plain default"} <= set(told)


def test_a_step_is_cancelled_from_another_process(start: Start, place: Path) -> None:
    (place / "pid").unlink(missing_ok=True)
    endless = start("endless-cancelled")
    try:
        until((place / "pid").exists, seconds=120)
        step = psutil.Process(int((place / "pid").read_text()))
        out, _ = start("cancel-probe-endless-cancelled").communicate(timeout=120)
        assert {"before running", "after failed"} <= set(out.splitlines()), out
        gone_soon([step])
        out, _ = endless.communicate(timeout=60)
    finally:
        endless.kill()
        endless.communicate()
    assert "primum: the step was cancelled; the same command continues from the last checkpoint" in out
    assert "code 2" in out
    assert "memory" not in out
    assert not list((place / "home" / ".primum" / "jobs").iterdir())
