"""`primum stack`: where runs compute."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primum.cli_holdouts import Commands
from primum.errors import BadInput
from primum.workspace import Workspace, writable

BACKENDS = ("auto", "cpu", "cuda", "mlx")

if TYPE_CHECKING:
    from primum.config import StackConfig


def add_stack(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum stack`."""
    stack = commands.add_parser("stack", help="where runs compute: this CPU, a GPU, a Mac, another machine")
    actions = stack.add_subparsers(dest="action", required=True, metavar="ACTION")
    setup = actions.add_parser(
        "setup",
        help="register a backend of this machine or a cloud; with --host, write down another machine",
        description="A backend: register ZenML's flavor, step operator and stack of it and make that the active "
        "stack (a run does the same for itself). With --host: write configs/stacks/NAME.yaml and try the connection. "
        "A stack of configs/stacks with a `cloud` section: check the credentials, then register what it needs with "
        "ZenML.",
    )
    setup.add_argument(
        "what", nargs="?", default="auto", metavar="NAME", help=f"{', '.join(BACKENDS)}; or a cloud stack"
    )
    setup.add_argument(
        "--from-terraform",
        metavar="FILE",
        help="a cloud stack: write it down as --name with what `terraform output -json` tells, then register it",
    )
    add = setup.add_argument_group("another machine, over SSH").add_argument
    add("--host", help="its name or address; its host key must be known already (ssh HOST)")
    add("--user", help="by default what ssh itself takes")
    add("--port", type=int)
    add("--key", metavar="FILE", help="private key; by default what ssh itself finds")
    add("--python", help="its Python that has the libraries (docs/stacks.md), such as ~/primum/bin/python")
    add("--folder", help="where inputs are kept there by content hash (default: .primum-remote)")
    add("--name", help="the stack's name (default: the host's; with --from-terraform: my-NAME)")
    setup.set_defaults(run=_setup)
    actions.add_parser("show", help="the active ZenML stack, and the stacks of configs/stacks").set_defaults(
        run=_show
    )
    check = actions.add_parser("check", help="load the embedded base on a stack of configs/stacks")
    check.add_argument("name")
    check.set_defaults(run=_check)


def _setup(workspace: Workspace, arguments: argparse.Namespace) -> None:
    if arguments.host is not None:
        if arguments.what not in BACKENDS:
            raise BadInput(
                f"'{arguments.what}' is no backend; say which one {arguments.host} has: cuda, mlx or cpu"
            )
        _write_down(workspace, arguments)
        return
    cloud = arguments.what not in BACKENDS
    known = ("user", "port", "key", "python", "folder") + (
        () if cloud and arguments.from_terraform else ("name",)
    )
    given = [key for key in known if getattr(arguments, key)]
    if given:
        raise BadInput(f"--{given[0]} is for another machine; name it with --host")
    if cloud:
        from primum.cli_cloud import setup_cloud

        setup_cloud(workspace, arguments)
    elif arguments.from_terraform:
        raise BadInput(
            "--from-terraform is for a cloud stack; name it: primum stack setup aws --from-terraform FILE"
        )
    else:
        _setup_backend(workspace, arguments.what)


def _setup_backend(workspace: Workspace, backend: str) -> None:
    from primum.config import StackConfig, validate
    from primum.jobs.devices import resolve_stack
    from primum.stack.setup import activate
    from primum.stack.store import bootstrap

    wanted = validate(StackConfig, {"backend": backend}, "primum stack setup")
    backend = resolve_stack(wanted).backend
    bootstrap(workspace)
    print(f"active stack: {activate(backend).name}")
    if backend != "cpu":
        print(f"use it with: python run.py --pipeline finetune --set stack.backend={backend}")


def _write_down(workspace: Workspace, arguments: argparse.Namespace) -> None:
    import yaml

    from primum.config import StackConfig, validate

    if arguments.what == "auto":
        raise BadInput("say which backend the machine has: primum stack setup cuda|mlx|cpu --host ...")
    user, at, _ = arguments.host.rpartition("@")
    if at:
        raise BadInput(f"--host: the machine's name only; give the user with --user {user}")
    name = stack_name(arguments.name, arguments.host)
    keys = ("host", "user", "port", "key", "python", "folder")
    remote = {key: getattr(arguments, key) for key in keys if getattr(arguments, key) is not None}
    if "key" in remote and not remote["key"].startswith("~"):  # a run may start in another folder
        remote["key"] = str(Path(remote["key"]).resolve())
    differences: dict[str, Any] = {"backend": arguments.what, "remote": remote}
    stack = validate(StackConfig, {"name": name, **differences}, "primum stack setup")
    file = writable(workspace.configs / "stacks", "the folder of stacks") / f"{name}.yaml"
    if file.exists():
        raise BadInput(f"{file} exists already; choose another --name, or edit it")
    print(_probe(workspace, stack))
    file.write_text(yaml.safe_dump(differences, sort_keys=False, allow_unicode=True), encoding="utf-8")
    print(f"wrote {file}; use it with: python run.py --pipeline finetune --set stack={name}")


def stack_name(given: str | None, host: str) -> str:
    """The stack's name: a file's name, and in `--set stack=NAME` a word and no number. By default the host's."""
    import yaml

    first, _, rest = host.partition(".")
    name = given or (first if re.search("[a-z]", first, re.IGNORECASE) else f"host-{first}-{rest}")
    name = name if given else re.sub(r"[.:]+", "-", name).strip("-")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or not isinstance(yaml.safe_load(name), str):
        raise BadInput(
            f"--name {name}: letters, digits, '.', '_' and '-' make a stack's name, and not digits alone"
        )
    return name


def _show(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.stack.setup import describe
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    for kind, name in describe():
        print(f"{kind}: {name}")
    for file in sorted((workspace.configs / "stacks").glob("*.yaml")):
        stack = _stack(workspace, file.stem)
        where = f" on {stack.remote.host}" if stack.remote else ""
        where = f" on {stack.cloud.provider}" if stack.cloud else where
        launcher = "" if stack.launcher == "plain" else f", {stack.processes} x {stack.launcher}"
        print(f"configs/stacks/{file.name}: {stack.backend}{where}{launcher}")


def _check(workspace: Workspace, arguments: argparse.Namespace) -> None:
    stack = _stack(workspace, arguments.name)
    if stack.cloud is None:
        print(_probe(workspace, stack))
        return
    from primum.cli_cloud import check_cloud

    print(check_cloud(workspace, stack))


def _stack(workspace: Workspace, name: str) -> StackConfig:
    from primum.config import load_run

    return load_run(workspace.configs, overrides={"stack": name}).stack


def _probe(workspace: Workspace, stack: StackConfig) -> str:
    """Load the embedded base over there: it proves the way, the code's arrival, the libraries and the device."""
    from primum.backends import open_backend
    from primum.config import ModelConfig

    began = time.monotonic()
    backend = open_backend(ModelConfig(name="primum-base"), stack, workspace.project)
    numerics = backend.numerics
    where = f"on {stack.remote.host} " if stack.remote else ""
    seconds = time.monotonic() - began
    return f"{stack.name}: computes {where}as {numerics}, base {backend.base_hash[:12]}, {seconds:.0f} s"
