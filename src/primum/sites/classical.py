"""The plain models that an adapter must hold its ground against at a site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from primum.baselines import best_classical, fit_baselines, predict_baselines
from primum.config import RunConfig
from primum.journal import once
from primum.records import BaselineFit, Baselines, Frozen, SplitVersion
from primum.sites.champions import Champion
from primum.sites.pooled import Pooled
from primum.stats.metrics import metric_value
from primum.versioning import load_part
from primum.workspace import Workspace


class Classical(Frozen):
    """The classical models of a site, and the split version whose training part they are fitted on."""

    baselines: Baselines
    fitted_on: str


def of_champion(workspace: Workspace, config: RunConfig, champion: Champion) -> Baselines:
    """Those on what the champion learned from, chosen on its validation; fitted once for a split."""
    folder = workspace.work(config.task.name) / "classical"
    name = f"{champion.bundle.card.split_version.split('.')[0]}-{config.seed}"
    parts = champion.parts
    return once(folder, name, Baselines, lambda: _fit(parts["train"], parts["validation"], config))


def strongest(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    split: SplitVersion,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    champion: Champion | None,
    pooled: Pooled | None,
) -> Classical:
    """The best on the site's validation: fitted on its own records, on the champion's, or on those of all sites."""
    own = _fit(train, validation, config)
    options = [Classical(baselines=own, fitted_on=split.dvc_hash)]
    if champion is not None:
        shared = of_champion(workspace, config, champion).fits
        version = champion.bundle.card.split_version
        options.append(_elsewhere(shared, champion.parts["train"], validation, config, version))
    if pooled is not None:
        everyone = load_part(workspace.home, pooled.split, "train", config.stack)
        options.append(_elsewhere(own.fits, everyone, validation, config, pooled.split.dvc_hash))
    return max(options, key=lambda option: _reached(option.baselines, config))  # the site's own wins a tie


def _fit(train: pd.DataFrame, validation: pd.DataFrame, config: RunConfig) -> Baselines:
    fits = fit_baselines(train, validation, config.task, config.seed)
    return Baselines(fits=fits, best=best_classical(fits, config.task.primary_metric))


def _reached(baselines: Baselines, config: RunConfig) -> float:
    best = next(fit for fit in baselines.fits if fit.name == baselines.best)
    return best.validation[config.task.primary_metric]


def _elsewhere(
    fits: Sequence[BaselineFit],
    train: pd.DataFrame,
    validation: pd.DataFrame,
    config: RunConfig,
    version: str,
) -> Classical:
    """The settings of `fits` on the records of another split, with what they reach on the site's validation."""
    task, metric = config.task, config.task.primary_metric
    said = predict_baselines(fits, train, validation, task, config.seed)
    gold = np.array([task.labels.index(label) for label in validation["label"]])

    def judged(fit: BaselineFit) -> BaselineFit:
        codes = np.array([task.labels.index(label) for label in said[fit.name].predicted])
        value = metric_value(metric, gold, codes, len(task.labels)) or 0.0
        return fit.model_copy(update={"validation": {**fit.validation, metric: value}})

    made = tuple(map(judged, fits))
    return Classical(baselines=Baselines(fits=made, best=best_classical(made, metric)), fitted_on=version)
