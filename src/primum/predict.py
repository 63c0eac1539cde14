"""Serving from a file: the production adapter's label and calibrated probability for each record."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pandas as pd

from primum import registry
from primum.backends import open_backend
from primum.bundle import Bundle
from primum.config import RunConfig
from primum.errors import BadInput
from primum.ingest import ingest_unlabelled
from primum.progress import show
from primum.records import ALL_SITES, Predictions, RegisteredVersion
from primum.scoring import score_records
from primum.workspace import Workspace, writable


def predict(workspace: Workspace, config: RunConfig, file: Path, number: int | None = None) -> pd.DataFrame:
    """Score every record of `file` with the version in production, or with version `number`.

    Columns of the result: record_id, label, probability (calibrated, of that label), probability_<label> of
    each label, adapter (version). Raises BadInput when nothing is in production.
    """
    version = _chosen(config, number)
    bundle = registry.fetch_bundle(workspace, version)
    backend = open_backend(config.model, config.stack, workspace.project)
    if backend.base_hash != bundle.card.base_hash:
        raise BadInput(
            f"{version.name} is an adapter of {bundle.card.base_id}; choose that base with --model"
        )
    _require_same_features(config, bundle, version)
    records = _read(workspace, config, file)
    predictions = score_records(
        backend.with_adapter(Path(bundle.path)),
        bundle.card.renderer,
        records,
        system=version.name,
        temperature=bundle.card.temperature,
        progress=show,
    )
    return table(predictions, version, bundle)


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


def table(predictions: Predictions, version: RegisteredVersion, bundle: Bundle) -> pd.DataFrame:
    """Predictions as one row per record."""
    rows = []
    for record_id, label, log_probs in zip(
        predictions.record_ids, predictions.predicted, predictions.log_probs, strict=True
    ):
        probabilities = (
            [math.nan] * len(predictions.labels) if log_probs is None else list(map(math.exp, log_probs))
        )
        best = math.nan if log_probs is None else max(probabilities)
        each = {f"probability_{k}": p for k, p in zip(predictions.labels, probabilities, strict=True)}
        adapter = f"{version.name} {bundle.sha256[:12]}"
        rows.append({"record_id": record_id, "label": label, "probability": best, **each, "adapter": adapter})
    return pd.DataFrame(rows)


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
