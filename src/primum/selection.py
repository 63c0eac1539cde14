"""Choosing among candidates and calibrating the choice: on validation only, so that one reaches the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from primum import __version__
from primum.backends.base import Backend
from primum.bundle import Bundle, BundleCard, write_bundle
from primum.config import RunConfig
from primum.prompts import Renderer
from primum.records import ALL_SITES, Candidate, SplitVersion
from primum.scoring import score_records
from primum.stats.calibration import fit_temperature


def best_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The highest validation macro-F1; ties go to the lower validation loss, then to the lower rank."""
    return min(candidates, key=lambda c: (-c.validation_macro_f1, c.validation_loss, c.rank))


def validation_temperature(
    backend: Backend, renderer: Renderer, validation: pd.DataFrame, labels: Sequence[str]
) -> float:
    """Temperature that makes the backend's label probabilities fit the validation labels best."""
    predictions = score_records(backend, renderer, validation, system="adapter")
    read = [i for i, row in enumerate(predictions.log_probs) if row is not None]
    codes = {label: k for k, label in enumerate(labels)}
    gold = validation.set_index("record_id")["label"].loc[list(predictions.record_ids)]
    if not read:
        return 1.0
    log_probs = np.array([predictions.log_probs[i] for i in read])
    return float(fit_temperature(log_probs, np.array([codes[gold.iloc[i]] for i in read])))


def make_bundle(  # noqa: PLR0913 - the card names everything that made the adapter
    candidate: Candidate,
    backend: Backend,
    renderer: Renderer,
    validation: pd.DataFrame,
    *,
    split: SplitVersion,
    config: RunConfig,
    git_revision: str,
    out: Path,
) -> Bundle:
    """Calibrate the chosen candidate on validation and write it as a bundle: PEFT files and primum.json."""
    adapted = backend.with_adapter(Path(candidate.path))
    card = BundleCard(
        task=config.task.name,
        site=ALL_SITES,
        base_id=backend.base_id,
        base_hash=backend.base_hash,
        renderer=renderer,
        labels=config.task.labels,
        positive=config.task.positive,
        temperature=validation_temperature(adapted, renderer, validation, config.task.labels),
        split_version=split.dvc_hash,
        recipe=config.model.recipe,
        rank=candidate.rank,
        seed=config.seed,
        adapter_sha256=candidate.adapter_sha256,
        code_version=__version__,
        git_revision=git_revision,
    )
    return write_bundle(candidate, card, out)
