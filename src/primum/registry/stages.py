"""What becomes of a version: registered, promoted, rolled back, retired.

The ledger is written first and says what is meant; the stage follows it (`heal`). So a stage that the ledger does
not explain cannot come about by a crash, and what a killed call left undone is done by the next one.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

from primum.bundle import Bundle, write_model_card
from primum.errors import BadInput
from primum.ledger import Kind, Ledger
from primum.progress import say
from primum.records import ALL_SITES, Decision, RegisteredVersion
from primum.registry import store
from primum.registry.bundles import fetch_bundle, keep_bundle
from primum.registry.healing import (
    carry_out,
    decision_on,
    ever_in_production,
    heal,
    ready,
    require_ledger,
    stage_entries,
)
from primum.workspace import Workspace

_NEVER_OVERRIDDEN = {"leakage", "parsed"}


def register(  # noqa: PLR0913 - what a version is made of
    workspace: Workspace,
    bundle: Bundle,
    decision: Decision,
    now: datetime,
    model_card: str | None = None,
    as_of: str | None = None,
) -> RegisteredVersion:
    """Add a version with its evidence; make it `production` only if the verdict is PROMOTE.

    The model card comes beside the adapter before the version exists: none is ever listed, let alone in
    production, without it. Registering the same decision again returns the version that it made and leaves the
    card as it is; another decision on the very same adapter replaces it, so that it tells the last verdict.
    `as_of` is the ISO date that the records ended at.

    One decision promotes once. A version that was in production and left it stays out, and so does one whose
    decision was overtaken by a later promotion: it was judged against a champion that no longer is.
    """
    evidence = decision.verdict.evidence
    version = store.of_decision(evidence.task, evidence.site, decision.ledger_entry)
    if version is None:
        kept = keep_bundle(workspace, bundle)
        if model_card is not None:
            write_model_card(kept, model_card)
        version = store.add(_version(bundle, decision, as_of))
    if version.outcome != "PROMOTE":
        return version
    require_ledger(workspace, version.task, version.site)
    version = store.version(version.task, version.site, version.number)
    stages = stage_entries(workspace, version.task, version.site)
    if version.number in {entry.payload["version"] for entry in stages}:
        return version
    later = [e for e in stages if e.position > decision_on(workspace, version).position]
    if any(entry.kind in ("promotion", "override") for entry in later):
        say(
            f"{version.name} stays out of production: another version was promoted after the decision on it; "
            "train again, or put it there by hand (primum registry promote)"
        )
        return version
    return _to_production(workspace, version, "promotion", {"decision": decision.ledger_entry}, now)


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
    Raises BadInput otherwise, and for a version that was in production before: that is a rollback.
    """
    require_ledger(workspace, chosen.task, chosen.site)
    chosen = store.version(chosen.task, chosen.site, chosen.number)
    _not_in_production(chosen)
    if chosen.number in ever_in_production(workspace, chosen.task, chosen.site):
        raise BadInput(
            f"{chosen.name} was in production before; put it back with `primum registry rollback --task "
            f"{chosen.task} --site {chosen.site} --to {chosen.number}`"
        )
    if chosen.outcome == "PROMOTE" and not override:
        return _to_production(workspace, chosen, "promotion", {"decision": chosen.ledger_entry}, now)
    if not override:
        raise BadInput(
            f"{chosen.name} was not promoted by the gate ({chosen.outcome}: {chosen.reasons[0]}); "
            "only a HOLD can be overridden, with --override --by NAME --why TEXT"
        )
    _may_be_overridden(workspace, chosen, by, why)
    details = {"decision": chosen.ledger_entry, "by": by.strip(), "why": why.strip()}
    return _to_production(workspace, chosen, "override", details, now)


def rollback(  # noqa: PLR0913 - where, when, to what and why
    workspace: Workspace, task: str, site: str, now: datetime, to: int | None = None, why: str = ""
) -> RegisteredVersion:
    """Put a version back that was in production: `to`, or the last one before the present one.

    `to` may also be newer than the present one: forward again. A rollback to the same version that a killed
    call had begun is finished, and that is all. Raises BadInput for a version that was never in production,
    Tampered when its bundle is gone or altered.
    """
    begun, present = ready(workspace, task, site)
    if present and begun and begun.kind == "rollback" and to in (None, present.number):
        return present
    target = _target(workspace, task, site, present, to)
    details: dict[str, Any] = {"from": present.number if present else None, "to": target.number}
    if why.strip():
        details["why"] = why.strip()
    return _to_production(workspace, target, "rollback", details, now)


def retire(workspace: Workspace, task: str, site: str, now: datetime, why: str) -> RegisteredVersion:
    """Take the version in production out of it; the pooled one serves the site from then on.

    A retirement that a killed call had begun is finished, and that is all. Returns the version that left.
    Raises BadInput where nothing is in production there, or `why` is empty.
    """
    if not why.strip():
        raise BadInput("a retirement needs --why TEXT: it is kept in the ledger")
    begun, present = ready(workspace, task, site)
    if begun is not None and begun.kind == "retirement":
        return store.version(task, site, begun.payload["version"])
    if present is None:
        raise BadInput(_nothing_there(task, site))
    payload = {"version": present.number, "bundle": present.bundle_sha256, "why": why.strip()}
    with closing(Ledger.open(workspace.ledger)) as ledger:
        ledger.record("retirement", task=task, site=site, payload=payload, now=now)
    heal(workspace, task, site)
    return store.version(task, site, present.number)


def _version(bundle: Bundle, decision: Decision, as_of: str | None) -> RegisteredVersion:
    verdict, evidence = decision.verdict, decision.verdict.evidence
    return RegisteredVersion(
        task=evidence.task,
        site=evidence.site,
        number=0,  # the store gives it
        stage=None,
        anchor=False,
        outcome=verdict.outcome,
        bundle_sha256=bundle.sha256,
        adapter_sha256=bundle.card.adapter_sha256,
        ledger_entry=decision.ledger_entry,
        reasons=verdict.reasons,
        metrics=evidence.metrics.get("adapter", {}),
        base_id=bundle.card.base_id,
        base_hash=bundle.card.base_hash,
        as_of=as_of,
    )


def _may_be_overridden(workspace: Workspace, chosen: RegisteredVersion, by: str, why: str) -> None:
    if chosen.outcome != "HOLD":
        raise BadInput(f"{chosen.name}: an override is for a HOLD only, and its verdict is {chosen.outcome}")
    if not by.strip() or not why.strip():
        raise BadInput("an override needs --by NAME and --why TEXT: both are kept in the ledger")
    known = store.versions(chosen.task, chosen.site)
    same = [v for v in known if v.adapter_sha256 == chosen.adapter_sha256]
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


def _target(
    workspace: Workspace, task: str, site: str, present: RegisteredVersion | None, to: int | None
) -> RegisteredVersion:
    ever = ever_in_production(workspace, task, site)
    if to is None:
        older = [number for number in ever if present is not None and number < present.number]
        if not older:
            if not ever:
                store.require_site(task, site)
            raise BadInput(
                f"{task}@{site}: no earlier production version to roll back to; name one with --to"
                + (f" ({_numbers(ever)} were there)" if ever else "")
            )
        return store.version(task, site, max(older))
    target = store.version(task, site, to)
    _not_in_production(target)
    if to not in ever:
        were = f" ({_numbers(ever)})" if ever else ""
        raise BadInput(f"{target.name} was never in production; `rollback` goes to a version that was{were}")
    return target


def _numbers(ever: set[int]) -> str:
    return ", ".join(f"v{number}" for number in sorted(ever)[-10:])


def _not_in_production(chosen: RegisteredVersion) -> None:
    if chosen.stage == "production":
        raise BadInput(f"{chosen.name} is in production already")


def _nothing_there(task: str, site: str) -> str:
    store.require_site(task, site)
    pooled = None if site == ALL_SITES else store.champion(task, ALL_SITES)
    serves = f"; {pooled.name} serves it already" if pooled else ""
    return f"{task}@{site}: no version of its own is in production{serves}"


def _to_production(
    workspace: Workspace, chosen: RegisteredVersion, kind: Kind, details: dict[str, Any], now: datetime
) -> RegisteredVersion:
    bundle = fetch_bundle(workspace, chosen)  # an altered bundle must not reach production
    if bundle.card.recipe.canaries:
        raise BadInput(
            f"{chosen.name} was trained with canaries: it holds made-up records, to be audited and not to be used; "
            "train again with model.recipe.canaries: 0"
        )
    payload = {"version": chosen.number, "bundle": chosen.bundle_sha256, **details}
    with closing(Ledger.open(workspace.ledger)) as ledger:
        write = ledger.record_once if kind == "promotion" else ledger.record
        write(kind, task=chosen.task, site=chosen.site, payload=payload, now=now)
    _, present = carry_out(workspace, chosen.task, chosen.site)
    if present is not None and present.number == chosen.number:
        return present
    return store.version(chosen.task, chosen.site, chosen.number)  # another process was next


def _checks(workspace: Workspace, chosen: RegisteredVersion, status: str) -> set[str]:
    checks = decision_on(workspace, chosen).payload["verdict"]["evidence"]["checks"]
    return {check["name"] for check in checks if check["status"] == status}
