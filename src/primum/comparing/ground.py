"""The records that a comparison stands on: what models learn from, are tuned on, and are compared on.

A comparison chooses a model, so it must not open the holdout, which one candidate may meet. It is made on the
validation part instead; epochs, ranks and temperatures, for which validation serves elsewhere, are chosen on a
share of the training part. So no cell has seen the records that it is compared on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from primum.baselines import fit_baselines, predict_baselines
from primum.config import RunConfig, TaskConfig
from primum.duplicates import components, duplicate_groups, same_key
from primum.errors import BadInput
from primum.ingest import ingest
from primum.records import SplitVersion
from primum.records.compared import Ground
from primum.sites.splits import split_for_run
from primum.split import place
from primum.versioning import load_part
from primum.workspace import Workspace


@dataclass(frozen=True)
class Parts:
    """Canonical records of a task: each record in one of them, no holdout record in any."""

    fitted: pd.DataFrame
    tuned: pd.DataFrame
    compared: pd.DataFrame


def prepare(workspace: Workspace, config: RunConfig) -> tuple[SplitVersion, Ground]:
    """Read the task of a run, find or make its split, and fit the classical models. Raises as ingest and split."""
    folder = workspace.work(config.task.name) / "compare"
    ingest(config.task, workspace.project, folder, config.seed, site=config.site, at=config.at)
    split = split_for_run(workspace, folder / "records.parquet", config)
    parts = parts_of(workspace, split, config)
    task = config.task
    fits = fit_baselines(parts.fitted, parts.tuned, task, config.seed)
    return split, Ground(
        task=task.name,
        split=split.dvc_hash,
        labels=task.labels,
        positive=task.positive,
        metric=task.primary_metric,
        effect=task.effect_of_interest,
        fitted=len(parts.fitted),
        tuned=len(parts.tuned),
        record_ids=tuple(parts.compared["record_id"]),
        patients=tuple(parts.compared["patient_id"]),
        gold=tuple(parts.compared["label"]),
        classical=predict_baselines(fits, parts.fitted, parts.compared, task, config.seed),
    )


def parts_of(workspace: Workspace, split: SplitVersion, config: RunConfig) -> Parts:
    """The split's training part divided in two, and its validation part; the same whenever it is asked."""
    train, validation = (load_part(workspace.home, split, p, config.stack) for p in ("train", "validation"))
    tuned = divide(train, config.task, config.compare.tuning_share, config.seed)
    return Parts(fitted=train[~tuned], tuned=train[tuned], compared=validation)


def divide(records: pd.DataFrame, task: TaskConfig, share: float, seed: int) -> np.ndarray:
    """(n,) True for the `share` of patients to tune on: stratified by label and site, copies on one side.

    The result depends on the set of records, the task, the share and the seed only. Raises BadInput where
    either side would lack a class.
    """
    order = np.argsort(records["record_id"].to_numpy(dtype=object), kind="stable")
    ordered = records.iloc[order]
    patient = pd.factorize(ordered["patient_id"])[0]
    copies = same_key(duplicate_groups(ordered, task))
    group = pd.factorize(components(len(ordered), [same_key(patient), copies]))[0]
    side = place(ordered, task, np.array([1 - share, share]), seed, patient, group)[group]
    for name, number in (("learn from", 0), ("tune on", 1)):
        missing = set(task.labels) - set(ordered.loc[side == number, "label"])
        if missing:
            raise BadInput(
                f"task '{task.name}': of class '{min(missing)}' no record is left to {name}; bring more records, "
                "or change compare.tuning_share"
            )
    tuned = np.empty(len(records), dtype=bool)
    tuned[order] = side == 1
    return tuned
