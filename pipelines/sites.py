"""Site by site: drift reports, and the retraining of what is due."""

from datetime import datetime
from typing import Any

from zenml import pipeline, unmapped
from zenml.enums import ExecutionMode

from pipelines.finetune import on_device
from primum.config import RunConfig
from steps.sites import (
    open_cycle,
    plan_sites,
    report_drift,
    report_retrain,
    retrain_site,
    retrain_sites,
    train_pooled,
    watch_sites,
)


@pipeline(name="drift", enable_cache=False, execution_mode=ExecutionMode.FAIL_FAST)
def drift_pipeline(config: RunConfig, output: str, since: datetime | None = None) -> None:
    """Watch -> report."""
    cycle = open_cycle(config, output, since, watch_only=True)
    watched = on_device(watch_sites, config.stack)(config, cycle)
    report_drift(watched, cycle)


@pipeline(name="retrain", dynamic=True, enable_cache=False, execution_mode=ExecutionMode.CONTINUE_ON_FAILURE)
def retrain_pipeline(config: RunConfig, output: str, since: datetime | None = None) -> None:
    """Watch -> plan -> (train for all sites) -> each due site: candidates, gate, registry -> report."""
    stack = config.stack
    cycle = open_cycle(config, output, since, watch_only=False)
    watched = on_device(watch_sites, stack)(config, cycle)
    plans, due = on_device(plan_sites, stack)(watched, config, cycle)
    outcomes: Any = []
    if due.load():
        training = on_device(train_pooled, stack)(plans, config, cycle)
        at_site = on_device(retrain_site, stack)
        outcomes = at_site.map(
            site=due,
            plans=unmapped(plans),
            config=unmapped(config),
            cycle=unmapped(cycle),
            training=unmapped(training),
        )
    report_retrain(watched, plans, outcomes, config, cycle)


@pipeline(name="retrain", enable_cache=False, execution_mode=ExecutionMode.FAIL_FAST)
def scheduled_retrain_pipeline(config: RunConfig, output: str, since: datetime | None = None) -> None:
    """The same with the sites in one step: SageMaker schedules no pipeline whose steps depend on what it finds."""
    stack = config.stack
    cycle = open_cycle(config, output, since, watch_only=False)
    watched = on_device(watch_sites, stack)(config, cycle)
    plans, _ = on_device(plan_sites, stack)(watched, config, cycle)
    training = on_device(train_pooled, stack)(plans, config, cycle)
    outcomes = on_device(retrain_sites, stack)(plans, config, cycle, training)
    report_retrain(watched, plans, outcomes, config, cycle)
