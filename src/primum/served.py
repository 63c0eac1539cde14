"""What `primum predict` writes: one row per record, and in one line how many a person must decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from primum.bundle import Bundle
from primum.records import Predictions, RegisteredVersion
from primum.stats.conformal import Basis

REFER = "refer to a human"


def table(
    predictions: Predictions, version: RegisteredVersion, bundle: Bundle, sites: Sequence[str]
) -> pd.DataFrame:
    """Predictions as one row per record, `sites` (n,) being the records' own."""
    rows, conformal = [], bundle.card.conformal
    for i, (record_id, label, log_probs) in enumerate(
        zip(predictions.record_ids, predictions.predicted, predictions.log_probs, strict=True)
    ):
        probabilities = (
            [math.nan] * len(predictions.labels) if log_probs is None else list(map(math.exp, log_probs))
        )
        # Of the label that is answered: with a threshold that need not be the most probable one.
        own = math.nan if log_probs is None else probabilities[predictions.labels.index(label)]
        each = {f"probability_{k}": p for k, p in zip(predictions.labels, probabilities, strict=True)}
        adapter = f"{version.name} {bundle.sha256[:12]}"
        sets = {} if conformal is None else _set(predictions.label_sets[i], label, conformal.basis(sites[i]))
        row = {"record_id": record_id, "label": label, "probability": own, **each, **sets}
        rows.append({**row, "adapter": adapter})
    return pd.DataFrame(rows)


def _set(labels: tuple[str, ...], label: str, basis: Basis) -> dict[str, str]:
    refer = "" if labels == (label,) else REFER
    return {"label_set": "|".join(labels), "refer": refer, "set_basis": basis}


def summary(made: pd.DataFrame) -> str:
    """How many records are referred to a human, and how many come from a site that validation never saw."""
    if "refer" not in made:
        return (
            f"{len(made)} records; this version was trained before there were label sets, so none is referred"
        )
    referred = int((made["refer"] == REFER).sum())
    said = f"{len(made)} records, {referred} ({referred / max(1, len(made)):.1%}) referred to a human"
    new = int((made["set_basis"] == "pooled (site never seen)").sum())
    return f"{said}; {new} of a site never seen: pooled thresholds" if new else said
