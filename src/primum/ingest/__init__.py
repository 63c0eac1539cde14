"""Read a task's source, check every row, and write the canonical records.

The source is streamed in chunks. Each chunk is brought to canonical columns, checked against the task's
declarations, and kept as Arrow columns; the whole is checked, sorted by record id and written at once, so the
file depends on the records and not on their order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from primum.backends.base import Progress
from primum.config import TaskConfig
from primum.errors import BadInput, Unavailable
from primum.ingest import checks, columns, identity, notes
from primum.ingest.place import Place
from primum.ingest.sources import Opened, open_file, open_source
from primum.records import IngestReport

__all__ = ["ingest", "ingest_unlabelled"]

KEYS = ("record_id", "patient_id", "site", "time", "label")
"""The canonical columns before the features."""
FILE_KINDS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}


def ingest(
    task: TaskConfig, root: Path, out: Path, seed: int, progress: Progress | None = None
) -> IngestReport:
    """Write the task's labelled records to `out/records.parquet`, sorted by record id.

    Paths of the source are relative to `root`; `seed` draws `source.sample`. Rows without a label are left
    out and counted in the notes. Raises BadInput with file, row and column for the first problem, Unavailable
    where the disk or a hub fails; nothing is written then.
    """
    opened = open_source(task.source, root, _wanted(task, labelled=True))
    table, remarks = _table(task, opened, labelled=True, progress=progress)
    name, column = opened.name, task.label.column
    checks.check_classes(_counts(table, task), name, column)
    unlabelled = table["label"].null_count
    if unlabelled:
        table = table.filter(pc.is_valid(table["label"]))
        remarks.append(f"{unlabelled} row(s) without a label were left out")
    size = task.source.sample
    if size is not None:
        remarks.append(f"sample: {min(size, len(table))} of {len(table)} labelled rows kept (seed {seed})")
        table = table.take(identity.sample(table["record_id"].to_pylist(), size, seed))
    counts = _counts(table, task)
    checks.check_classes(counts, name, column)
    remarks += [f"no record of class '{label}'" for label, count in counts.items() if not count]
    return _finish(task, table, remarks, out)


def ingest_unlabelled(
    task: TaskConfig, file: Path, out: Path, progress: Progress | None = None
) -> IngestReport:
    """Write the records of `file` (csv, csv.gz, jsonl, parquet) for prediction to `out/records.parquet`.

    The same checks as `ingest` without the label: a label column in the file is not read, `label` is null.
    One more column, `row` (int64), is the record's row in the file. Raises as `ingest`.
    """
    suffix = (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()
    if suffix not in FILE_KINDS:
        raise BadInput(f"{file}: unknown kind of file; give one of {', '.join(FILE_KINDS)}")
    opened = open_file(FILE_KINDS[suffix], file, str(file), _wanted(task, labelled=False))
    table, remarks = _table(task, opened, labelled=False, progress=progress)
    table = table.append_column("row", pa.array(np.arange(1, len(table) + 1)))
    return _finish(task, table, remarks, out)


def _wanted(task: TaskConfig, labelled: bool) -> dict[str, str]:
    """Source column -> the task key that names it. Raises BadInput where the task cannot be ingested."""
    keys = {v: f"keys.{k}" for k, v in task.keys.model_dump().items() if v is not None}
    label = {task.label.column: "label.column"} if labelled else {}
    for feature in task.features:
        where = f"task '{task.name}', feature '{feature.column}'"
        if feature.column in (*KEYS, "row"):
            raise BadInput(f"{where}: is the name of a canonical column; rename it in source and task")
        if feature.values and feature.kind != "category":
            raise BadInput(f"{where}: `values` are for categories; add `kind: category`")
    return keys | label | {f.column: "features" for f in task.features}


def _table(
    task: TaskConfig, opened: Opened, labelled: bool, progress: Progress | None
) -> tuple[pa.Table, list[str]]:
    """Every row of the source, checked, in canonical columns, plus a mask of disguises per feature."""
    chunks = list(_canonical_chunks(task, opened, labelled, progress))
    if not chunks:
        raise BadInput(f"{opened.name}: the file holds no rows")
    table = pa.concat_tables([chunk for chunk, _ in chunks])
    remarks = []
    if task.keys.record_id is None:
        hashes = [h for _, hashes in chunks for h in hashes]
        same = len(hashes) - len(set(hashes))
        remarks += [f"{same} row(s) are identical to an earlier one"] if same else []
        table = table.set_column(0, "record_id", pa.array(identity.ids_from(hashes), pa.string()))
    if task.keys.patient_id is None:
        table = table.set_column(1, "patient_id", table["record_id"])
    checks.check_records(table, opened.name, task)
    return table, remarks


def _canonical_chunks(
    task: TaskConfig, opened: Opened, labelled: bool, progress: Progress | None
) -> Iterator[tuple[pa.Table, list[str]]]:
    schema = checks.build_schema(task, labelled)
    words = {
        f.column: columns.declared({v: v for v in f.values}, f"task '{task.name}', feature '{f.column}'")
        for f in task.features
        if f.values
    }
    classes = {raw: name for name, values in task.label.classes.items() for raw in values}
    words["label"] = columns.declared(classes, f"task '{task.name}', label")
    done = 0
    for raw in opened.chunks:
        if not len(raw):
            continue
        place = Place(opened.name, done + 1, "")
        chunk = _read(task, raw.combine_chunks(), place, labelled)
        checks.check_chunk(schema, chunk, place, task.label.column)
        for column, meanings in words.items():
            at = chunk.column_names.index(column)
            chunk = chunk.set_column(at, column, columns.recode(chunk[column], meanings))
        done += len(chunk)
        yield chunk, [] if task.keys.record_id else identity.content_hashes(chunk)
        total = opened.total or done + 1  # unknown for text files
        if progress and done < total:
            progress("ingest", done, total)
    if progress:
        progress("ingest", done, done)


def _read(task: TaskConfig, raw: pa.Table, place: Place, labelled: bool) -> pa.Table:
    """One chunk's columns in canonical form, values still as the source writes them."""

    def at(column: str) -> tuple[pa.Array, Place]:
        return raw[column].combine_chunks(), place._replace(column=column)

    nothing = pa.nulls(len(raw), pa.string())
    result: dict[str, pa.Array] = dict.fromkeys(KEYS, nothing)
    result["site"] = pa.array(["all"] * len(raw))
    for key in ("record_id", "patient_id", "site"):
        column = getattr(task.keys, key)
        if column is not None:
            result[key] = columns.read_key(*at(column), f"keys.{key}")
    if task.keys.time is not None:
        result["time"] = columns.read_time(*at(task.keys.time))
    if labelled:
        result["label"] = columns.read_word(*at(task.label.column))
    masks = {}
    for feature in task.features:
        result[feature.column], masks[_mask(feature.column)] = columns.read_feature(
            *at(feature.column), feature
        )
    return pa.table(result | masks)


def _mask(column: str) -> str:
    return f"disguised:{column}"


def _counts(table: pa.Table, task: TaskConfig) -> dict[str, int]:
    found = {entry["values"]: entry["counts"] for entry in pc.value_counts(table["label"]).to_pylist()}
    return {label: int(found.get(label, 0)) for label in task.labels}


def _finish(task: TaskConfig, table: pa.Table, remarks: list[str], out: Path) -> IngestReport:
    """Sort, count and write."""
    table = table.sort_by("record_id")
    disguised = {f.column: pc.sum(table[_mask(f.column)]).as_py() or 0 for f in task.features}
    table = table.drop_columns([_mask(f.column) for f in task.features])
    path = out / "records.parquet"
    return IngestReport(
        path=str(path),
        sha256=_write(table, path),
        rows=len(table),
        patients=pc.count_distinct(table["patient_id"]).as_py(),
        sites=tuple(sorted(pc.unique(table["site"]).to_pylist())),
        label_counts=_counts(table, task) if table["label"].null_count < len(table) else {},
        missing={f.column: table[f.column].null_count for f in task.features},
        disguised=disguised,
        notes=(*remarks, *notes.suspicious(table, task)),
    )


def _write(table: pa.Table, path: Path) -> str:
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
