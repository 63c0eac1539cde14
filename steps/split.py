"""Divide the records once and store the parts with DVC."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from primum.config import StackConfig, TaskConfig
from primum.records import IngestReport, SplitVersion
from primum.split import assign
from primum.versioning import store_split
from primum.workspace import find_workspace


@step(enable_cache=False)  # its side effect is DVC's; the returned hash lets later steps cache by value
def make_split(
    report: IngestReport, task: TaskConfig, stack: StackConfig, seed: int
) -> Annotated[SplitVersion, "split_version"]:
    """Assign every patient to a part and store the parts; the DVC hash is the split version."""
    records = Path(report.path)
    assignment = assign(pd.read_parquet(records), task, seed)
    version = store_split(find_workspace().home, records, assignment, task, stack, seed)
    log_metadata({"split_version": version.dvc_hash, "records": report.rows, "patients": report.patients})
    return version
