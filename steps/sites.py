"""The stages of drift and retrain: watch all sites, plan, train for all, work at each due site, report.

Sites are mapped by name, and outcomes travel as JSON: of a list's elements ZenML takes the type from the source
tree (`src.primum`), where it is another class than the installed one.
"""

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step
from zenml.types import HTMLString

from primum.backends import open_backend
from primum.config import ModelConfig, RunConfig, StackConfig
from primum.failures import why_one
from primum.generations import note_watched
from primum.journal import once
from primum.pointer import slug
from primum.progress import say, show
from primum.records import RetrainRun, SiteOutcome, WatchRun
from primum.registry import utc_now
from primum.reports.watch import overview_page, retrain_page, write_retrain, write_watch
from primum.sites import planning, retraining, watching
from primum.sites.champions import Scorer
from primum.sites.cycle import Cycle, begin, drop, finish, single
from primum.sites.planning import Plans
from primum.sites.pooled import PooledTraining
from primum.workspace import find_workspace, held


@lru_cache(maxsize=1)  # the sites of a run share the base
def _scorer(model: ModelConfig, stack: StackConfig) -> Scorer:
    workspace = find_workspace()
    return Scorer(workspace, open_backend(model, stack, workspace.project), show)


def _opened(config: RunConfig) -> Scorer:
    return _scorer(config.model, config.stack)


@step(enable_cache=False)  # a scheduled run has its date when it starts
def open_cycle(
    config: RunConfig, output: str, since: datetime | None, watch_only: bool
) -> Annotated[Cycle, "cycle"]:
    """Name the run and its date; go on with a retraining that was interrupted."""
    workspace, now = find_workspace(), utc_now()
    note_watched(workspace, config.task.name, now)
    return (single if watch_only else begin)(workspace, config, now, since, output)


@step(enable_cache=False)  # the source may have changed
def watch_sites(config: RunConfig, cycle: Cycle) -> Annotated[WatchRun, "watch_run"]:
    """Compare every site's window with what its champion learned from."""
    run = once(
        Path(cycle.folder),
        "watch",
        WatchRun,
        lambda: watching.watch(
            find_workspace(),
            config,
            _opened(config),
            at=cycle.at,
            since=cycle.since,
            out=Path(cycle.out),
            records=cycle.records,
            progress=show,
        ),
    )
    statuses = [report.status for report in run.reports]
    log_metadata({status: statuses.count(status) for status in sorted(set(statuses))})
    return run


@step(enable_cache=False)  # every run leaves its folder
def report_drift(run: WatchRun, cycle: Cycle) -> Annotated[HTMLString, "overview"]:
    """Write the sites' pages; the overview is shown in the dashboard."""
    write_watch(Path(cycle.out), run)
    drop(cycle)
    return HTMLString(overview_page(run))


@step(enable_cache=False)  # what is due depends on the registry
def plan_sites(
    run: WatchRun, config: RunConfig, cycle: Cycle
) -> tuple[Annotated[Plans, "plans"], Annotated[list[str], "due"]]:
    """Say what is due at each site; give each due one its split."""
    plans = planning.plan_sites(find_workspace(), config, run, cycle, _opened(config), show)
    actions = [plan.action for plan in plans.plans]
    log_metadata({action: actions.count(action) for action in sorted(set(actions))})
    return plans, [site.plan.site for site in plans.due]


@step(enable_cache=False)
def train_pooled(plans: Plans, config: RunConfig, cycle: Cycle) -> Annotated[PooledTraining, "training"]:
    """Train one adapter on the records of all sites, where a due site needs it."""
    return planning.pooled_of(find_workspace(), config, plans, cycle, _opened(config).backend, show)


@step(enable_cache=False)
def retrain_site(
    site: str, plans: Plans, config: RunConfig, cycle: Cycle, training: PooledTraining
) -> Annotated[str, "outcome"]:
    """Do what is due at one site. A failure there is this site's outcome and leaves the others whole."""
    return _at_site(site, plans, config, cycle, training)


@step(enable_cache=False)
def retrain_sites(
    plans: Plans, config: RunConfig, cycle: Cycle, training: PooledTraining
) -> Annotated[list[str], "outcomes"]:
    """Do what is due at every site, one after the other: for orchestrators that schedule static pipelines only."""
    return [_at_site(due.plan.site, plans, config, cycle, training) for due in plans.due]


def _at_site(site: str, plans: Plans, config: RunConfig, cycle: Cycle, training: PooledTraining) -> str:
    workspace, due = find_workspace(), plans.at(site)
    words = f"{site}: waiting for the sites before it"
    try:
        with held(workspace, f"{config.task.name}.site", words, lambda _: None):
            say(f"{site}: {due.plan.action}")
            outcome = retraining.retrain_site(
                workspace,
                config,
                due.plan,
                due.split,
                training.pooled,
                cycle,
                _opened(config),
                cycle.site(slug(site)),
                utc_now,
                show,
            )
    except Exception as error:
        why = why_one(error)
        say(f"{site}: failed: {why}")
        plan = due.plan
        outcome = SiteOutcome(site=site, action=plan.action, reasons=plan.reasons, error=why)
    return outcome.model_dump_json()


@step(enable_cache=False)
def report_retrain(
    run: WatchRun, plans: Plans, outcomes: list[str], config: RunConfig, cycle: Cycle
) -> tuple[Annotated[HTMLString, "retraining"], Annotated[RetrainRun, "retrain_run"]]:
    """Write the pages of all sites; the cycle is over where no site failed, else the same command continues it."""
    found = tuple(map(SiteOutcome.model_validate_json, outcomes))
    result = RetrainRun(
        task=config.task.name,
        at=cycle.at.isoformat(),
        cycle=cycle.name,
        watch=run,
        plans=plans.plans,
        outcomes=found,
    )
    limits = config.gate.calibration
    band = (limits.min_observed_expected, limits.max_observed_expected)
    write_retrain(Path(cycle.out), result, band=band)
    if not any(outcome.error for outcome in found):
        finish(find_workspace(), config, cycle)
    return HTMLString(retrain_page(result, band=band)), result
