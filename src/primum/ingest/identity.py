"""Ids and samples that do not depend on the order of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def content_hashes(chunk: pa.Table) -> list[str]:
    """SHA-256 (64 hex digits) of every row of canonical columns: its texts, then its numbers, by name."""
    names = sorted(chunk.column_names)
    texts = [chunk[n] for n in names if pa.types.is_string(chunk[n].type)]
    numbers = [chunk[n].to_numpy() for n in names if pa.types.is_floating(chunk[n].type)]
    heads = _joined(texts) if texts else [b""] * len(chunk)
    tails = [b""] * len(chunk)
    if numbers:
        matrix = np.column_stack(numbers).astype("<f8") + 0.0  # -0.0 becomes 0.0
        matrix[np.isnan(matrix)] = np.nan  # one bit pattern for every NaN
        tails = [row.tobytes() for row in matrix]
    return [hashlib.sha256(head + tail).hexdigest() for head, tail in zip(heads, tails, strict=True)]


def _joined(texts: list[pa.ChunkedArray]) -> list[bytes]:
    joined = pc.binary_join_element_wise(*texts, "\x1f", null_handling="replace", null_replacement="\x1e")
    return [text.encode() for text in joined.to_pylist()]


def ids_from(hashes: Sequence[str]) -> list[str]:
    """Turn row hashes into ids: `row-` and 12 hex digits, with `-2`, `-3` ... where rows share them.

    Rows that share digits are numbered in the order of their full hash, so row order plays no part.
    """
    ordered = pd.Series(list(hashes), dtype="str").sort_values(kind="stable")
    short = "row-" + ordered.str[:12]
    nth = short.groupby(short).cumcount() + 1
    ids = short.where(nth == 1, short + "-" + nth.astype("str"))
    return list(ids.sort_index())


def sample(ids: Sequence[str], size: int, seed: int) -> np.ndarray:
    """Positions of `size` ids: those whose hash with the seed is smallest, whatever their order."""
    keys = np.array([hashlib.sha256(f"{seed}:{i}".encode()).digest()[:8] for i in ids], dtype="S8")
    return (
        np.sort(np.lexsort((np.asarray(ids, dtype=object), keys))[:size])
        if len(ids) > size
        else np.arange(len(ids))
    )
