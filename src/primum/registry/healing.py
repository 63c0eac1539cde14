"""Ledger and registry of one piece: the ledger says what is meant, the stage is made that.

A call that was killed between the two left them apart; the next one ends what it had begun.
"""

from __future__ import annotations

from contextlib import closing

from primum.errors import Tampered
from primum.ledger import Entry, Kind, Ledger
from primum.records import RegisteredVersion
from primum.registry import store
from primum.workspace import Workspace

STAGE_KINDS: tuple[Kind, ...] = ("promotion", "override", "rollback", "retirement")
"""Entries after which another version is in production, or none: the newest one says which."""
_CHECKED = 100
"""So many of a site's last versions must have their decision in the ledger."""


def heal(workspace: Workspace, task: str, site: str) -> RegisteredVersion | None:
    """Make the stage what the ledger says last; return the version in production.

    Nothing changes where they agree. Where a call was killed between ledger and stage, or the stage was changed
    by other means than Primum's, they do not. Raises Tampered where the ledger does not know the version in
    production, or knows one that the registry does not hold.
    """
    return carry_out(workspace, task, site)[1]


def require_ledger(workspace: Workspace, task: str, site: str) -> None:
    """Make sure that ledger and registry are of one piece there, and heal what a killed call left.

    Raises Tampered where the ledger is broken, or does not hold the decision on each of the last versions. The
    chain being whole, it then holds all before them: their hashes are in those of the entries that follow.
    """
    ready(workspace, task, site)


def ready(workspace: Workspace, task: str, site: str) -> tuple[Entry | None, RegisteredVersion | None]:
    """As `require_ledger`; returns what `carry_out` does."""
    with closing(Ledger.open(workspace.ledger)) as ledger:
        known = store.newest(task, site, _CHECKED)
        lost = ledger.unknown({version.ledger_entry for version in known})
    for version in known:
        if version.ledger_entry in lost:
            raise _unknown(version)
    return carry_out(workspace, task, site)


def carry_out(workspace: Workspace, task: str, site: str) -> tuple[Entry | None, RegisteredVersion | None]:
    """Do what the ledger says last. Raises as `heal`.

    Returns the entry where it was not done yet, and the version in production.
    """
    present = store.champion(task, site)
    with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
        if present is not None and ledger.unknown({present.ledger_entry}):
            raise _unknown(present)
        last = ledger.last(kind=STAGE_KINDS, task=task, site=site)
    meant = None if last is None or last.kind == "retirement" else last.payload["version"]
    if meant == (None if present is None else present.number):
        return None, present
    if meant is None:
        if present is not None:
            store.to_archive(present)
        return last, None
    target = store.numbered(task, site, meant)
    if target is None:
        raise Tampered(
            f"the ledger says that {task}@{site} v{meant} is in production, and the registry does not hold it; "
            "restore ZenML's store from a backup"
        )
    return last, store.to_production(target)  # its bundle was verified before the entry was written


def ever_in_production(workspace: Workspace, task: str, site: str) -> set[int]:
    """Numbers of the versions that were ever in production there."""
    return {entry.payload["version"] for entry in stage_entries(workspace, task, site)}


def stage_entries(workspace: Workspace, task: str, site: str) -> tuple[Entry, ...]:
    """Everything that changed what is in production there, in order."""
    with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
        return ledger.entries(kind=STAGE_KINDS, task=task, site=site)


def decision_on(workspace: Workspace, chosen: RegisteredVersion) -> Entry:
    """The decision on a version."""
    with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
        entry = ledger.last(hash=chosen.ledger_entry)
    if entry is None:
        raise _unknown(chosen)
    return entry


def _unknown(found: RegisteredVersion) -> Tampered:
    return Tampered(
        f"the ledger does not hold the decision on {found.name}; restore the ledger from a backup"
    )
