"""A live version against its own gate on watched outcomes, and the way back where it fails there.

No look is spent: nothing of a holdout is read, and nothing is promoted by it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from primum import registry
from primum.baselines import predict_baselines
from primum.config import RunConfig
from primum.errors import PrimumError
from primum.gate import judge
from primum.progress import say
from primum.records import Look, Panel, RegisteredVersion
from primum.sites.champions import Champion, Scorer, open_champion, serving
from primum.sites.classical import of_champion
from primum.sites.watching import Window, read_sites, window_of
from primum.subgroups import groups_of
from primum.workspace import Workspace


def failing_checks(
    workspace: Workspace, config: RunConfig, champion: Champion, window: Window, scorer: Scorer
) -> tuple[str, ...]:
    """Required checks of the gate that a version fails on the watched outcomes; none where they are too few.

    Each recheck spends gate.alpha / retrain.performance_looks, and only a check that fails counts, not one that
    cannot be judged.
    """
    outcomes, task = window.outcomes, config.task
    counts = outcomes["label"].value_counts().reindex(task.labels, fill_value=0)
    if counts.min() < config.drift.min_events:
        return ()
    outcomes = outcomes.sort_values("record_id", ignore_index=True)
    baselines = of_champion(workspace, config, champion)
    systems = {
        "adapter": scorer.score(champion.bundle, outcomes, "adapter"),
        "base": scorer.score(champion.bundle, outcomes, "base", bare=True),
        **predict_baselines(baselines.fits, champion.parts["train"], outcomes, task, config.seed),
    }
    panel = Panel(
        labels=task.labels,
        positive=task.positive,
        record_ids=tuple(outcomes["record_id"]),
        patient_ids=tuple(outcomes["patient_id"]),
        sites=tuple(outcomes["site"]),
        gold=tuple(outcomes["label"]),
        systems=systems,
        subgroups=groups_of(outcomes, task),
    )
    planned = config.retrain.performance_looks
    look = Look(
        holdout="watched outcomes",
        number=1,
        planned=planned,
        alpha=config.gate.alpha / planned,
        entry_hash="",
    )
    verdict = judge(
        panel,
        task=task,
        site=champion.version.site,
        candidate=champion.bundle.sha256,
        look=look,
        config=config.gate,
        best_classical=baselines.best,
        leakage=None,
        inputs={},
        seed=config.seed,
    )
    return tuple(c.name for c in verdict.evidence.checks if c.required and c.status == "fail")


def go_back(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    present: Champion,
    scorer: Scorer,
    at: datetime,
    now: Callable[[], datetime],
) -> RegisteredVersion | None:
    """Put an earlier version of `config.site` back where the live one fails its gate; None where nothing changes.

    Only a site's own champion goes back: to its latest earlier version that does not fail on the same outcomes,
    else to the one that serves sites without a champion of their own, under the same condition. Where all fail
    the live one stays, and the outcome's reasons say so.
    """
    site = config.site
    if present.version.site != site:
        return None
    records = read_sites(workspace, config, at)[site]
    window = window_of(records, present, config, at, at)
    failing = failing_checks(workspace, config, present, window, scorer)
    if not failing:
        return None
    why = f"the live champion {present.version.name} fails {', '.join(failing)} on the watched outcomes"
    earlier = (v for v in registry.versions(config.task.name, site) if v.stage == "archived")
    for version in earlier:
        if version.number < present.version.number and _holds(workspace, config, version, window, scorer):
            return registry.rollback(workspace, config.task.name, site, now(), to=version.number, why=why)
    pooled = (
        registry.champion(config.task.name, config.fallback_site) if site != config.fallback_site else None
    )
    if pooled is not None and _holds(workspace, config, pooled, window, scorer):
        registry.retire(workspace, config.task.name, site, now(), why)
        return serving(config, site)
    say(f"{site}: {why}, and no earlier version does better there; refer its patients to people meanwhile")
    return None


def _holds(
    workspace: Workspace, config: RunConfig, version: RegisteredVersion, window: Window, scorer: Scorer
) -> bool:
    """Whether a version fails nothing on those outcomes that it has not learned from."""
    try:
        champion = open_champion(workspace, config, version)
        fair = Window(window.current, champion.unseen(window.outcomes), window.waiting)
        if fair.outcomes.empty:
            return False
        return not failing_checks(workspace, config, champion, fair, scorer)
    except PrimumError:
        return False
