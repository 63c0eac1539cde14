"""The `primum` command: what people do around the pipelines."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from primum.cli_export import add_export
from primum.cli_holdouts import add_ledger, add_split
from primum.cli_model import add_model
from primum.cli_registry import add_registry
from primum.cli_schedule import add_schedule
from primum.cli_stack import add_stack
from primum.cli_texts import add_texts
from primum.errors import BadInput
from primum.failures import failing_softly
from primum.workspace import Workspace, find_workspace, writable


def parser() -> argparse.ArgumentParser:
    """The command line; nothing heavy is imported for it."""
    p = argparse.ArgumentParser(
        prog="primum", description="Around the pipelines: registry, serving, stores, health."
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_registry(commands)
    _add_predict(commands)
    add_export(commands)
    add_model(commands)
    add_split(commands)
    add_ledger(commands)
    add_stack(commands)
    add_schedule(commands)
    _add_gate(commands)
    add_texts(commands)
    _add_power(commands)
    dashboard = commands.add_parser(
        "dashboard", help="the ZenML dashboard on this store, on loopback; Ctrl-C ends it"
    )
    dashboard.add_argument("--port", type=int, default=8237)
    dashboard.set_defaults(run=_dashboard)
    commands.add_parser(
        "doctor", help="what of the environment, the stores and the devices works, and how to mend the rest"
    ).set_defaults(run=_doctor)
    return p


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser(
        "predict", help="label, calibrated probability, label set and referral for each record of a file"
    )
    predict.add_argument("records", type=Path, help="a file like the task's source, without the label column")
    predict.add_argument("--task")
    predict.add_argument(
        "--config", type=Path, metavar="FILE", help="the run file that the adapter was trained with"
    )
    predict.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="as in run.py")
    predict.add_argument("--model", help="the base model's config, if not the default one")
    of = predict.add_mutually_exclusive_group()
    of.add_argument("--site", help="serve with that site's version in production, else with the pooled one")
    of.add_argument(
        "--by-site", action="store_true", help="serve each record with the version of the site in its own row"
    )
    predict.add_argument(
        "--version", type=int, metavar="N", help="a version that is not in production (research use)"
    )
    predict.add_argument("--output", type=Path, metavar="FILE", help="write CSV there instead of to stdout")
    predict.set_defaults(run=_predict)


def _add_gate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gate = commands.add_parser("gate", help="judge anyone's paired predictions: no model, no pipeline needed")
    add = gate.add_argument
    add("predictions", type=Path, help="CSV: id, gold, and a column (or NAME_pred, NAME_p_LABEL) per system")
    add("--config", type=Path, metavar="FILE", help="gate keys that differ from the defaults (YAML)")
    for role in ("candidate", "base", "champion", "anchor"):
        default = {"candidate": "; by default adapter", "base": "; by default base"}.get(role, "")
        add(f"--{role}", metavar="NAME", help=f"the {role}'s name in the table{default}")
    add("--classical", metavar="NAME", help="the classical model that was best on validation")
    add("--positive", metavar="LABEL", help="the class whose recall is called recall")
    add("--metric", choices=("macro_f1", "accuracy", "balanced_accuracy"), default="macro_f1")
    add("--effect", type=float, default=0.05, help="smallest difference that matters (default %(default)s)")
    add(
        "--threshold",
        type=float,
        action="append",
        default=[],
        help="act from this probability on; repeatable",
    )
    add("--output", type=Path, metavar="DIR", help="by default <table>-gate beside the table")
    add("--holdout", metavar="NAME", help="count the look and keep the decision in the ledger")
    gate.set_defaults(run=_gate)


def _add_power(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    power = commands.add_parser("power", help="how many patients a holdout needs, before data is collected")
    add = power.add_argument
    add("--task", help="take effect, gate and split from a task of configs/tasks/")
    add("--patients", type=int, metavar="N", help="patients at hand: which holdout share is enough")
    for flag, text in (
        ("effect", "gain over the base that matters"),
        ("margin", "loss that is allowed against the classical model"),
        ("discordance", "share of patients on whom candidate and base differ in correctness"),
        ("discordance-classical", "the same for candidate and classical model"),
        ("alpha", "of the holdout, over all looks"),
        ("power", "chance to show an effect that is there"),
        ("prevalence", "share of patients with the event"),
        ("auroc", "expected AUROC"),
    ):
        add(f"--{flag}", type=float, help=text)
    add("--looks", type=int, help="planned looks")
    add("--features", type=int, help="features of the classical model: 10 events each in training")
    add("--threshold", type=float, action="append", help="act from this probability on; repeatable")
    add("--net-benefit", type=float, nargs=3, metavar=("THRESHOLD", "SENSITIVITY", "SPECIFICITY"))
    add("--slope", type=float, nargs=2, metavar=("MEAN", "SD"), help="of the expected linear predictor")
    power.set_defaults(run=_power)


def main(argv: list[str] | None = None) -> int:
    """Run one command; expected errors are one line and an exit code."""
    arguments = parser().parse_args(argv)
    with failing_softly() as ending:
        ending.code = arguments.run(find_workspace(), arguments) or 0
    return ending.code


def _predict(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.config import load_run, parse_overrides
    from primum.predict import predict
    from primum.served import summary
    from primum.stack.store import bootstrap

    named = {"task": arguments.task, "model": arguments.model, "site": arguments.site}
    overrides = {k: v for k, v in named.items() if v} | parse_overrides(arguments.set)
    config = load_run(workspace.configs, arguments.config, overrides)
    if arguments.by_site and arguments.version is not None:
        raise BadInput("--version: with --by-site each site has a version of its own; leave one of them out")
    if arguments.output is not None:
        writable(arguments.output.parent, "the folder of --output")
    bootstrap(workspace)
    result = predict(workspace, config, arguments.records, arguments.version, by_site=arguments.by_site)
    print(summary(result), file=sys.stderr)
    if arguments.output is None:
        result.to_csv(sys.stdout, index=False)
        return
    temporary = arguments.output.with_name(f".{arguments.output.name}.{os.getpid()}")
    try:
        result.to_csv(temporary, index=False)
        temporary.replace(arguments.output)
    finally:
        temporary.unlink(missing_ok=True)


def _gate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from rich.console import Console

    from primum.reports.gate_terminal import print_gate
    from primum.standalone import judge_file, request_of

    print_gate(Console(), *judge_file(workspace, request_of(vars(arguments)), datetime.now(UTC)))


def _power(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum.planning import print_plan, resolve

    print_plan(Console(), resolve(workspace.configs, vars(arguments)), arguments.patients)


def _dashboard(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.dashboard import serving, wait_for_interrupt

    with serving(workspace, arguments.port) as address:
        print(f"dashboard: {address} (Ctrl-C stops it)", flush=True)
        wait_for_interrupt()
    print("dashboard stopped")


def _doctor(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from primum.doctor import examine

    findings = examine(workspace)
    table = Table("", "state", "found", "how to mend", box=None)
    colours = {"ok": "green", "optional": "yellow", "broken": "red"}
    for f in findings:
        table.add_row(f.what, f"[{colours[f.state]}]{f.state}[/]", escape(f.detail), escape(f.mend))
    Console().print(table)
    return 1 if any(f.state == "broken" for f in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
