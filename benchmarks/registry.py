"""How long registry and ledger take to answer at 10,000 versions of 1,000 sites and 30,000 ledger entries, on SQLite.

    python benchmarks/registry.py [--home DIR]

Both are filled past the pipelines, as these would leave them: versions through the store's own tables (the client
takes hours), entries through the ledger's own append, in one transaction. Each question is asked 50 times, of
50 sites; goal: median and 95th percentile below 100 ms. `cpu` is the process's own time, which a busy machine
does not stretch.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import record

SITES, VERSIONS, TASK = 1000, 10, "bench"
CALLS, GOAL = 50, 100.0
START = datetime(2020, 1, 1, tzinfo=UTC)
REASONS = ("every required check passed: it is better than the base and not worse than any other",)


def site_of(number: int) -> str:
    return f"site-{number:04d}"


def verdict(look: str) -> dict[str, Any]:
    """About as long as a real one: 12 checks with their statistics, metrics of six systems."""
    statistics = {f"statistic_{i}": 0.123456789 for i in range(10)}
    check = {"required": True, "status": "pass", "reason": REASONS[0], "statistics": statistics}
    metrics = {f"metric_{i}": 0.123456789 for i in range(12)}
    evidence = {
        "checks": [{"name": f"check_{i}", **check} for i in range(12)],
        "metrics": {f"system_{i}": metrics for i in range(6)},
        "look": {"entry_hash": look},
    }
    return {"verdict": {"outcome": "PROMOTE", "reasons": REASONS, "evidence": evidence}}


def fill_ledger(address: str | Path) -> dict[tuple[int, int], str]:
    """A look, a decision and a promotion of each version; returns the decisions' hashes."""
    from primum.ledger import Ledger
    from primum.ledger.store import append

    decisions, now = {}, START
    with closing(Ledger.open(address)) as ledger, ledger._engine.begin() as connection:
        for number in range(1, VERSIONS + 1):
            for site in range(SITES):
                now += timedelta(minutes=1)
                where = {"task": TASK, "site": site_of(site)}
                holdout = f"{site:04d}-{(number - 1) // 4}"
                plan = {"number": 1 + (number - 1) % 4, "planned": 4, "alpha": 0.0125, "holdout_alpha": 0.05}
                asked = {"candidate": "c" * 64, "run": "run", "records": "r" * 64}
                look = append(
                    connection, now, kind="look", holdout=holdout, payload={**plan, **asked}, **where
                )
                made = append(
                    connection, now, kind="decision", holdout=holdout, payload=verdict(look.hash), **where
                )
                decisions[site, number] = made.hash
                promoted = {"version": number, "bundle": "b" * 64, "decision": made.hash}
                append(connection, now, kind="promotion", holdout="", payload=promoted, **where)
    return decisions


def fill_registry(decisions: dict[tuple[int, int], str]) -> None:
    """Versions, their records and their tags as rows of ZenML's tables."""
    import sqlalchemy as sa
    from zenml.client import Client
    from zenml.zen_stores.schemas import (
        ModelSchema,
        ModelVersionSchema,
        RunMetadataResourceSchema,
        RunMetadataSchema,
        TagResourceSchema,
    )

    from primum.records import RegisteredVersion
    from primum.registry import ANCHOR_TAG, RECORD, store

    client = Client()
    own = {"project_id": client.active_project.id, "user_id": client.active_user.id}
    dated = {"created": datetime(2020, 1, 1), "updated": datetime(2020, 1, 1)}
    tags = {name: client.create_tag(name).id for name in ("primum", ANCHOR_TAG, "PROMOTE")}
    tables = (
        ModelSchema,
        ModelVersionSchema,
        RunMetadataSchema,
        RunMetadataResourceSchema,
        TagResourceSchema,
    )
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in tables}

    def tag(name: str, kind: str, of: uuid.UUID) -> None:
        rows[TagResourceSchema].append(
            {"id": uuid.uuid4(), "tag_id": tags[name], "resource_id": of, "resource_type": kind, **dated}
        )

    for site in range(SITES):
        model = uuid.uuid4()
        name = store.model_name(TASK, site_of(site))
        rows[ModelSchema].append({"id": model, "name": name, "save_models_to_registry": True, **own, **dated})
        tag("primum", "model", model)
        for number in range(1, VERSIONS + 1):
            version, note, entry = uuid.uuid4(), uuid.uuid4(), decisions[site, number]
            kept = RegisteredVersion(
                task=TASK,
                site=site_of(site),
                number=number,
                stage=None,
                anchor=False,
                outcome="PROMOTE",
                bundle_sha256="b" * 64,
                adapter_sha256="a" * 64,
                ledger_entry=entry,
                reasons=REASONS * 8,
                metrics=dict.fromkeys(("macro_f1", "accuracy", "brier", "auroc", "recall"), 0.9),
                base_id="primum-base",
                base_hash="0" * 64,
                as_of="2020-01-01",
            )
            rows[ModelVersionSchema].append(
                {
                    "id": version,
                    "name": f"decision-{entry}",
                    "number": number,
                    "model_id": model,
                    "stage": "production" if number == VERSIONS else "archived",
                    "producer_run_id_if_numeric": version,
                    **own,
                    **dated,
                }
            )
            text = json.dumps(kept.model_dump_json())
            rows[RunMetadataSchema].append(
                {"id": note, "key": RECORD, "value": text, "type": "str", **own, **dated}
            )
            link = {"resource_id": version, "resource_type": "model_version", "run_metadata_id": note}
            rows[RunMetadataResourceSchema].append({"id": uuid.uuid4(), **link})
            tag("PROMOTE", "model_version", version)
            if number == 1:
                tag(ANCHOR_TAG, "model_version", version)
    with client.zen_store.engine.begin() as connection:
        for table, some in rows.items():
            connection.execute(sa.insert(table.__table__), some)


def timed(call: Callable[[str], object], sites: list[str]) -> dict[str, float]:
    """Milliseconds of one call: median and 95th percentile, and the median of the process's own time."""
    call(sites[0])  # the first one imports and connects
    wall, own = [], []
    for site in sites:
        began, spent = time.perf_counter(), time.process_time()
        call(site)
        wall.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.process_time() - spent))
    ordered = sorted(wall)
    return {
        "median": ordered[len(ordered) // 2],
        "p95": ordered[int(0.95 * (len(ordered) - 1))],
        "cpu": sorted(own)[len(own) // 2],
    }


def questions(workspace: Any) -> dict[str, Callable[[str], object]]:
    """What is asked, and how."""
    from primum import registry
    from primum.ledger import Ledger
    from primum.registry.healing import STAGE_KINDS

    def reading(ask: Callable[[Any, str], object]) -> Callable[[str], object]:
        def call(site: str) -> object:
            with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
                return ask(ledger, site)

        return call

    def look(site: str) -> object:
        now = START + timedelta(days=3650)
        asked = {"candidate": "c", "run": "r", "records": site}
        with closing(Ledger.open(workspace.ledger)) as ledger:
            return ledger.reserve(
                task=TASK, site=site, holdout=f"new {site}", planned_looks=4, alpha=0.05, now=now, **asked
            )

    return {
        "champion": lambda site: registry.champion(TASK, site),
        "serving, the site's own": lambda site: registry.serving(TASK, site),
        "serving, of the pooled one": lambda site: registry.serving(TASK, f"new {site}", site),
        "anchor": lambda site: registry.anchor(TASK, site),
        "history, 20 events": lambda site: registry.history(TASK, site, workspace=workspace),
        "ledger: looks used": reading(lambda ledger, site: ledger.looks_used(f"{site[5:]}-0", TASK, site)),
        "ledger: entries of a holdout": reading(lambda ledger, site: ledger.entries(holdout=f"{site[5:]}-0")),
        "ledger: last decision": reading(
            lambda ledger, site: ledger.last(kind="decision", task=TASK, site=site)
        ),
        "ledger: what is in production": reading(
            lambda ledger, site: ledger.last(kind=STAGE_KINDS, task=TASK, site=site)
        ),
        "ledger: reserve a look (the chain followed on)": look,
        "require_ledger, before a run (no goal was set)": lambda site: registry.require_ledger(
            workspace, TASK, site
        ),
    }


def once(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(home: Path) -> None:
    os.environ["PRIMUM_HOME"] = str(home)
    from primum import registry
    from primum.ledger import Ledger
    from primum.stack.store import bootstrap
    from primum.workspace import find_workspace

    workspace = find_workspace()
    bootstrap(workspace)
    if not registry.count(TASK):
        fill_registry(fill_ledger(workspace.ledger))
    drawn = [site_of((number * 387) % SITES) for number in range(CALLS)]
    with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
        whole = once(ledger.verify)
        entries = len(ledger.entries())
    rows, details = [], {}
    for what, call in questions(workspace).items():
        found = details[what] = timed(call, drawn)
        for part in ("median", "p95"):
            rows.append(record.row(f"{what}: {part}, ms", found[part], None, "< 100", found[part] < GOAL))
        print(what, {key: round(value, 1) for key, value in found.items()}, flush=True)
    seconds = {
        "verify the whole chain": whole,
        "registry sites (all sites in one table)": once(lambda: registry.sites(TASK, workspace)),
        "every version listed": once(lambda: registry.versions(TASK)),
    }
    print(seconds)
    record.write(
        "registry",
        rows,
        ("zenml", "sqlalchemy", "sqlmodel"),
        versions_count=registry.count(TASK),
        entries=entries,
        milliseconds=details,
        seconds=seconds,
        load=os.getloadavg()[0],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--home", type=Path, help="keep the filled stores there, for another run")
    chosen = parser.parse_args()
    if chosen.home:
        measure(chosen.home.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="primum-registry-") as folder:
        measure(Path(folder))


if __name__ == "__main__":
    main()
