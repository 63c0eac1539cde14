"""`primum stack setup` and `check` of a cloud stack: check first, then register, so that nothing is half done."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from primum.cli_stack import stack_name
from primum.config import StackConfig, load_run, read_yaml
from primum.errors import BadInput
from primum.workspace import Workspace, writable

if TYPE_CHECKING:
    from primum.config.cloud import CloudConfig

TERRAFORM = ("aws", "gcp")
"""Providers that infra/ has Terraform for."""


def setup_cloud(workspace: Workspace, arguments: argparse.Namespace) -> None:
    """Register the stack `arguments.what` with ZenML; with --from-terraform write it down first."""
    stack = _stack(workspace, arguments.what)
    if stack.cloud is None:
        raise BadInput(f"the stack '{stack.name}' needs no setup; use it with: --set stack={stack.name}")
    if arguments.from_terraform:
        name = stack_name(arguments.name or f"my-{stack.name}", "")
        _write_down(workspace, stack.name, name, Path(arguments.from_terraform))
        stack = _stack(workspace, name)
    print(check_cloud(workspace, stack))
    if stack.cloud and stack.cloud.provider == "skypilot":
        _write_task(workspace, stack)
    else:
        _register(workspace, stack)
    print("before data of patients goes there, see `What to clear first` in docs/cloud.md")


def check_cloud(workspace: Workspace, stack: StackConfig) -> str:
    """How this machine reaches the stack's cloud. Raises for a missing key, credentials, bucket, library."""
    from primum.stack.cloud_access import check_access, require_libraries

    cloud = _complete(workspace, stack)
    said = check_access(cloud)
    require_libraries(cloud)
    return said


def _stack(workspace: Workspace, name: str) -> StackConfig:
    return load_run(workspace.configs, overrides={"stack": name}).stack


def _complete(workspace: Workspace, stack: StackConfig) -> CloudConfig:
    """The stack's cloud, with everything that its provider needs."""
    cloud = stack.cloud
    if cloud is None:
        raise BadInput(f"the stack '{stack.name}' has no `cloud` section")
    if cloud.missing:
        file = workspace.configs / "stacks" / f"{stack.name}.yaml"
        fill = f", or fill it: primum stack setup {stack.name} --from-terraform FILE"
        raise BadInput(
            f"{file}: `cloud.{cloud.missing[0]}` is missing; add it{fill if cloud.provider in TERRAFORM else ''}"
        )
    return cloud


def _write_down(workspace: Workspace, base: str, name: str, made: Path) -> None:
    """Write configs/stacks/NAME.yaml: the stack `base` with what Terraform made. The same again changes nothing."""
    import yaml

    from primum.stack.cloud_terraform import fill

    folder = writable(workspace.configs / "stacks", "the folder of stacks")
    filled = fill(read_yaml(folder / f"{base}.yaml"), made)
    file = folder / f"{name}.yaml"
    if not file.exists():
        file.write_text(yaml.safe_dump(filled, sort_keys=False, allow_unicode=True), encoding="utf-8")
        print(f"wrote {file}; it names your account, so keep it out of public repositories")
    elif read_yaml(file) != filled:
        raise BadInput(f"{file} exists already and says otherwise; choose another --name, or remove it")


def _register(workspace: Workspace, stack: StackConfig) -> None:
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    from primum.stack.cloud import register

    for line in register(stack, workspace.ledger_url):
        print(line)
    print(f"use it with: python run.py --pipeline finetune --set stack={stack.name}")


def _write_task(workspace: Workspace, stack: StackConfig) -> None:
    from primum.stack.cloud_skypilot import advice, write_task

    file, command = write_task(stack, writable(workspace.state / "cloud", "the folder of cloud tasks"))
    print(f"wrote {file}")
    if missing := advice():
        print(missing)
    print(f"start it in this folder, with PRIMUM_LEDGER_URL set: {command}")
