"""The split that the run stands on, stored with DVC."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from primum import generations
from primum.config import StackConfig, TaskConfig
from primum.records import IngestReport, SplitVersion
from primum.workspace import find_workspace


@step(enable_cache=False)  # its side effect is DVC's; the returned hash lets later steps cache by value
def make_split(
    report: IngestReport, task: TaskConfig, stack: StackConfig, seed: int
) -> Annotated[SplitVersion, "split_version"]:
    """Divide the patients once, keep the parts from then on; the DVC hash is the split version."""
    version = generations.make_split(find_workspace(), Path(report.path), task, stack, seed)
    log_metadata(
        {
            "split_version": version.dvc_hash,
            "generation": version.lineage.generation,
            "records": report.rows,
            "patients": report.patients,
        }
    )
    return version
