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
from primum.stats.calibration import apply_temperature, fit_temperature
from primum.stats.conformal import Conformal, fit_conformal


def best_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The highest validation macro-F1; ties go to the lower validation loss, then to the lower rank."""
    return min(candidates, key=lambda c: (-c.validation_macro_f1, c.validation_loss, c.rank))


def calibrate(
    backend: Backend, renderer: Renderer, validation: pd.DataFrame, labels: Sequence[str], coverage: float
) -> tuple[float, Conformal | None]:
    """Fit temperature and label sets of the given coverage, in this order, on the validation records.

    Records that could not be read are left out: they get every label in any case. None where none was read.
    """
    predictions = score_records(backend, renderer, validation, system="adapter")
    read = [i for i, row in enumerate(predictions.log_probs) if row is not None]
    if not read:
        return 1.0, None
    codes = {label: k for k, label in enumerate(labels)}
    records = validation.iloc[read]
    gold = np.array([codes[label] for label in records["label"]])
    log_probs = np.array([predictions.log_probs[i] for i in read])
    temperature = float(fit_temperature(log_probs, gold))
    sites, patients = records["site"].tolist(), records["patient_id"].tolist()
    scaled = apply_temperature(log_probs, temperature)
    return temperature, fit_conformal(scaled, gold, sites, patients, coverage)


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
    target = config.gate.coverage.target
    temperature, conformal = calibrate(adapted, renderer, validation, config.task.labels, target)
    card = BundleCard(
        task=config.task.name,
        site=ALL_SITES,
        base_id=backend.base_id,
        base_hash=backend.base_hash,
        renderer=renderer,
        labels=config.task.labels,
        positive=config.task.positive,
        temperature=temperature,
        conformal=conformal,
        split_version=split.dvc_hash,
        recipe=config.model.recipe,
        rank=candidate.rank,
        seed=config.seed,
        adapter_sha256=candidate.adapter_sha256,
        code_version=__version__,
        git_revision=git_revision,
    )
    return write_bundle(candidate, card, out)
