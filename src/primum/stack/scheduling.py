"""Schedules that a ZenML orchestrator keeps, where it takes one."""

from __future__ import annotations

from datetime import UTC, datetime

from zenml.client import Client
from zenml.config.schedule import Schedule
from zenml.stack import Stack

from primum.errors import BadInput
from primum.timer import cron


def require_schedulable(stack: Stack) -> str:
    """The flavor of the stack's orchestrator. Raises BadInput where that takes no schedule."""
    orchestrator = stack.orchestrator
    if orchestrator.config.is_schedulable:
        return orchestrator.flavor
    raise BadInput(
        f"the {orchestrator.flavor} orchestrator of stack '{stack.name}' takes no schedule; use primum schedule "
        "install --via systemd|cron (launchd on a Mac), or a stack on Kubernetes, Vertex, SageMaker, AzureML, "
        "Airflow or Databricks"
    )


def schedule_of(line: str, name: str, start: datetime | None = None, flavor: str = "") -> Schedule:
    """A ZenML schedule. `start` needs a zone; `flavor` is the orchestrator's, for SageMaker's own cron lines.

    Orchestrators read the line in UTC. A run that was missed is not made up for: the next one sees its records too.
    Raises BadInput for a line that cannot be read, or that AWS has no words for.
    """
    read = cron.parse(line)
    if start is not None and start.tzinfo is None:
        raise BadInput(f"the schedule's start {start.isoformat()} has no time zone; write it with +00:00")
    return Schedule(
        name=name,
        cron_expression=cron.aws(read) if flavor == "sagemaker" else read.text,
        start_time=start.astimezone(UTC) if start is not None else None,
        catchup=False,
    )


def schedulable_stack(name: str | None) -> Stack | None:
    """ZenML's stack of that name, the active one without; None where ZenML has none of that name (yet)."""
    client = Client()
    if name is None:
        return client.active_stack
    try:
        return Stack.from_model(client.get_stack(name, allow_name_prefix_match=False))
    except KeyError:
        return None
