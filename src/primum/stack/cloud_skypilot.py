"""SkyPilot: one machine that runs a whole pipeline and goes away. ZenML and SkyPilot do not fit into one environment
(ZenML 0.98 wants click 8.3 or later, SkyPilot 0.11 an older one), so Primum writes SkyPilot's task file instead.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from primum.config import StackConfig
from primum.config.cloud import CloudConfig
from primum.errors import BadInput
from primum.stack.cloud_parts import HOME

_INSTALL = "python3 -m venv ~/venv && ~/venv/bin/pip install -q -c constraints.txt -e '.[cuda,ledger]'"


def task(stack: StackConfig) -> dict[str, Any]:
    """SkyPilot's task: the cheapest machine with the GPU, the bucket as home, the ledger's address as a secret.

    This folder travels (what git ignores does not) and is installed there.
    """
    cloud, home = _cloud(stack), HOME["kubernetes"]
    seconds = int(cloud.hours * 3600)
    return {
        "name": f"primum-{stack.name}",
        "resources": {
            "infra": cloud.infra,
            "accelerators": cloud.gpu,
            "use_spot": cloud.spot,
            "disk_size": cloud.disk_gb,
            "autostop": {"idle_minutes": 5, "down": True},
        },
        "workdir": ".",
        "file_mounts": {home: {"source": f"{cloud.artifacts}/home", "mode": "MOUNT_CACHED"}},
        "envs": {"PRIMUM_HOME": home, "PRIMUM_ARGUMENTS": "--pipeline finetune"},
        "secrets": {"PRIMUM_LEDGER_URL": None},
        "setup": _INSTALL,
        "run": f"timeout {seconds} ~/venv/bin/python run.py $PRIMUM_ARGUMENTS --set stack=cuda",
    }


def write_task(stack: StackConfig, folder: Path) -> tuple[Path, str]:
    """Leave the task in `folder`; returns the file and the command that starts it."""
    file = folder / f"{stack.name}.sky.yaml"
    head = f"# Written by `primum stack setup {stack.name}` from its configuration; written anew each time.\n"
    file.write_text(head + yaml.safe_dump(task(stack), sort_keys=False), encoding="utf-8")
    jobs = (
        "jobs launch" if _cloud(stack).spot else "launch --down"
    )  # managed jobs survive that spot capacity goes
    return file, f"sky {jobs} {file} --secret PRIMUM_LEDGER_URL --env PRIMUM_ARGUMENTS='--pipeline finetune'"


def advice() -> str | None:
    """How to get SkyPilot's command where it is not there."""
    if shutil.which("sky"):
        return None
    return (
        "SkyPilot's command is not here; install it beside Primum: pipx install 'skypilot[aws]>=0.11,<0.12'"
    )


def _cloud(stack: StackConfig) -> CloudConfig:
    if stack.cloud is None or stack.cloud.provider != "skypilot":
        raise BadInput(f"the stack '{stack.name}' is not one of SkyPilot's")
    return stack.cloud
