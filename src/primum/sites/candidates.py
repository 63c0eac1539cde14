"""The candidates of a site, each a bundle calibrated on its validation, and which of them meets the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from primum.backends.base import Progress
from primum.bundle import Bundle
from primum.config import RunConfig
from primum.prompts import Renderer
from primum.records import Candidate, Predictions, SiteCandidate, SplitVersion
from primum.scoring import prepare_renderer
from primum.selection import make_bundle
from primum.sites.champions import Champion, Scorer
from primum.sites.pooled import Pooled, train_candidates
from primum.sites.recalibration import recalibrate
from primum.stats.metrics import metric_value
from primum.stats.scores import fill_unparsed, record_log_loss

Name = Literal["recalibrated", "site", "pooled", "pooled-then-site"]


@dataclass(frozen=True)
class Made:
    """A candidate and what validation says of it."""

    name: Name
    bundle: Bundle
    primary: float
    macro_f1: float
    log_loss: float


@dataclass(frozen=True)
class Kitchen:
    """What every candidate of one site is made with."""

    config: RunConfig
    split: SplitVersion
    train: pd.DataFrame
    validation: pd.DataFrame
    scorer: Scorer
    folder: Path
    git_revision: str
    progress: Progress | None = None


def recalibrated(kitchen: Kitchen, champion: Champion) -> list[Made]:
    """The champion with the site's own calibration; none where the records ask for no update."""
    bundle = recalibrate(
        champion.bundle,
        kitchen.scorer.backend,
        kitchen.validation,
        split=kitchen.split,
        config=kitchen.config,
        git_revision=kitchen.git_revision,
        out=kitchen.folder / "bundle-recalibrated",
    )
    return [] if bundle is None else [_judged(kitchen, "recalibrated", bundle)]


def trained(kitchen: Kitchen, pooled: Pooled | None) -> list[Made]:
    """The site's own adapter, the pooled one, and the pooled one trained on at the site."""
    backend, config = kitchen.scorer.backend, kitchen.config
    train, validation = kitchen.train, kitchen.validation
    renderer, _ = prepare_renderer(backend, config.task, config.model, train, validation)
    out = kitchen.folder
    own = train_candidates(backend, renderer, train, validation, config, out / "site", kitchen.progress)
    made = [_judged(kitchen, "site", _bundle(kitchen, own, renderer, "site"))]
    if pooled is None:
        return made
    shared = pooled.renderer
    made.append(
        _judged(kitchen, "pooled", _bundle(kitchen, pooled.candidate, shared, "pooled", pooled.split))
    )
    further = train_candidates(
        backend,
        shared,
        train,
        validation,
        config,
        out / "pooled-then-site",
        kitchen.progress,
        pooled.candidate,
    )
    bundle = _bundle(kitchen, further, shared, "pooled-then-site", pooled.split)
    return [*made, _judged(kitchen, "pooled-then-site", bundle)]


def best(made: Sequence[Made]) -> Made:
    """The highest primary metric on validation; ties go to the lower log-loss, then to the smaller change."""
    return min(enumerate(made), key=lambda m: (-m[1].primary, m[1].log_loss, m[0]))[1]


def shown(made: Sequence[Made], chosen: Made) -> tuple[SiteCandidate, ...]:
    """The candidates as the outcome tells them."""
    return tuple(
        SiteCandidate(name=m.name, macro_f1=m.macro_f1, log_loss=m.log_loss, chosen=m is chosen) for m in made
    )


def _bundle(
    kitchen: Kitchen,
    candidate: Candidate,
    renderer: Renderer,
    name: Name,
    learned: SplitVersion | None = None,
) -> Bundle:
    return make_bundle(
        candidate,
        kitchen.scorer.backend,
        renderer,
        kitchen.validation,
        split=kitchen.split,
        config=kitchen.config,
        git_revision=kitchen.git_revision,
        out=kitchen.folder / f"bundle-{name}",
        learned=learned,
    )


def _judged(kitchen: Kitchen, name: Name, bundle: Bundle) -> Made:
    said = kitchen.scorer.score(bundle, kitchen.validation, name)
    gold = kitchen.validation["label"].tolist()
    metric = kitchen.config.task.primary_metric
    return Made(
        name, bundle, _metric(metric, said, gold), _metric("macro_f1", said, gold), _log_loss(said, gold)
    )


def _metric(name: str, said: Predictions, gold: Sequence[str]) -> float:
    labels = said.labels
    codes = np.array([labels.index(label) for label in gold])
    predicted = np.array([labels.index(p) if p in labels else -1 for p in said.predicted])
    return metric_value(name, codes, predicted, len(labels)) or 0.0


def _log_loss(said: Predictions, gold: Sequence[str]) -> float:
    codes = np.array([said.labels.index(label) for label in gold])
    log_probs = fill_unparsed(said.log_probs, len(said.labels))
    return float(np.mean(record_log_loss(codes, log_probs)))
