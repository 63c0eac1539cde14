"""The canonical records as a Parquet file: written whole, read by site."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from primum.errors import Unavailable


def write(table: pa.Table, path: Path) -> str:
    """Write a Parquet file whole or not at all; returns its SHA-256 (64 hex digits)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w+b") as file:
            pq.write_table(table, file, compression="zstd", row_group_size=100_000)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(f"{path.parent}: cannot be written ({reason}); nothing was kept") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return digest


def by_site(path: Path) -> dict[str, pd.DataFrame]:
    """The canonical records of the Parquet file `path` by site, sites in their order, rows in that of the file.

    The file is read once. The frames share its memory until one of them is changed.
    """
    records = pd.read_parquet(path)
    site, names = pd.factorize(records["site"], sort=True)
    ordered = records.iloc[np.argsort(site, kind="stable")]
    stops = np.cumsum(np.bincount(site, minlength=len(names)))
    starts = [0, *stops[:-1]]
    return {
        str(name): ordered.iloc[start:stop].reset_index(drop=True)
        for name, start, stop in zip(names, starts, stops, strict=True)
    }
