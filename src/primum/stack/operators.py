"""The step operator: a step in a process of its own, that has its device for itself and never outlives its run."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.step_operators import BaseStepOperator
from zenml.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration
from zenml.utils.source_utils import get_source_root

from primum.config import StackConfig
from primum.errors import Unavailable
from primum.jobs.devices import locked
from primum.jobs.job import write_failure
from primum.jobs.process import Child, start
from primum.jobs.runner import follow, job_folder, why
from primum.progress import say, show
from primum.stack.entrypoint import FOLDER, ROOT, OwnProcess
from primum.workspace import find_workspace

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse


_CANCELLED = Unavailable("the step was cancelled; the same command continues from the last checkpoint")


@dataclass(frozen=True)
class _Running:
    child: Child
    folder: Path
    """Where the child tells why it failed."""
    holds: ExitStack
    """The child's end, its devices' locks, its folder."""


class DeviceOperator(BaseStepOperator):
    """Runs a step with this Python on this machine. The flavors `cuda` and `mlx` differ in name only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: dict[UUID, _Running] = {}

    @property
    def entrypoint_config_class(self) -> type[StepOperatorEntrypointConfiguration]:
        """The stock one writes to /app and goes on when its parent is gone."""
        return OwnProcess

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Wait for the device, then start the step's process."""
        workspace = find_workspace()
        with ExitStack() as holds:
            folder = holds.enter_context(job_folder(workspace.jobs))
            held = holds.enter_context(locked(workspace, stack_of(info.config.parameters), say))
            root = get_source_root()
            ours = {
                "PRIMUM_HOME": str(workspace.home),
                FOLDER: str(folder),
                ROOT: root,
            }  # it starts in `root`
            outer = {**os.environ, **environment, **held, **ours}
            child = start([sys.executable, *entrypoint_command[1:]], outer, None, Path(root))
            holds.callback(child.end)
            self._running[info.step_run_id] = _Running(child, folder, holds.pop_all())

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Show what the process says until it ends. Raises the step's own error; no process is left in any case.

        Of a step that another process started, its end is all there is to see.
        """
        running = self._running.get(step_run.id)
        if running is None:
            return super().wait(step_run)
        try:
            follow(running.child.lines(), show, lambda line: say(line.decode(errors="replace")))
            code = running.child.wait()
            if code != 0:
                raise why(running.folder, code, None)
        finally:
            self.cleanup_step_submission(step_run)
        return ExecutionStatus.COMPLETED

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """What the process does; of one that another process started, what the store knows."""
        running = self._running.get(step_run.id)
        if running is None:
            return Client().get_run_step(step_run.id, hydrate=False).status
        if running.child.running():
            return ExecutionStatus.RUNNING
        return ExecutionStatus.FAILED if running.child.wait() else ExecutionStatus.COMPLETED

    def cancel(self, step_run: StepRunResponse) -> None:
        """End the step's process and all it started, also where another process started the step."""
        if step_run.id in self._running:
            self.cleanup_step_submission(step_run)
            return
        for process in _processes_of(step_run.id):
            _cancel(process)

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Leave no process, lock or file of the step behind."""
        running = self._running.pop(step_run.id, None)
        if running is not None:
            running.holds.close()


def stack_of(parameters: dict[str, Any]) -> StackConfig:
    """The stack settings among a step's parameters: `stack`, or those of `config`."""
    found = parameters.get("stack") or dict(parameters["config"])["stack"]
    return StackConfig.model_validate(found if isinstance(found, dict) else found.model_dump())


def _processes_of(step_run: UUID) -> list[psutil.Process]:
    """Leaders of process groups whose command line names the step run."""
    found = psutil.process_iter(["cmdline"])
    named = [p for p in found if str(step_run) in (p.info["cmdline"] or [])]
    return [p for p in named if _leads(p.pid)]


def _leads(pid: int) -> bool:
    with suppress(OSError):  # it has ended meanwhile
        return os.getpgid(pid) == pid
    return False


def _cancel(process: psutil.Process) -> None:
    """Kill its group; the run that waits for it is told why, or it would take the kill for the system's."""
    with suppress(psutil.Error, OSError, KeyError):
        write_failure(Path(process.environ()[FOLDER]), _CANCELLED, str(_CANCELLED))
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what the step had started sees its lifeline end
