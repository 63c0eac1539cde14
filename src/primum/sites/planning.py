"""From a drift run to what is done in a cycle: plans for all sites, splits for those with something due."""

from __future__ import annotations

from pathlib import Path

from primum.backends.base import Backend, Progress
from primum.config import RunConfig
from primum.journal import once
from primum.records import Frozen, SitePlan, SplitVersion, WatchRun
from primum.schedule import plan
from primum.sites.champions import Scorer
from primum.sites.cycle import Cycle
from primum.sites.facts import gather
from primum.sites.pooled import Pooled, PooledTraining, pooled_split, train_pooled
from primum.sites.retraining import prepare
from primum.sites.sources import labelled
from primum.workspace import Workspace


class DueSite(Frozen):
    """A site with something to do, and the split that it is done on."""

    plan: SitePlan
    split: SplitVersion | None
    """None: nothing can be judged, but its live champion fails and may have to go back."""


class Plans(Frozen):
    """Every site's plan, and the sites that work is done at in this cycle."""

    plans: tuple[SitePlan, ...]
    due: tuple[DueSite, ...]

    def at(self, site: str) -> DueSite:
        """What is due at a site that is among the due ones."""
        return next(due for due in self.due if due.plan.site == site)

    @property
    def train(self) -> bool:
        """Whether any site needs the pooled adapter."""
        return any(site.plan.action == "retrain" for site in self.due)

    @property
    def splits(self) -> dict[str, SplitVersion]:
        """Site -> the split that it was given in this cycle."""
        return {site.plan.site: site.split for site in self.due if site.split is not None}


def plan_sites(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    run: WatchRun,
    cycle: Cycle,
    scorer: Scorer,
    progress: Progress | None = None,
) -> Plans:
    """Plan every watched site and give each due one its split; one whose labels do not suffice stays as it is."""
    return once(
        Path(cycle.folder), "plans", Plans, lambda: _plan(workspace, config, run, cycle, scorer, progress)
    )


def _plan(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    run: WatchRun,
    cycle: Cycle,
    scorer: Scorer,
    progress: Progress | None,
) -> Plans:
    plans: list[SitePlan] = []
    due: list[DueSite] = []
    for facts in gather(workspace, config, run, scorer, cycle.at, cycle.records):
        found = plan(facts, config.retrain, cycle.at)
        if found.action in ("recalibrate", "retrain"):
            made = prepare(workspace, config, found, cycle)
            if isinstance(made, SplitVersion):
                due.append(DueSite(plan=found, split=made))
            else:
                found = made
        if found.action == "stay" and facts.own and facts.failing:
            due.append(DueSite(plan=found, split=None))
        plans.append(found)
        if progress:
            progress("plans", len(plans), len(run.reports))
    return Plans(plans=tuple(plans), due=tuple(due))


def pooled_of(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    plans: Plans,
    cycle: Cycle,
    backend: Backend,
    progress: Progress | None = None,
) -> PooledTraining:
    """Train the adapter of all sites' records, once a cycle and only where a due site needs it."""
    if not plans.train:
        return PooledTraining()
    folder = Path(cycle.folder) / "pooled"

    def stored() -> SplitVersion:
        path = labelled(workspace, config, cycle.at, cycle.records, folder)
        return pooled_split(workspace, path, plans.splits, config)

    split = once(folder, "split", SplitVersion, stored)
    trained = once(
        folder, "trained", Pooled, lambda: train_pooled(workspace, split, config, backend, folder, progress)
    )
    return PooledTraining(pooled=trained)
