"""From a drift run to what is done in a cycle: plans for all sites, splits for those with something due."""

from __future__ import annotations

from pathlib import Path

from primum.backends.base import Backend, Progress
from primum.config import RunConfig
from primum.ingest import ingest
from primum.pointer import slug
from primum.records import Frozen, SitePlan, SplitVersion, WatchRun
from primum.schedule import plan
from primum.sites.champions import Scorer
from primum.sites.cycle import Cycle
from primum.sites.facts import gather
from primum.sites.journal import once
from primum.sites.pooled import Pooled, pooled_split, train_pooled
from primum.sites.retraining import prepare
from primum.workspace import Workspace


class DueSite(Frozen):
    """A site with something to do, and the split that it is done on."""

    plan: SitePlan
    split: SplitVersion


class Plans(Frozen):
    """Every site's plan, and the sites that work is done at in this cycle."""

    plans: tuple[SitePlan, ...]
    due: tuple[DueSite, ...]

    @property
    def train(self) -> bool:
        """Whether any site needs the pooled adapter."""
        return any(site.plan.action == "retrain" for site in self.due)


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
    for facts in gather(workspace, config, run, scorer, cycle.at):
        found = plan(facts, config.retrain, cycle.at)
        if found.action in ("recalibrate", "retrain"):
            made = prepare(workspace, config, found, cycle.at, cycle.site(slug(found.site)))
            if isinstance(made, SplitVersion):
                due.append(DueSite(plan=found, split=made))
            else:
                found = made
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
) -> Pooled:
    """Train the adapter of all sites' records, once a cycle."""
    folder = Path(cycle.folder) / "pooled"
    splits = {site.plan.site: site.split for site in plans.due}

    def stored() -> SplitVersion:
        everything = config.task, workspace.project, folder / "ingest", config.seed
        report = ingest(*everything, at=cycle.at)
        return pooled_split(workspace, Path(report.path), splits, config)

    split = once(folder, "split", SplitVersion, stored)
    return once(
        folder, "trained", Pooled, lambda: train_pooled(workspace, split, config, backend, folder, progress)
    )
