"""The split that the run stands on, stored with DVC."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from primum.config import RunConfig
from primum.records import IngestReport, SplitVersion
from primum.sites.splits import split_for_run
from primum.workspace import find_workspace


@step(enable_cache=False)  # its side effect is DVC's; the returned hash lets later steps cache by value
def make_split(report: IngestReport, config: RunConfig) -> Annotated[SplitVersion, "split_version"]:
    """Divide the patients once, keep the parts from then on; the DVC hash is the split version."""
    version = split_for_run(find_workspace(), Path(report.path), config)
    log_metadata(
        {
            "split_version": version.dvc_hash,
            "generation": version.lineage.generation,
            "records": report.rows,
            "patients": report.patients,
        }
    )
    return version
