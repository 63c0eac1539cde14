"""The live champion with new probabilities for a site: no weight changes, only how its scores are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from primum import __version__
from primum.backends.base import Backend
from primum.bundle import Bundle, write_bundle
from primum.calibration import Calibration, choose_answers
from primum.config import RunConfig
from primum.records import SplitVersion
from primum.scoring import score_records
from primum.stats.calibration import Isotonic, Platt, fit_temperature
from primum.stats.updating import closed_update


def recalibrate(  # noqa: PLR0913 - what the new card names
    champion: Bundle,
    backend: Backend,
    validation: pd.DataFrame,
    *,
    split: SplitVersion,
    config: RunConfig,
    git_revision: str,
    out: Path,
) -> Bundle | None:
    """The champion calibrated on the site's validation records, as a bundle of its own in `out`.

    Two classes: intercept, or intercept and slope, as the closed testing procedure asks (`stats.updating`); more
    classes: a new temperature. A threshold moves with the probabilities, so that the same patients are called
    positive; label sets are fitted anew. None where the records do not ask for an update, or hold one class only.
    """
    card = champion.card
    raw = score_records(
        backend.with_adapter(Path(champion.path)), card.renderer, validation, system="champion"
    )
    read = [i for i, row in enumerate(raw.log_probs) if row is not None]
    records = validation.iloc[read]
    log_probs = np.array([raw.log_probs[i] for i in read], dtype=float)
    gold = np.array([config.task.labels.index(label) for label in records["label"]], dtype=int)
    if len(np.unique(gold)) < 2:
        return None
    updated = _updated(card.calibration, log_probs, gold)
    if updated is None:
        return None
    fitted = choose_answers(
        updated,
        log_probs,
        gold,
        config.task,
        sites=records["site"].tolist(),
        patients=records["patient_id"].tolist(),
        coverage=config.gate.coverage.target,
    )
    new = card.model_copy(
        update={
            "site": config.site,
            "temperature": fitted.temperature,
            "recalibration": fitted.recalibration,
            "conformal": fitted.conformal,
            "decision_threshold": fitted.threshold if updated.threshold is None else updated.threshold,
            "recalibrated_on": split.dvc_hash,
            "code_version": __version__,
            "git_revision": git_revision,
        }
    )
    return write_bundle(Path(champion.path), new, out)


def _updated(present: Calibration, log_probs: np.ndarray, gold: np.ndarray) -> Calibration | None:
    if present.positive is None:
        temperature = float(fit_temperature(log_probs, gold))
        return present.model_copy(update={"temperature": temperature})
    isotonic = isinstance(present.recalibration, Isotonic)  # a step function cannot be shifted: begin anew
    start = Calibration(positive=present.positive) if isotonic else present
    served = np.exp(start.scale(log_probs)[:, present.positive])
    update = closed_update(served, gold == present.positive)
    if update.kind == "none":
        return None
    before = start.recalibration if isinstance(start.recalibration, Platt) else Platt(0.0, 1.0)
    line = Platt(update.map.intercept + update.map.slope * before.intercept, update.map.slope * before.slope)
    threshold = None if start.threshold is None else float(update.map.apply(np.array(start.threshold)))
    return start.model_copy(update={"recalibration": line, "threshold": threshold})
