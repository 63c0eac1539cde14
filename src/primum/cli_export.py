"""`primum export`: a registered adapter as a model for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from primum.records import ALL_SITES
from primum.workspace import Workspace

Commands = argparse._SubParsersAction  # argparse gives its type no public name


def add_export(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum export`."""
    export = commands.add_parser(
        "export",
        help="a registered adapter as a merged model, for MLX, or as GGUF; checked before it is left",
    )
    add = export.add_argument
    add("--task", required=True)
    add("--site", default=ALL_SITES)
    add("--version", type=int, metavar="N", help="a version that is not in production (research use)")
    add(
        "--to",
        required=True,
        choices=("merged", "mlx", "mlx-adapter", "gguf"),
        help="merged: transformers; mlx: a merged MLX model; mlx-adapter: the adapter alone for mlx-lm; "
        "gguf: one file, for Llama, Mistral and Mixtral bases",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="a folder that does not exist yet")
    add("--config", type=Path, metavar="FILE", help="the run file that the adapter was trained with")
    add("--model", help="the base model's config, if not the default one")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="as in run.py")
    export.set_defaults(run=_export)


def _export(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.config import load_run, parse_overrides
    from primum.export import export
    from primum.stack.store import bootstrap

    named = {"task": arguments.task, "model": arguments.model}
    overrides = {k: v for k, v in named.items() if v} | parse_overrides(arguments.set)
    config = load_run(workspace.configs, arguments.config, overrides)
    bootstrap(workspace)
    done = export(workspace, config, arguments.site, arguments.version, arguments.to, arguments.output)
    use = "; research use: this version is not in production" if done.research else ""
    print(f"{done.version} as {done.kind} is in {done.path}{use}")
    if done.apart:
        print(f"  its log-probabilities on made-up records are within {done.apart:.1g} of the adapter's")
