"""A live version against its own gate on watched outcomes, and the way back where it fails there.

No look is spent: nothing of a holdout is read, and nothing is promoted by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from primum import registry
from primum.baselines import predict_baselines
from primum.config import RunConfig
from primum.errors import PrimumError
from primum.gate import judge
from primum.records import Frozen, Look, Panel, RegisteredVersion
from primum.sites.champions import Champion, Said, Scorer, open_champion, serving
from primum.sites.classical import of_champion
from primum.sites.sources import read_sites
from primum.sites.watching import window_of
from primum.subgroups import groups_of
from primum.workspace import Workspace


class WayBack(Frozen):
    """What becomes of a site's own champion that nothing replaced."""

    failing: tuple[str, ...] = ()
    """Checks of the gate that it fails on the watched outcomes; none: it stays."""
    to: RegisteredVersion | None = None
    """The version that serves instead; None: none does better, or there is nothing to go back from."""
    why: str = ""


def failing_checks(
    workspace: Workspace,
    config: RunConfig,
    champion: Champion,
    outcomes: Mapping[str, pd.DataFrame],
    scorer: Scorer,
) -> dict[str, tuple[str, ...]]:
    """Site -> required checks of the gate that a version fails on its watched outcomes; none where they are too few.

    Each recheck spends gate.alpha / retrain.performance_looks, and only a check that fails counts, not one that
    cannot be judged. The sites' records are scored together.
    """
    task = config.task
    enough = {site: rows for site, rows in outcomes.items() if _enough(rows, config)}
    if not enough:
        return dict.fromkeys(outcomes, ())
    every = pd.concat(enough.values(), ignore_index=True)
    baselines = of_champion(workspace, config, champion)
    systems = {
        "adapter": scorer.score(champion.bundle, every, "adapter"),
        "base": scorer.score(champion.bundle, every, "base", bare=True),
        **predict_baselines(baselines.fits, champion.parts["train"], every, task, config.seed),
    }
    said = {name: Said(predictions) for name, predictions in systems.items()}
    found = {site: _failing(config, champion, rows, said, baselines.best) for site, rows in enough.items()}
    return dict.fromkeys(outcomes, ()) | found


def _enough(outcomes: pd.DataFrame, config: RunConfig) -> bool:
    counts = outcomes["label"].value_counts().reindex(config.task.labels, fill_value=0)
    return bool(counts.min() >= config.drift.min_events)


def _failing(
    config: RunConfig, champion: Champion, outcomes: pd.DataFrame, said: Mapping[str, Said], best: str
) -> tuple[str, ...]:
    outcomes, task = outcomes.sort_values("record_id", ignore_index=True), config.task
    panel = Panel(
        labels=task.labels,
        positive=task.positive,
        record_ids=tuple(outcomes["record_id"]),
        patient_ids=tuple(outcomes["patient_id"]),
        sites=tuple(outcomes["site"]),
        gold=tuple(outcomes["label"]),
        systems={name: one.of(outcomes) for name, one in said.items()},
        subgroups=groups_of(outcomes, task),
    )
    planned = config.retrain.performance_looks
    alpha = config.gate.alpha / planned
    look = Look(holdout="watched outcomes", number=1, planned=planned, alpha=alpha, entry_hash="")
    verdict = judge(
        panel,
        task=task,
        site=champion.version.site,
        candidate=champion.bundle.sha256,
        look=look,
        config=config.gate,
        best_classical=best,
        leakage=None,
        inputs={},
        seed=config.seed,
    )
    return tuple(c.name for c in verdict.evidence.checks if c.required and c.status == "fail")


def way_back(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    present: Champion,
    scorer: Scorer,
    at: datetime,
    records: Path,
) -> WayBack:
    """Which earlier version of `config.site` should serve again because the live one fails its gate.

    Only a site's own champion goes back: to its latest earlier version that does not fail on the same outcomes,
    else to the one that serves sites without a champion of their own, under the same condition. Where all fail
    the live one stays. Nothing is changed here.
    """
    site, task = config.site, config.task.name
    if present.version.site != site:
        return WayBack()
    outcomes = window_of(read_sites(workspace, config, at, records)[site], present, config, at, at).outcomes
    failing = failing_checks(workspace, config, present, {site: outcomes}, scorer)[site]
    if not failing:
        return WayBack()
    why = f"the live champion {present.version.name} fails {', '.join(failing)} on the watched outcomes"
    earlier = [
        v
        for v in registry.versions(task, site)
        if v.stage == "archived" and v.number < present.version.number
    ]
    fallback = None if site == config.fallback_site else registry.champion(task, config.fallback_site)
    for version in (*earlier, *([] if fallback is None else [fallback])):
        if _holds(workspace, config, version, outcomes, scorer):
            return WayBack(failing=failing, to=version, why=why)
    mend = "no earlier version does better there; refer its patients to people meanwhile"
    return WayBack(failing=failing, why=f"{why}, and {mend}")


def go_back(
    workspace: Workspace, config: RunConfig, way: WayBack, present: Champion, now: Callable[[], datetime]
) -> bool:
    """Put `way.to` in the place of `present`; whether it serves now. A killed call is ended, not done twice."""
    if way.to is None:
        return False
    site, task = config.site, config.task.name
    live = registry.heal(workspace, task, site)
    if live is not None and live.number == present.version.number:
        if way.to.site == site:
            registry.rollback(workspace, task, site, now(), to=way.to.number, why=way.why)
        else:
            registry.retire(workspace, task, site, now(), way.why)
    after = serving(config, site)
    return after is not None and (after.site, after.number) == (way.to.site, way.to.number)


def _holds(
    workspace: Workspace,
    config: RunConfig,
    version: RegisteredVersion,
    outcomes: pd.DataFrame,
    scorer: Scorer,
) -> bool:
    """Whether a version fails nothing on those outcomes that it has not learned from, and these are enough."""
    try:
        champion = open_champion(workspace, config, version)
        fair = champion.fair(outcomes)
        if not _enough(fair, config):
            return False
        return not failing_checks(workspace, config, champion, {config.site: fair}, scorer)[config.site]
    except PrimumError:
        return False
