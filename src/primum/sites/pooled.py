"""The records of all sites that may train one adapter for all: none that stands in a holdout or is kept for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from primum.backends.base import Backend, Progress, Run
from primum.config import RunConfig
from primum.generations import current_split, opened_holdouts, rows_of
from primum.privacy.canaries import training_examples
from primum.prompts import Renderer
from primum.records import ALL_SITES, Candidate, Frozen, SplitVersion
from primum.rotation import fresh_records, kept_to_judge
from primum.scoring import examples, prepare_renderer
from primum.selection import best_candidate
from primum.sites.splits import Splits
from primum.split import Assignment
from primum.versioning import load_part, store_split
from primum.workspace import Workspace

POOLED = " pooled training"
"""The site that the set is stored under; it has no holdout. No site is named so: names do not begin with a blank."""


class Pooled(Frozen):
    """The adapter that all sites' records trained, before any site's calibration."""

    split: SplitVersion
    renderer: Renderer
    candidate: Candidate


class PooledTraining(Frozen):
    """What a cycle trained on all sites' records: nothing where no due site needs it."""

    pooled: Pooled | None = None


def pooled_split(
    workspace: Workspace, records: Path, splits: Mapping[str, SplitVersion], config: RunConfig
) -> SplitVersion:
    """Store the set: train and validation parts, no test part.

    `records` holds the matured, labelled records of all sites, `splits` the splits that sites were given in this
    cycle. Validation is what is validation at a site, or in the pooled split; the rest trains. Left out is all
    that is tied - by patient, row or text - to a site's present holdout or was kept for its next one.
    """
    task, stack = config.task, config.stack
    frame = pd.read_parquet(records).sort_values("record_id", ignore_index=True)
    parts = _known_parts(workspace, config, splits, sorted(frame["site"].unique()))
    part = frame["record_id"].map(parts).fillna("").to_numpy(dtype=object)
    kept = kept_to_judge(frame["patient_id"], task.name, config.retrain.judged_share) & (part == "")
    closed = kept | (part == "test")
    free = np.zeros(len(frame), dtype=bool)
    free[~closed] = fresh_records(frame[~closed], frame[closed], task) if closed.any() else True
    names = np.where(free, np.where(part == "validation", "validation", "train"), "").astype(object)
    drawn = Assignment(names, 0)
    return store_split(
        workspace.home, records, _aligned(drawn, frame, records), task, stack, config.seed, site=POOLED
    )


def train_pooled(  # noqa: PLR0913
    workspace: Workspace,
    split: SplitVersion,
    config: RunConfig,
    backend: Backend,
    out: Path,
    progress: Progress | None = None,
) -> Pooled:
    """Train the recipe's candidates on the set and keep the one that is best on its validation."""
    train, validation = (load_part(workspace.home, split, p, config.stack) for p in ("train", "validation"))
    renderer, _ = prepare_renderer(backend, config.task, config.model, train, validation)
    candidate = train_candidates(backend, renderer, train, validation, config, out, progress)
    return Pooled(split=split, renderer=renderer, candidate=candidate)


def train_candidates(  # noqa: PLR0913
    backend: Backend,
    renderer: Renderer,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    config: RunConfig,
    out: Path,
    progress: Progress | None,
    start: Candidate | None = None,
) -> Candidate:
    """One adapter per rank of the recipe (with `start` only its rank, from its weights); the best on validation."""
    ranks: Sequence[int] = config.model.recipe.ranks if start is None else (start.rank,)
    runs = [
        Run(
            rank=rank,
            seed=config.seed,
            out_dir=str(out / f"seed{config.seed}-r{rank}"),
            start=None if start is None else start.path,
        )
        for rank in ranks
    ]
    made = backend.finetune(
        training_examples(renderer, train, config.model.recipe, config.seed),
        examples(renderer, validation),
        labels=tuple(renderer.verbalizers.values()),
        recipe=config.model.recipe,
        runs=runs,
        progress=progress,
    )
    return best_candidate(made)


def _known_parts(
    workspace: Workspace, config: RunConfig, splits: Mapping[str, SplitVersion], sites: Sequence[str]
) -> dict[str, str]:
    """Record id -> part: of the site's own split where it has one, else of the pooled split.

    The pooled split's holdout was looked at: where it is no site's holdout it may train.
    """
    stack, task = config.stack, config.task.name
    whole = current_split(workspace, task, stack, opened_holdouts(workspace, task, ALL_SITES))
    known: dict[str, str] = {}
    if whole is not None:
        rows = rows_of(workspace.home, whole, stack)
        known = dict(zip(rows["record_id"], rows["part"].replace("test", "train"), strict=True))
    standing = Splits(workspace, config)
    for site in sites:
        own = splits.get(site) or (None if site == ALL_SITES else standing.current(site))
        if own is not None:
            rows = rows_of(workspace.home, own, stack)
            known |= dict(zip(rows["record_id"], rows["part"], strict=True))
    return known


def _aligned(drawn: Assignment, frame: pd.DataFrame, records: Path) -> Assignment:
    """The assignment in the order of the file's rows."""
    ids = pd.read_parquet(records, columns=["record_id"])["record_id"]
    part = ids.map(dict(zip(frame["record_id"], drawn.part, strict=True))).to_numpy(dtype=object)
    return Assignment(part, drawn.duplicate_groups, drawn.notes)
