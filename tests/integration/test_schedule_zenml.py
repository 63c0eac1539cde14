"""Schedules that an orchestrator keeps: which take one, and the line in its own words."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from primum.errors import BadInput
from primum.stack.scheduling import require_schedulable, schedulable_stack, schedule_of
from primum.stack.store import bootstrap
from primum.workspace import Workspace

FLAVORS = {
    "kubernetes": "kubernetes.flavors.kubernetes_orchestrator_flavor.KubernetesOrchestratorConfig",
    "sagemaker": "aws.flavors.sagemaker_orchestrator_flavor.SagemakerOrchestratorConfig",
    "vertex": "gcp.flavors.vertex_orchestrator_flavor.VertexOrchestratorConfig",
    "airflow": "airflow.flavors.airflow_orchestrator_flavor.AirflowOrchestratorConfig",
    "azureml": "azure.flavors.azureml_orchestrator_flavor.AzureMLOrchestratorConfig",
}


def stack_of(flavor: str) -> Any:
    """A stack whose orchestrator has ZenML's own configuration of that flavor; no cloud library is needed for it."""
    module, _, name = FLAVORS[flavor].rpartition(".")
    config = getattr(importlib.import_module(f"zenml.integrations.{module}"), name)
    return SimpleNamespace(
        name="mine", orchestrator=SimpleNamespace(flavor=flavor, config=config.model_construct())
    )


@pytest.mark.parametrize("flavor", FLAVORS)
def test_orchestrators_that_take_a_schedule(flavor: str) -> None:
    assert require_schedulable(stack_of(flavor)) == flavor


def test_the_local_one_takes_none_and_the_line_says_what_does(project: Path, tmp_path: Path) -> None:
    bootstrap(Workspace(project=project, home=tmp_path))
    stack = schedulable_stack(None)
    assert stack is not None
    with pytest.raises(
        BadInput, match=r"the local orchestrator .* takes no schedule; use .* --via systemd\|cron"
    ):
        require_schedulable(stack)
    assert schedulable_stack("a stack of nobody") is None
    named = schedulable_stack(stack.name)
    assert named is not None
    assert named.id == stack.id


def test_a_schedule_has_its_line_its_name_and_its_start_in_utc() -> None:
    start = datetime(2026, 7, 1, 3, tzinfo=timezone(timedelta(hours=2)))
    made = schedule_of("0 3 * * Mon", "retrain-heart", start)
    assert (made.name, made.cron_expression, made.catchup) == ("retrain-heart", "0 3 * * mon", False)
    assert made.start_time == datetime(2026, 7, 1, 1, tzinfo=UTC)
    assert schedule_of("0 3 * * 1", "n").start_time is None


def test_sagemaker_gets_awss_own_line() -> None:
    """ZenML hands it on as it is and refuses five fields."""
    assert schedule_of("0 3 * * 1", "n", flavor="sagemaker").cron_expression == "0 3 ? * MON *"
    with pytest.raises(BadInput, match="AWS takes"):
        schedule_of("0 3 1 * 1", "n", flavor="sagemaker")


def test_bad_lines_and_starts_without_a_zone_are_refused() -> None:
    with pytest.raises(BadInput, match="hour '25'"):
        schedule_of("0 25 * * *", "n")
    with pytest.raises(BadInput, match="has no time zone"):
        schedule_of("0 3 * * *", "n", datetime(2026, 7, 1))
