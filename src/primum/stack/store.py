"""ZenML's store: environment, first start under a lock, and the cache's knowledge of our code."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import logging
import os
from pathlib import Path

from filelock import FileLock

from primum.workspace import Workspace, writable


def prepare_environment(workspace: Workspace) -> None:
    """Set what ZenML reads at import: its own folder, no network, quiet logs. Values already set are kept."""
    defaults = {
        "ZENML_CONFIG_PATH": str(workspace.zenml),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "CRITICAL",
        "ZENML_LOGGING_COLORS_DISABLED": "true",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING": "true",
        "DVC_NO_ANALYTICS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def bootstrap(workspace: Workspace) -> None:
    """Create or open ZenML's store. Two first starts at once break its migration, hence the lock."""
    prepare_environment(workspace)
    writable(workspace.zenml, "ZenML's folder")
    with FileLock(workspace.zenml / "bootstrap.lock"):
        from zenml.client import Client

        quiet()
        Client().activate_root(workspace.project)
        _ = Client().active_stack_model


def quiet() -> None:
    """Let ZenML do only what Primum needs of it, in this process.

    Primum brings its own materializers, so ZenML need not import every library that it could integrate; it need
    not start pip twice a run to list what is installed (2.4 s); and its own verbosity silences all others too.
    """
    from zenml.environment import Environment
    from zenml.integrations.registry import integration_registry

    integration_registry.activate_integrations = lambda: None  # type: ignore[method-assign]
    Environment.get_python_packages = staticmethod(_installed)  # type: ignore[method-assign]
    logging.getLogger("primum").setLevel(logging.WARNING)


def _installed() -> list[str]:
    """Installed distributions, as pip freeze names them."""
    return sorted({f"{d.name}=={d.version}" for d in importlib.metadata.distributions()}, key=str.lower)


def close_abandoned(note: Path) -> None:
    """Mark the run that `note` names as failed, with its steps: its process was killed and cannot do so itself.

    The caller holds the task's lock, so that a run which still stands as running has nobody who runs it.
    """
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.orchestrators import publish_utils

    if not note.is_file():
        return
    running = ExecutionStatus.RUNNING
    for run in Client().list_pipeline_runs(name=note.read_text(encoding="utf-8"), status=running.value):
        for step in Client().list_run_steps(pipeline_run_id=run.id, status=running.value):
            publish_utils.publish_failed_step_run(step.id)
        publish_utils.publish_failed_pipeline_run(run.id)
    note.unlink()


@functools.cache
def code_hash() -> str:
    """SHA-256 of primum's code and embedded base: what was made by others must not come back as `cached`."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *(root / "base_model").iterdir()]):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def store_url() -> str:
    """Where the open store's database lies."""
    from zenml.client import Client

    return str(Client().zen_store.url)


def skip_survey() -> None:
    """Answer the dashboard's first questions (name, e-mail, newsletter) with no: the store is a machine's own."""
    from zenml.client import Client

    client = Client()
    user = client.active_user
    if user.email_opted_in is None:
        answered = {**user.user_metadata, "finished_onboarding_survey": True}
        client.update_user(user.id, updated_email_opt_in=False, updated_metadata=answered)
