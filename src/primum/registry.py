"""The registry: ZenML's Model Control Plane holds versions and stages, a folder per content hash the bundles.

This is the only file that changes a stage. Every change is written to the ledger first, so that a stage that
the ledger does not explain cannot come about by a crash.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primum.bundle import Bundle, open_bundle, write_model_card
from primum.errors import BadInput, Tampered
from primum.ledger import Kind, Ledger
from primum.records import Decision, RegisteredVersion
from primum.workspace import Workspace

if TYPE_CHECKING:
    from zenml.models import ModelVersionResponse

RECORD = "primum"
"""The metadata key under which a model version carries its RegisteredVersion."""
ANCHOR_TAG = "anchor"
_NEVER_OVERRIDDEN = {"leakage", "parsed"}


def register(
    workspace: Workspace, bundle: Bundle, decision: Decision, now: datetime, model_card: str | None = None
) -> RegisteredVersion:
    """Add a version with its evidence; make it `production` only if the verdict is PROMOTE.

    The model card comes beside the adapter before the version exists: none is ever listed, let alone in
    production, without it. Registering the same decision again returns the version that it made and leaves the
    card as it is; another decision on the very same adapter replaces it, so that it tells the last verdict.
    """
    from zenml.client import Client

    evidence = decision.verdict.evidence
    task, site = evidence.task, evidence.site
    known = [v for v in versions(task, site) if v.ledger_entry == decision.ledger_entry]
    if known:
        version = known[0]
    else:
        kept = keep_bundle(workspace, bundle)
        if model_card is not None:
            write_model_card(kept, model_card)
        _ensure_model(task, site)
        made = Client().create_model_version(_model_name(task, site), tags=[decision.verdict.outcome])
        version = RegisteredVersion(
            task=task,
            site=site,
            number=made.number,
            stage=None,
            anchor=False,
            outcome=decision.verdict.outcome,
            bundle_sha256=bundle.sha256,
            adapter_sha256=bundle.card.adapter_sha256,
            ledger_entry=decision.ledger_entry,
            reasons=decision.verdict.reasons,
            metrics=evidence.metrics.get("adapter", {}),
        )
        _write_record(made, version)
    if version.outcome == "PROMOTE" and version.stage is None:
        version = _to_production(workspace, version, "promotion", {"decision": decision.ledger_entry}, now)
    return version


def versions(task: str | None = None, site: str | None = None) -> list[RegisteredVersion]:
    """All versions, newest first within a task and site."""
    found = [_read_record(v) for v in _model_versions(task, site)]
    kept = [v for v in found if v is not None and task in (None, v.task) and site in (None, v.site)]
    return sorted(kept, key=lambda v: (v.task, v.site, -v.number))


def version(task: str, site: str, number: int) -> RegisteredVersion:
    """One version. Raises BadInput with the known numbers."""
    known = versions(task, site)
    for candidate in known:
        if candidate.number == number:
            return candidate
    numbers = ", ".join(str(v.number) for v in known) or "none yet"
    raise BadInput(f"{task}@{site} has no version {number}; known: {numbers} (see `primum registry list`)")


def champion(task: str, site: str) -> RegisteredVersion | None:
    """The version in production, if any."""
    return next((v for v in versions(task, site) if v.stage == "production"), None)


def anchor(task: str, site: str) -> RegisteredVersion | None:
    """The first version ever promoted there, if any."""
    return next((v for v in versions(task, site) if v.anchor), None)


def promote(  # noqa: PLR0913 - an override names who and why
    workspace: Workspace,
    chosen: RegisteredVersion,
    now: datetime,
    *,
    override: bool = False,
    by: str = "",
    why: str = "",
) -> RegisteredVersion:
    """Put a version into production. Without `override` only one that the gate promoted.

    An override is for a HOLD only, never where the leakage or the parsed check failed or could not be judged,
    or where the very same adapter was rejected before; it names who and why.
    Raises BadInput otherwise.
    """
    _not_in_production(chosen)
    if chosen.outcome == "PROMOTE" and not override:
        return _to_production(workspace, chosen, "promotion", {"decision": chosen.ledger_entry}, now)
    if not override:
        raise BadInput(
            f"{chosen.name} was not promoted by the gate ({chosen.outcome}: {chosen.reasons[0]}); "
            "only a HOLD can be overridden, with --override --by NAME --why TEXT"
        )
    if chosen.outcome != "HOLD":
        raise BadInput(f"{chosen.name}: an override is for a HOLD only, and its verdict is {chosen.outcome}")
    if not by.strip() or not why.strip():
        raise BadInput("an override needs --by NAME and --why TEXT: both are kept in the ledger")
    same = [v for v in versions(chosen.task, chosen.site) if v.adapter_sha256 == chosen.adapter_sha256]
    rejected = next((v for v in same if v.outcome == "REJECT"), None)
    if rejected is not None:  # on a holdout that was exhausted since, its verdict would be HOLD
        raise BadInput(
            f"{chosen.name} is the adapter of {rejected.name}, which the gate rejected; that stands"
        )
    failed = {name for v in same for name in _checks(workspace, v, "fail")} & _NEVER_OVERRIDDEN
    if failed:
        raise BadInput(
            f"{chosen.name}: the {' and '.join(sorted(failed))} check failed; that is never overridden"
        )
    unjudged = _checks(workspace, chosen, "hold") & _NEVER_OVERRIDDEN
    if unjudged:  # an exhausted holdout: no prediction was made
        raise BadInput(
            f"{chosen.name}: the {' and '.join(sorted(unjudged))} check could not be judged; "
            "that is never overridden"
        )
    details = {"decision": chosen.ledger_entry, "by": by.strip(), "why": why.strip()}
    return _to_production(workspace, chosen, "override", details, now)


def rollback(
    workspace: Workspace, task: str, site: str, now: datetime, to: int | None = None
) -> RegisteredVersion:
    """Put an earlier production version back: `to`, or the last one before the present one."""
    present = champion(task, site)
    earlier = [v for v in versions(task, site) if v.stage == "archived"]
    if to is not None:
        target = version(task, site, to)
        _not_in_production(target)
        if target not in earlier:
            raise BadInput(f"{target.name} was never in production; `rollback` goes to a version that was")
    else:
        older = [v for v in earlier if present is not None and v.number < present.number]
        if not older:
            raise BadInput(
                f"{task}@{site}: no earlier production version to roll back to; name one with --to"
            )
        target = older[0]
    details = {"from": present.number if present else None, "to": target.number}
    return _to_production(workspace, target, "rollback", details, now)


def keep_bundle(workspace: Workspace, bundle: Bundle) -> Path:
    """Copy a bundle into the registry's folder under its hash, whole or not at all."""
    target = workspace.bundles / bundle.sha256
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed call may have left
        shutil.copytree(bundle.path, temporary)
        open_bundle(temporary, bundle.sha256)
        temporary.replace(target)
    return target


def fetch_bundle(workspace: Workspace, chosen: RegisteredVersion) -> Bundle:
    """Open a version's bundle. Raises Tampered when a file is gone or does not match its hash."""
    return open_bundle(workspace.bundles / chosen.bundle_sha256, chosen.bundle_sha256)


def require_ledger(workspace: Workspace, task: str, site: str) -> None:
    """Make sure that the ledger holds the decision on every version. Raises Tampered where it was replaced."""
    with closing(Ledger.open(workspace.ledger)) as ledger:
        known = {entry.hash for entry in ledger.entries(kind="decision", task=task, site=site)}
    for found in versions(task, site):
        if found.ledger_entry not in known:
            raise _unknown(found)


def _unknown(found: RegisteredVersion) -> Tampered:
    return Tampered(
        f"the ledger does not hold the decision on {found.name}; restore the ledger from a backup"
    )


def _not_in_production(chosen: RegisteredVersion) -> None:
    if chosen.stage == "production":
        raise BadInput(f"{chosen.name} is in production already")


def _to_production(
    workspace: Workspace, chosen: RegisteredVersion, kind: Kind, details: dict[str, Any], now: datetime
) -> RegisteredVersion:
    fetch_bundle(workspace, chosen)  # an altered bundle must not reach production
    require_ledger(workspace, chosen.task, chosen.site)
    payload = {"version": chosen.number, "bundle": chosen.bundle_sha256, **details}
    with closing(Ledger.open(workspace.ledger)) as ledger:
        ledger.record(kind, task=chosen.task, site=chosen.site, payload=payload, now=now)
    return _set_production(chosen)


def _set_production(chosen: RegisteredVersion) -> RegisteredVersion:
    from zenml.client import Client

    first = anchor(chosen.task, chosen.site) is None
    name = _model_name(chosen.task, chosen.site)
    model_version = Client().get_model_version(name, chosen.number)
    if first:  # before the stage: a crash in between must not let a later version become the anchor
        Client().update_model_version(name, model_version.id, add_tags=[ANCHOR_TAG])
    model_version.set_stage("production", force=True)
    return version(chosen.task, chosen.site, chosen.number)


def _checks(workspace: Workspace, chosen: RegisteredVersion, status: str) -> set[str]:
    with closing(Ledger.open(workspace.ledger)) as ledger:
        entry = next((e for e in ledger.entries() if e.hash == chosen.ledger_entry), None)
    if entry is None:
        raise _unknown(chosen)
    checks = entry.payload["verdict"]["evidence"]["checks"]
    return {check["name"] for check in checks if check["status"] == status}


def _model_name(task: str, site: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", site)
    mark = "" if slug == site else f"-{hashlib.sha256(site.encode()).hexdigest()[:6]}"
    return f"{task}.{slug}{mark}"


def _ensure_model(task: str, site: str) -> None:
    from zenml.client import Client

    name = _model_name(task, site)
    if not Client().list_models(name=name).total:
        Client().create_model(name, description=f"Adapters for {task} at {site}", tags=["primum"])


def _model_versions(task: str | None, site: str | None) -> Iterator[ModelVersionResponse]:
    from zenml.client import Client

    if task is not None and site is not None:
        names = [_model_name(task, site)]
    else:
        names = [m.name for m in _pages(Client().list_models, tags=["primum"])]
    for name in names:
        if Client().list_models(name=name).total:
            yield from _pages(Client().list_model_versions, model=name, hydrate=True)


def _pages(call: Any, **filters: Any) -> Iterator[Any]:
    page = 1
    while True:
        found = call(page=page, size=100, **filters)
        yield from found.items
        if page >= found.total_pages:
            return
        page += 1


def _write_record(made: ModelVersionResponse, record: RegisteredVersion) -> None:
    from zenml import log_metadata

    log_metadata(
        metadata={RECORD: record.model_dump_json()}, model_name=made.model.name, model_version=made.number
    )


def _read_record(found: ModelVersionResponse) -> RegisteredVersion | None:
    text = found.run_metadata.get(RECORD)
    if text is None:
        return None  # made by hand in ZenML, not by Primum
    stored = RegisteredVersion.model_validate_json(str(text))
    tags = {tag.name for tag in found.tags}
    return stored.model_copy(update={"stage": found.stage, "anchor": ANCHOR_TAG in tags})


def utc_now() -> datetime:
    """The present moment: the clock that commands and steps pass on."""
    return datetime.now(UTC)
