"""Read, check and normalise the task's records."""

from typing import Annotated

from zenml import step

from primum.config import RunConfig
from primum.ingest import ingest
from primum.progress import show
from primum.records import IngestReport
from primum.workspace import find_workspace


@step(enable_cache=False)  # the source may have changed; equal content lets everything after it stay cached
def ingest_records(config: RunConfig) -> Annotated[IngestReport, "ingest_report"]:
    """Leave the checked records in the work folder and return what was found in them."""
    workspace, task = find_workspace(), config.task
    folder = workspace.work(task.name) / "ingest"
    return ingest(task, workspace.project, folder, config.seed, show, site=config.site, at=config.at)
