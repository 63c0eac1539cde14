"""What happened to the versions of a site, and how all sites of a task stand: the ledger joined with the registry."""

from __future__ import annotations

from contextlib import closing

from primum.ledger import Entry, Kind, Ledger
from primum.records import ALL_SITES, Frozen, RegisteredVersion
from primum.registry import store
from primum.registry.healing import STAGE_KINDS
from primum.workspace import Workspace, find_workspace

PAGE = 20


class Event(Frozen):
    """One thing that happened at a (task, site)."""

    time: str
    """ISO 8601, UTC."""
    kind: Kind
    """decision, promotion, override, rollback or retirement."""
    number: int | None
    """The version that was decided on, came into production or left it; None: it became no version."""
    outcome: str
    """The verdict: of the decision, or of the one that made the version; empty where it is not known."""
    reason: str
    """The main reason of that verdict."""
    by: str = ""
    why: str = ""
    """Who and why, where a person did it."""
    entry: str
    """Hash of the ledger entry."""


class SiteSummary(Frozen):
    """How a site of a task stands."""

    site: str
    champion: RegisteredVersion | None
    since: str | None
    """When the champion came into production (ISO 8601, UTC)."""
    anchor: RegisteredVersion | None
    versions: int
    outcome: str
    """The last verdict; empty where there is none."""
    decided: str | None
    """When it was reached."""
    serves: RegisteredVersion | None
    """The version that answers: the champion, or the pooled one."""


def history(task: str, site: str, limit: int = PAGE, workspace: Workspace | None = None) -> list[Event]:
    """The last `limit` decisions, promotions, rollbacks, overrides and retirements there, newest first."""
    with closing(_reading(workspace)) as ledger:
        entries = ledger.newest(limit, kind=("decision", *STAGE_KINDS), task=task, site=site)
    known = {version.number: version for version in store.newest(task, site, limit)} if entries else {}
    missing = {e.payload["version"] for e in entries if e.kind != "decision"} - set(known)
    found = (store.numbered(task, site, number) for number in missing)
    known |= {version.number: version for version in found if version is not None}
    made = {version.ledger_entry: version for version in known.values()}
    return [_event(entry, known, made) for entry in reversed(entries)]


def sites(task: str, workspace: Workspace | None = None) -> list[SiteSummary]:
    """How every site of the task stands, `all` first, then by name."""
    with closing(_reading(workspace)) as ledger:
        decided = ledger.last_of_sites(task, "decision")
        staged = ledger.last_of_sites(task, *STAGE_KINDS)
    champions, anchors, counts = store.champions(task), store.anchors(task), store.counts(task)
    pooled = champions.get(ALL_SITES)
    names = {name: counts.get(store.model_name(task, name), 0) for name in {*decided, *champions, *anchors}}
    return [
        SiteSummary(
            site=name,
            champion=champions.get(name),
            since=staged[name].time if name in staged and name in champions else None,
            anchor=anchors.get(name),
            versions=names[name],
            outcome=_verdict(decided[name])[0] if name in decided else "",
            decided=decided[name].time if name in decided else None,
            serves=champions.get(name, pooled),
        )
        for name in sorted(names, key=lambda name: (name != ALL_SITES, name))
    ]


def _reading(workspace: Workspace | None) -> Ledger:
    return Ledger.open((workspace or find_workspace()).ledger, whole=False)


def _event(entry: Entry, known: dict[int, RegisteredVersion], made: dict[str, RegisteredVersion]) -> Event:
    if entry.kind == "decision":
        version = made.get(entry.hash)
        number = None if version is None else version.number
        outcome, reason = _verdict(entry)
    else:
        number = int(entry.payload["version"])
        version = known.get(number)
        outcome, reason = ("", "") if version is None else (version.outcome, next(iter(version.reasons), ""))
    return Event(
        time=entry.time,
        kind=entry.kind,
        number=number,
        outcome=outcome,
        reason=reason,
        by=entry.payload.get("by", ""),
        why=entry.payload.get("why", ""),
        entry=entry.hash,
    )


def _verdict(entry: Entry) -> tuple[str, str]:
    """Outcome and main reason of a decision."""
    verdict = entry.payload.get("verdict", {})
    return str(verdict.get("outcome", "")), str(next(iter(verdict.get("reasons", ())), ""))
