"""`primum registry`: versions, their evidence, their stages and what became of them at each site."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from primum.records import ALL_SITES, RegisteredVersion
from primum.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

    from primum.registry import Event, SiteSummary

Commands = argparse._SubParsersAction  # argparse gives its type no public name
MANY = 200
"""From so many versions on, a list of all of them helps nobody: a row per site is shown instead."""


def add_registry(commands: Commands[argparse.ArgumentParser]) -> None:
    """Register `primum registry`."""
    registry = commands.add_parser("registry", help="versions, their evidence and their stages")
    actions = registry.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="versions, of one task and site or of all")
    listing.add_argument("--task")
    listing.add_argument("--site")
    listing.set_defaults(run=_list)
    sites = actions.add_parser("sites", help="a row per site: champion, since when, anchor, last verdict")
    sites.add_argument("--task", required=True)
    sites.set_defaults(run=_sites)
    history = actions.add_parser("history", help="what happened at a site, newest first")
    show = actions.add_parser("show", help="one version with its verdict and hashes")
    promote = actions.add_parser("promote", help="put a version into production")
    rollback = actions.add_parser("rollback", help="put a version back that was in production before")
    retire = actions.add_parser("retire", help="take a site's version out: the pooled one serves there again")
    for action, run in (
        (history, _history),
        (show, _show),
        (promote, _promote),
        (rollback, _rollback),
        (retire, _retire),
    ):
        action.add_argument("--task", required=True)
        action.add_argument("--site", default=ALL_SITES)
        action.set_defaults(run=run)
    history.add_argument("--limit", type=_positive, default=20, metavar="N", help="default %(default)s")
    show.add_argument("number", type=int)
    promote.add_argument("number", type=int)
    promote.add_argument("--override", action="store_true", help="promote a HOLD; needs --by and --why")
    promote.add_argument("--by", default="", metavar="NAME")
    promote.add_argument("--why", default="", metavar="TEXT")
    rollback.add_argument("--to", type=int, metavar="N", help="by default the one before the present one")
    rollback.add_argument("--why", default="", metavar="TEXT", help="never anything about a patient")
    retire.add_argument("--why", required=True, metavar="TEXT", help="never anything about a patient")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _list(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    task, site = arguments.task, arguments.site
    many = 0 if task and site else registry.count(task)
    if many > MANY and task:
        print(f"{many} versions; a row per site follows, --site NAME lists the versions of one")
        _sites(workspace, arguments)
        return
    if many > MANY:
        print(f"{many} versions; name a task: primum registry list --task NAME")
        return
    found = registry.versions(task, site)
    if found:
        Console().print(_versions_table(found))
        return
    if task and site:
        registry.require_site(task, site)
    print("no versions yet; `python run.py --pipeline finetune` makes the first one")


def _sites(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    found = registry.sites(arguments.task, workspace)
    if not found:
        print(f"no site of task '{arguments.task}' has a version or a verdict yet")
        return
    Console().print(_sites_table(found))


def _history(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    task, site = arguments.task, arguments.site
    found = registry.history(task, site, arguments.limit, workspace)
    if not found:
        registry.require_site(task, site)
        print(f"nothing was decided at {task}@{site} yet")
        return
    Console().print(_history_table(found))


def _show(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    version = registry.version(arguments.task, arguments.site, arguments.number)
    bundle = registry.fetch_bundle(workspace, version)
    print(version.model_dump_json(indent=2))
    print(f"bundle: {bundle.path} (hash verified)")
    print(f"base {bundle.card.base_id} {bundle.card.base_hash[:12]}, split {bundle.card.split_version}")


def _promote(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    chosen = registry.version(arguments.task, arguments.site, arguments.number)
    how = {"override": arguments.override, "by": arguments.by, "why": arguments.why}
    print(f"{registry.promote(workspace, chosen, registry.utc_now(), **how).name} is in production")


def _rollback(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    where = (arguments.task, arguments.site)
    target = registry.rollback(workspace, *where, registry.utc_now(), arguments.to, arguments.why)
    print(f"{target.name} is in production again")


def _retire(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from primum import registry
    from primum.stack.store import bootstrap

    bootstrap(workspace)
    task, site = arguments.task, arguments.site
    gone = registry.retire(workspace, task, site, registry.utc_now(), arguments.why)
    serves = registry.serving(task, site)
    now = f"{serves.name} serves {site}" if serves else f"nothing serves {site} any more"
    print(f"{gone.name} left production; {now}")


def _versions_table(found: list[RegisteredVersion]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("version", "stage", "verdict", "macro-F1", "as of", "base", "bundle", box=None)
    for v in found:
        score = v.metrics.get("macro_f1")
        stage = (v.stage or "-") + (" (anchor)" if v.anchor else "")
        table.add_row(
            Text(v.name),
            stage,
            v.outcome,
            "-" if score is None else f"{score:.3f}",
            _day(v.as_of),
            v.base_hash[:8] or "-",
            v.bundle_sha256[:12],
        )
    return table


def _sites_table(found: list[SiteSummary]) -> Table:
    from rich.table import Table
    from rich.text import Text

    headings = ("site", "champion", "since", "as of", "anchor", "versions", "last verdict")
    table = Table(*headings, box=None)
    for s in found:
        pooled = "-" if s.serves is None else f"({s.serves.site} v{s.serves.number})"
        verdict = f"{s.outcome} {_day(s.decided)}" if s.outcome else "-"
        table.add_row(
            Text(s.site),
            Text(f"v{s.champion.number}" if s.champion else pooled),
            _day(s.since),
            _day(s.champion.as_of if s.champion else None),
            f"v{s.anchor.number}" if s.anchor else "-",
            str(s.versions),
            verdict,
        )
    return table


def _history_table(found: list[Event]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("time", "what", "version", "verdict", "why", box=None)
    for event in found:
        said = event.why or event.reason
        table.add_row(
            event.time[:16].replace("T", " "),
            event.kind,
            "-" if event.number is None else f"v{event.number}",
            event.outcome or "-",
            Text(f"{event.by}: {said}" if event.by else said),
        )
    return table


def _day(stamp: str | None) -> str:
    return "-" if stamp is None else stamp[:10]
