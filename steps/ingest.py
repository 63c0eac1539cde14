"""Read, check and normalise the task's records."""

from typing import Annotated

from zenml import step

from primum.config import TaskConfig
from primum.ingest import ingest
from primum.progress import show
from primum.records import IngestReport
from primum.workspace import find_workspace


@step(enable_cache=False)  # the source may have changed; equal content lets everything after it stay cached
def ingest_records(task: TaskConfig, seed: int) -> Annotated[IngestReport, "ingest_report"]:
    """Leave the checked records in the work folder and return what was found in them."""
    workspace = find_workspace()
    return ingest(task, workspace.project, workspace.work(task.name) / "ingest", seed, progress=show)
