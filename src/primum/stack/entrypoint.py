"""What a step operator's process runs: ZenML's step, on a lifeline, with one line and one code for its end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from zenml.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration

FOLDER, ROOT = "PRIMUM_STEP_FOLDER", "PRIMUM_STEP_ROOT"
"""Environment variables: where the step tells why it failed, and where the pipeline's code lies."""


class OwnProcess(StepOperatorEntrypointConfiguration):
    """Runs where the pipeline's code lies, and ends with the process that started it."""

    def prepare_code_environment(self) -> None:
        """Import the steps from where the run imports them."""
        from zenml.utils.source_utils import set_custom_source_root

        set_custom_source_root(os.environ[ROOT])
        os.chdir(os.environ[ROOT])
        sys.path.insert(0, os.environ[ROOT])

    def run(self) -> None:
        """Run the step. What it raises is left for the parent as one line; the process ends with its code."""
        from primum.failures import expected, explain
        from primum.jobs.job import write_failure
        from primum.jobs.lifeline import hold
        from primum.progress import relay
        from primum.stack.store import quiet

        folder = Path(os.environ[FOLDER])
        hold(folder)
        relay(_tell)
        quiet()
        try:
            super().run()
        except Exception as error:
            if os.environ.get("PRIMUM_DEBUG") == "1":
                raise
            message, code = explain(error)
            write_failure(folder, expected(error), message)
            sys.exit(code)


def _tell(what: str, done: int, total: int) -> None:
    os.write(1, (json.dumps({"progress": (what, done, total)}) + "\n").encode())
