"""Readers: every source becomes a stream of Arrow tables that hold only the columns a task needs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from primum.config import Source
from primum.errors import BadInput, Unavailable
from primum.ingest import files

CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class Opened:
    """A source whose columns were found. `total` is its number of rows where it is known beforehand."""

    name: str
    chunks: Iterator[pa.Table]
    total: int | None = None


def open_source(source: Source, root: Path, wanted: Mapping[str, str]) -> Opened:
    """Open `source`; `wanted` maps each needed column to the task key that names it.

    Raises BadInput when the source cannot be read or lacks a column, Unavailable when a hub does not answer.
    """
    if source.kind == "sklearn":
        return _sklearn(source.name or "", wanted)
    if source.kind == "huggingface":
        return _huggingface(source, root, wanted)
    return open_file(source.kind, root / (source.path or ""), source.path or "", wanted)


def open_file(kind: str, path: Path, name: str, wanted: Mapping[str, str]) -> Opened:
    """Open a file of `kind` csv, jsonl (both also gzipped) or parquet; messages call it `name`."""
    if kind == "parquet":
        columns, total, chunks = files.parquet(path, name, list(wanted), CHUNK_ROWS)
    else:
        reader = files.csv_rows if kind == "csv" else files.jsonl_rows
        columns, chunks = reader(path, name, list(wanted), CHUNK_ROWS)
        total = None
    check_columns(name, columns, wanted)
    return Opened(name, chunks, total)


def check_columns(name: str, columns: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Raise BadInput for the first wanted column that `columns` lacks or holds twice."""
    for column, key in wanted.items():
        count = list(columns).count(column)
        if count > 1:
            raise BadInput(
                f"{name}: the column '{column}' stands {count} times in the header; rename all but one"
            )
        if count == 0:
            raise BadInput(
                f"{name}: no column '{column}', which `{key}` of the task names; {_mend(columns, column)}"
            )


def _mend(columns: Sequence[str], column: str) -> str:
    """How to mend a missing column. A name is shown only if it resembles the wanted one: the first line of a
    file without a header is a patient's row."""
    if len(columns) == 1 and (found := re.search(r"[;\t|]", columns[0])):
        mark = "tab" if found[0] == "\t" else found[0]
        return f"the header holds one name only: the file is separated by '{mark}', save it with commas"
    if sum(bool(re.fullmatch(r"[-+.\d]*", c.strip())) for c in columns) > len(columns) / 2:
        return "the first line holds numbers or blanks instead of names: give the file a header"
    near = difflib.get_close_matches(column.casefold(), [c.casefold() for c in columns], n=1, cutoff=0.5)
    if not near:
        return "no column has a similar name; correct the task file or add the column"
    name = next(c for c in columns if c.casefold() == near[0])
    return f"the nearest column is '{name}'"


def _sklearn(name: str, wanted: Mapping[str, str]) -> Opened:
    bundled = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
    if name not in bundled:
        raise BadInput(f"source.name: scikit-learn bundles no '{name}'; choose one of {', '.join(bundled)}")
    from sklearn import datasets  # late: it takes a second

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    check_columns(f"sklearn:{name}", list(frame.columns), wanted)
    table = pa.Table.from_pandas(frame[list(wanted)], preserve_index=False)
    return Opened(f"sklearn:{name}", iter([table]), len(table))


def _huggingface(source: Source, root: Path, wanted: Mapping[str, str]) -> Opened:
    """A folder that `save_to_disk` wrote, or a hub id at its pinned revision. A ClassLabel column holds the
    stored integers: name those in the task."""
    import datasets

    name = source.path or f"{source.name}@{source.revision}"
    try:
        if source.path:
            found = datasets.load_from_disk(str(root / source.path))
        else:
            found = datasets.load_dataset(source.name, revision=source.revision, split=source.split)
    except FileNotFoundError:
        raise BadInput(
            f"{name}: no such dataset; check name and revision, or give a folder that `save_to_disk` wrote"
        ) from None
    except (ConnectionError, OSError) as error:
        raise Unavailable(
            f"{name}: does not load ({type(error).__name__}); check network and access"
        ) from None
    except Exception as error:
        raise BadInput(f"{name}: not a dataset that can be read ({type(error).__name__})") from None
    if isinstance(found, dict):
        if source.split not in found:
            raise BadInput(f"{name}: no split '{source.split}'; source.split can be {', '.join(found)}")
        found = found[source.split]
    check_columns(name, found.column_names, wanted)
    view = found.select_columns(list(wanted)).with_format("arrow")
    return Opened(name, view.iter(batch_size=CHUNK_ROWS), len(found))
