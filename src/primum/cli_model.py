"""`primum model`: the base models of configs/models."""

from __future__ import annotations

import argparse

from primum.cli_holdouts import Commands
from primum.errors import BadInput
from primum.workspace import Workspace


def add_model(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum model`."""
    model = commands.add_parser("model", help="base models: which there are, at which commit")
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the models of configs/models").set_defaults(run=_list)
    pin = actions.add_parser(
        "pin", help="ask the hub for a model's newest commit and licence; nothing is written"
    )
    pin.add_argument("name", help="a model of configs/models, or a hub id (owner/name)")
    pin.set_defaults(run=_pin)


def _list(workspace: Workspace, _: argparse.Namespace) -> None:
    from primum.backends.base_files import describe
    from primum.config import load_run

    for path in sorted((workspace.configs / "models").glob("*.yaml")):
        model = load_run(workspace.configs, None, {"model": path.stem}).model
        unpinned = "/" in model.source and not (workspace.project / model.source).is_dir()
        mend = "; not pinned" if unpinned and not model.revision else ""
        print(f"{path.stem:24} {describe(model)}{mend}")


def _pin(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.backends.hub import newest
    from primum.config import load_run

    name = arguments.name
    hub_id = name if "/" in name else load_run(workspace.configs, None, {"model": name}).model.source
    if hub_id.count("/") != 1:
        raise BadInput(f"{name}: its source '{hub_id}' is no hub id (owner/name), so there is nothing to pin")
    found = newest(hub_id)
    access = f"; gated: ask for access on {found.page} and set HF_TOKEN" if found.gated else ""
    print(f"{hub_id}, newest commit {found.changed or 'of unknown date'}, licence {found.licence}{access}")
    print(f"revision: {found.commit}")
