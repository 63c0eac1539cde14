"""Serving from a file: the production adapter's label and calibrated probability for each record."""

from __future__ import annotations

import math
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
from primum.workspace import Workspace


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
    report = ingest_unlabelled(config.task, file, workspace.work(config.task.name) / "predict")
    try:
        records = pd.read_parquet(report.path)
    finally:
        Path(report.path).unlink(missing_ok=True)
    predictions = score_records(
        backend.with_adapter(Path(bundle.path)),
        bundle.card.renderer,
        records,
        system=version.name,
        temperature=bundle.card.temperature,
        progress=show,
    )
    return table(predictions, version, bundle)


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
