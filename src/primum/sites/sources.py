"""The records of all sites as a run reads them: once, so that all its stages stand on the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from primum.backends.base import Progress
from primum.config import RunConfig
from primum.ingest import by_site, ingest_window
from primum.ingest.identity import sample
from primum.ingest.mix import draw
from primum.ingest.stored import write
from primum.records import ALL_SITES
from primum.workspace import Workspace


def read_sites(
    workspace: Workspace, config: RunConfig, at: datetime, folder: Path, progress: Progress | None = None
) -> Mapping[str, pd.DataFrame]:
    """The records of every site as they exist at `at`, labelled or not; read from the source once a `folder`."""
    return by_site(_file(workspace, config, at, folder, progress))


def labelled(  # noqa: PLR0913
    workspace: Workspace, config: RunConfig, at: datetime, folder: Path, out: Path, site: str = ALL_SITES
) -> Path:
    """A file in `out` of the records (of one site) whose outcome is known at `at`: what `ingest` would write."""
    table = pq.read_table(_file(workspace, config, at, folder, None))
    keep = pc.and_(table["matured"], pc.is_valid(table["label"]))
    if site != ALL_SITES:
        keep = pc.and_(keep, pc.equal(table["site"], site))
    table = table.filter(keep).drop_columns("matured")
    kept, _ = draw(table["record_id"].to_pylist(), config.task.source.parts, config.seed)
    table = table if kept is None else table.take(kept)
    if config.task.source.sample is not None:
        table = table.take(sample(table["record_id"].to_pylist(), config.task.source.sample, config.seed))
    path = out / "records.parquet"
    write(table, path)
    return path


def _file(
    workspace: Workspace, config: RunConfig, at: datetime, folder: Path, progress: Progress | None
) -> Path:
    path = folder / "records.parquet"  # it comes whole or not at all
    if not path.is_file():
        ingest_window(config.task, workspace.project, folder, progress, at=at)
    return path
