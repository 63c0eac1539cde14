"""`primum split` and `primum ledger`: holdouts, their looks and what follows them."""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from primum.errors import BadInput, PrimumError
from primum.records import ALL_SITES
from primum.workspace import Workspace

if TYPE_CHECKING:
    from primum.config import RunConfig

Commands = argparse._SubParsersAction  # argparse gives its type no public name


def add_split(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum split`."""
    split = commands.add_parser("split", help="split versions: list, rotate, restore")
    actions = split.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="a task's generations: parts, looks used, hashes")
    listing.add_argument("--site", help="the split of one site (default: of the task at all sites)")
    rotate = actions.add_parser(
        "rotate",
        help="make the next holdout from patients that no earlier split has seen",
        description="Make a task's next holdout from the source as it is now: only patients that no earlier split "
        "has seen become holdout, the old holdout may train, and looks are counted anew.",
    )
    for action, run in ((listing, _list), (rotate, _rotate)):
        action.add_argument("--task")
        action.add_argument("--config", type=Path, metavar="FILE", help="the run file, as in run.py")
        action.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="as in run.py")
        action.set_defaults(run=run)
    rotate.add_argument("--seed", type=int, help="decides where there are more new patients than are needed")
    rotate.add_argument("--dry-run", action="store_true", help="show the numbers, write nothing")
    restore = actions.add_parser("restore", help="bring a past split version back by its DVC hash")
    restore.add_argument("--task", required=True)
    restore.add_argument("--config", type=Path, metavar="FILE", help="the run file, where it names the stack")
    restore.add_argument("hash", help="the split version, such as 1f2e...dir")
    restore.add_argument("--to", type=Path, metavar="DIR", help="another folder than the task's own")
    restore.set_defaults(run=_restore)


def add_ledger(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum ledger`."""
    ledger = commands.add_parser("ledger", help="looks at holdouts and all decisions, append-only")
    actions = ledger.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser(
        "show", help="every entry; looks and alpha left of each holdout, labels that wait for the next"
    )
    show.add_argument(
        "--config", type=Path, metavar="FILE", help="the run file of a task that has no file of its own"
    )
    show.set_defaults(run=_show)
    actions.add_parser("verify", help="find a changed, missing or reordered entry").set_defaults(run=_verify)
    note = actions.add_parser("note", help="append a remark: who and why")
    note.add_argument("--by", required=True, metavar="NAME")
    note.add_argument("--why", required=True, metavar="TEXT", help="never anything about a patient")
    note.add_argument("--task", default="")
    note.set_defaults(run=_note)


def _config(workspace: Workspace, arguments: argparse.Namespace) -> RunConfig:
    from primum.config import load_run, parse_overrides

    if arguments.task is None and arguments.config is None:
        raise BadInput("name the task with --task NAME, or its run file with --config FILE")
    named = {"task": arguments.task} | {key: getattr(arguments, key, None) for key in ("seed", "site")}
    overrides = {key: value for key, value in named.items() if value is not None}
    return load_run(workspace.configs, arguments.config, overrides | parse_overrides(arguments.set))


def _list(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum.next_holdout import generations, print_generations

    config = _config(workspace, arguments)
    found = generations(workspace, config)
    if found:
        print_generations(Console(), found)
    else:
        print(f"task '{config.task.name}' has no split yet; `run.py --pipeline finetune` makes the first one")


def _rotate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.next_holdout import rotate_task

    config = _config(workspace, arguments)
    print(rotate_task(workspace, config, datetime.now(UTC), dry_run=arguments.dry_run))


def _restore(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.config import load_run
    from primum.versioning import restore

    stack = load_run(workspace.configs, arguments.config).stack
    version = restore(workspace.home, arguments.task, arguments.hash, stack, arguments.to)
    print(f"split {version.dvc_hash} is back in {version.path}: {version.counts}")


def _show(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum.ledger import Ledger
    from primum.reports.ledger import entry_line, holdouts_table

    with closing(Ledger.open(workspace.ledger)) as ledger:
        entries, holdouts = ledger.entries(), ledger.holdouts()
    print("\n".join(map(entry_line, entries)) or "no entries yet: no holdout was opened, nothing was decided")
    if not holdouts:
        return
    Console().print(holdouts_table(holdouts))
    for task in dict.fromkeys(h.task for h in holdouts if h.of_split):
        print(_waiting(workspace, task, arguments.config))


def _waiting(workspace: Workspace, task: str, file: Path | None) -> str:
    """One line, whatever is wrong with the task's configuration, its source or its splits."""
    from primum.config import load_run
    from primum.next_holdout import waiting_words

    try:
        config = load_run(workspace.configs, file)
        if config.task.name != task:
            config = load_run(workspace.configs, overrides={"task": task})
        return waiting_words(workspace, config)
    except PrimumError as problem:
        return f"{task}: how many labels wait for the next holdout cannot be told: {problem}"


def _verify(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from primum.ledger import Ledger

    with closing(Ledger.open(workspace.ledger)) as ledger:
        problems = ledger.verify()
        count = len(ledger.entries())
    print("\n".join(problems) if problems else f"{count} entries, the chain is intact")
    return 1 if problems else 0


def _note(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum.ledger import Ledger

    payload = {"by": arguments.by.strip(), "why": arguments.why.strip()}
    if not all(payload.values()):
        raise BadInput("a note needs --by NAME and --why TEXT")
    with closing(Ledger.open(workspace.ledger)) as ledger:
        entry = ledger.record(
            "note", task=arguments.task, site=ALL_SITES, payload=payload, now=datetime.now(UTC)
        )
    print(f"noted: {entry[:12]}")
