"""Serving from a file: the production adapter's label, calibrated probability and label set for each record.

Where the set is not exactly the label - several labels, none, or another - the record is referred to a human.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from primum import registry
from primum.backends import open_backend
from primum.backends.base import Backend
from primum.bundle import Bundle
from primum.config import RunConfig
from primum.errors import BadInput
from primum.ingest import ingest_unlabelled
from primum.jobs.devices import locked, resolve_stack
from primum.parity import require_parity
from primum.progress import say, show
from primum.records import ALL_SITES, Predictions, RegisteredVersion
from primum.scoring import score_records
from primum.served import table
from primum.workspace import Workspace, writable


def predict(workspace: Workspace, config: RunConfig, file: Path, number: int | None = None) -> pd.DataFrame:
    """Score every record of `file` with the version in production, or with version `number`.

    Columns of the result: record_id, label, probability (calibrated, of that label), probability_<label> of
    each label, label_set (labels that cannot be excluded, joined by `|`), refer (`refer to a human` or
    nothing), set_basis (whose thresholds: `site`, `pooled`, or `pooled (site never seen)`), adapter (version).
    The three of the set are absent where the version was trained before there were label sets. Raises
    BadInput when nothing is in production.
    """
    version = _chosen(config, number)
    bundle = registry.fetch_bundle(workspace, version)
    _require_same_features(config, bundle, version)
    records = _read(workspace, config, file)
    stack = resolve_stack(config.stack)
    with locked(workspace, stack, say):  # a training beside it could run out of the device's memory
        backend = open_backend(config.model, stack, workspace.project)
        predictions = _score(backend, bundle, version, records)
    return table(predictions, version, bundle, records["site"].tolist())


def _score(
    backend: Backend, bundle: Bundle, version: RegisteredVersion, records: pd.DataFrame
) -> Predictions:
    """Raises BadInput where the bundle is of another base, and what `require_parity` raises."""
    if backend.base_hash != bundle.card.base_hash:
        raise BadInput(
            f"{version.name} is an adapter of {bundle.card.base_id}; choose that base with --model"
        )
    adapted = backend.with_adapter(Path(bundle.path))
    if bundle.card.parity is not None:
        require_parity(version.name, bundle.card.parity, adapted, bundle.card.renderer)
    return score_records(
        adapted,
        bundle.card.renderer,
        records,
        system=version.name,
        calibration=bundle.card.calibration,
        progress=show,
    )


def _read(workspace: Workspace, config: RunConfig, file: Path) -> pd.DataFrame:
    """The checked records, in the order of the file; the folder is this call's own and goes with it."""
    scratch = writable(workspace.state / "predict", "the state folder")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        report = ingest_unlabelled(config.task, file, Path(folder))
        return pd.read_parquet(report.path).sort_values("row", ignore_index=True)


def _require_same_features(config: RunConfig, bundle: Bundle, version: RegisteredVersion) -> None:
    """The task must still describe the columns that the adapter was trained on."""
    trained = [(f.column, f.name, f.kind, f.unit, f.words) for f in bundle.card.renderer.features]
    present = [(f.column, f.name, f.kind, f.unit, f.values) for f in config.task.features]
    if trained != present:
        changed = sorted({t[0] for t in trained} ^ {p[0] for p in present}) or [
            "their names, units or values"
        ]
        raise BadInput(
            f"task '{config.task.name}' has changed since {version.name} was trained ({', '.join(changed[:3])}); "
            "restore the task file, or train again"
        )


def _chosen(config: RunConfig, number: int | None) -> RegisteredVersion:
    task, site = config.task.name, ALL_SITES
    if number is not None:
        return registry.version(task, site, number)
    champion = registry.champion(task, site)
    if champion is None:
        last = next(iter(registry.versions(task, site)), None)
        why = f"the last verdict was {last.outcome} ({last.name})" if last else "nothing was trained yet"
        raise BadInput(
            f"no adapter for {task}@{site} is in production: {why}; "
            "run the finetune pipeline, or name an unpromoted version with --version N for research use"
        )
    return champion
