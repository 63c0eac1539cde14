"""Readers: every source becomes a stream of Arrow tables that hold only the columns a task needs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from primum.cohorts import Cohort, make_cohort
from primum.config import Source, SourcePart, read_yaml, validate
from primum.errors import BadInput
from primum.ingest import files
from primum.ingest.hub import open_dataset

CHUNK_ROWS = 20_000
READERS = {"csv": files.csv_rows, "jsonl": files.jsonl_rows, "json": files.json_rows}


@dataclass(frozen=True)
class Opened:
    """A source whose columns were found. `total` is its number of rows where it is known beforehand."""

    name: str
    chunks: Iterator[pa.Table]
    total: int | None = None
    notes: tuple[str, ...] = ()
    """What is known of it beside its rows, such as its licence."""
    part: SourcePart | None = None
    """Which part of a mix it is."""


def open_sources(source: Source, root: Path, wanted: Mapping[str, str]) -> list[Opened]:
    """Open `source`, of a mix each part, with the columns that the task names. Raises as `open_source`."""
    if source.kind != "mix":
        return [open_source(source, root, wanted)]
    return [_open_part(part, root, wanted) for part in source.parts]


def _open_part(part: SourcePart, root: Path, wanted: Mapping[str, str]) -> Opened:
    for column in (*part.map, *part.constants):
        if column not in wanted:
            raise BadInput(f"source.parts '{part.name}': the task names no column '{column}'")
    names = {c: part.map.get(c, c) for c in wanted if c not in part.constants}
    of_source = {names[c]: f"parts '{part.name}': {wanted[c]}" for c in names}
    opened = open_source(part.source, root, of_source)
    return replace(opened, chunks=_renamed(opened.chunks, names, part, list(wanted)), part=part)


def _renamed(
    chunks: Iterator[pa.Table], names: Mapping[str, str], part: SourcePart, wanted: Sequence[str]
) -> Iterator[pa.Table]:
    for chunk in chunks:
        fixed = {c: pa.array([v] * len(chunk), pa.string()) for c, v in part.constants.items()}
        yield pa.table([fixed[c] if c in fixed else chunk[names[c]] for c in wanted], names=list(wanted))


def open_source(source: Source, root: Path, wanted: Mapping[str, str]) -> Opened:
    """Open `source`; `wanted` maps each needed column to the task key that names it.

    Raises BadInput when the source cannot be read or lacks a column, Unavailable when a hub does not answer.
    """
    if source.kind == "sklearn":
        return _sklearn(source.name or "", wanted)
    if source.kind == "huggingface":
        name, columns, rows, chunks, notes = open_dataset(source, root, wanted, CHUNK_ROWS)
        check_columns(name, columns, wanted)
        return Opened(name, chunks, rows, notes)
    if source.kind == "cohort":
        return _cohort(root / (source.path or ""), source.path or "", wanted)
    return open_file(source.kind, root / (source.path or ""), source.path or "", wanted)


def open_file(kind: str, path: Path, name: str, wanted: Mapping[str, str]) -> Opened:
    """Open a file of `kind` csv, jsonl, json (these also gzipped) or parquet; messages call it `name`."""
    if kind == "parquet":
        columns, total, chunks = files.parquet(path, name, list(wanted), CHUNK_ROWS)
    else:
        columns, chunks = READERS[kind](path, name, list(wanted), CHUNK_ROWS)
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


def _cohort(path: Path, name: str, wanted: Mapping[str, str]) -> Opened:
    cohort = validate(Cohort, read_yaml(path), name)
    frame = make_cohort(cohort)
    check_columns(name, list(frame.columns), wanted)
    table = pa.Table.from_pandas(frame[list(wanted)], preserve_index=False)
    return Opened(
        name, iter([table]), len(table), ("synthetic records with published margins, no patient's",)
    )


def _sklearn(name: str, wanted: Mapping[str, str]) -> Opened:
    bundled = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
    if name not in bundled:
        raise BadInput(f"source.name: scikit-learn bundles no '{name}'; choose one of {', '.join(bundled)}")
    from sklearn import datasets  # late: it takes a second

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    check_columns(f"sklearn:{name}", list(frame.columns), wanted)
    table = pa.Table.from_pandas(frame[list(wanted)], preserve_index=False)
    return Opened(f"sklearn:{name}", iter([table]), len(table))
