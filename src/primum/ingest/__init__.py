"""Read a task's source, check every row, and write the canonical records.

The source is streamed in chunks. Each chunk is brought to canonical columns, checked against the task's
declarations, and kept as Arrow columns; the whole is checked, sorted by record id and written at once, so the
file depends on the records and not on their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from primum import moments
from primum.backends.base import Progress
from primum.config import TaskConfig
from primum.errors import BadInput
from primum.ingest import checks, columns, identity, notes, scope, times
from primum.ingest.place import Place
from primum.ingest.scope import Scope
from primum.ingest.sites import check_sites, look_alikes
from primum.ingest.sources import Opened, open_file, open_source
from primum.ingest.stored import by_site, write
from primum.records import ALL_SITES, IngestReport

__all__ = ["by_site", "ingest", "ingest_unlabelled", "ingest_window"]

KEYS = ("record_id", "patient_id", "site", "time", "label")
"""The canonical columns before the features."""
MATURED = "matured"
"""The column that `ingest_window` adds."""
TWICE_SHARE = 0.1
"""From this share of identical rows on, a note asks whether a batch was delivered twice."""
TWICE = "was a batch delivered twice? with a column of ids (keys.record_id) such rows are kept once"
FILE_KINDS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}


def ingest(  # noqa: PLR0913 - the keywords say which records are meant
    task: TaskConfig,
    root: Path,
    out: Path,
    seed: int,
    progress: Progress | None = None,
    *,
    site: str = ALL_SITES,
    at: datetime | None = None,
    now: datetime | None = None,
) -> IngestReport:
    """Write the task's labelled records to `out/records.parquet`, sorted by record id.

    Paths of the source are relative to `root`; `seed` draws `source.sample`, from what is left. With `site` only
    that site's records are kept, with `at` only those that exist then; in any case only those whose outcome is
    known at `at`, or at `now`, the clock (the current time by default). Notes and `left_out` count the others.
    Raises BadInput with file, row and column for the first problem anywhere in the source, or with the rule that
    leaves no record; Unavailable where the disk or a hub fails. Nothing is written then.
    """
    meant = scope.scope_of(task, now, site, at)
    found = _source(task, root, meant, progress)
    name, column = found.name, task.label.column
    checks.check_classes(_counts(found.table, task), name, column)
    table, remarks, left_out = _chosen(found, task, meant)
    del found  # the whole table need not stay beside what was chosen
    size = task.source.sample
    if size is not None:
        remarks.append(f"sample: {min(size, len(table))} of {len(table)} labelled rows kept (seed {seed})")
        table = table.take(identity.sample(table["record_id"].to_pylist(), size, seed))
    counts = _counts(table, task)
    checks.check_classes(counts, name + meant.words(), column)
    remarks += [f"no record of class '{label}'" for label, count in counts.items() if not count]
    return _finish(task, table, remarks, out, left_out)


def ingest_window(  # noqa: PLR0913 - the keywords say which records are meant
    task: TaskConfig,
    root: Path,
    out: Path,
    progress: Progress | None = None,
    *,
    at: datetime,
    since: datetime | None = None,
    now: datetime | None = None,
) -> IngestReport:
    """Write all records that exist at `at`, of every site, labelled or not, to `out/records.parquet`.

    With `since` only those whose time ends then or later, so that records without a time are left out. `label` is
    null where the outcome is not known at `at`; one more column, `matured` (bool), is true where it is known: it
    was recorded, and enough time has passed. `source.sample` has no part in it. Raises as `ingest`.
    """
    meant = scope.scope_of(task, now, at=at, since=since, outcomes=False)
    found = _outcomes(_source(task, root, meant, progress), task, meant)
    table, remarks, left_out = _chosen(found, task, meant)
    del found
    return _finish(task, table, remarks, out, left_out)


def ingest_unlabelled(
    task: TaskConfig, file: Path, out: Path, progress: Progress | None = None
) -> IngestReport:
    """Write the records of `file` (csv, csv.gz, jsonl, parquet) for prediction to `out/records.parquet`.

    The same checks as `ingest` without the label: a label column in the file is not read, `label` is null.
    One more column, `row` (int64), is the record's row in the file. A time may lie in the future here, as that of a
    planned visit does. Raises as `ingest`.
    """
    suffix = (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()
    if suffix not in FILE_KINDS:
        raise BadInput(f"{file}: unknown kind of file; give one of {', '.join(FILE_KINDS)}")
    opened = open_file(FILE_KINDS[suffix], file, str(file), _wanted(task, labelled=False))
    table, remarks = _table(task, opened, labelled=False, progress=progress)
    checks.check_ids(table, opened.name, task)
    checks.check_patients(table, opened.name, task)
    table = table.append_column("row", pa.array(np.arange(1, len(table) + 1)))
    return _finish(task, table, remarks, out)


def _wanted(task: TaskConfig, labelled: bool) -> dict[str, str]:
    """Source column -> the task key that names it. Raises BadInput where the task cannot be ingested."""
    keys = {v: f"keys.{k}" for k, v in task.keys.model_dump().items() if v is not None}
    label = {task.label.column: "label.column"} if labelled else {}
    for feature in task.features:
        where = f"task '{task.name}', feature '{feature.column}'"
        if feature.column in (*KEYS, "row", MATURED):
            raise BadInput(f"{where}: is the name of a canonical column; rename it in source and task")
        if feature.values and feature.kind != "category":
            raise BadInput(f"{where}: `values` are for categories; add `kind: category`")
    return keys | label | {f.column: "features" for f in task.features}


@dataclass(frozen=True)
class _Found:
    """Every record of a source, checked."""

    name: str
    table: pa.Table
    """(n,) canonical columns, and a mask of disguises per feature."""
    ends: pd.DatetimeIndex | None
    """(n,) last moment of each record's time; None where the task has no times."""
    remarks: list[str]
    left_out: dict[str, int]


def _source(task: TaskConfig, root: Path, meant: Scope, progress: Progress | None) -> _Found:
    """All labelled and unlabelled records of the task's source. Raises BadInput, for its sites and times too."""
    opened = open_source(task.source, root, _wanted(task, labelled=True))
    table, remarks = _table(task, opened, labelled=True, progress=progress)
    again = checks.repeated(table, opened.name, task)
    checks.check_patients(table, opened.name, task)
    ends, left_out = None, {}
    if task.keys.time is not None:
        ends = moments.ends_all(table["time"])
        times.check_future(
            moments.begins_all(table["time"]), Place(opened.name, 1, task.keys.time), meant.now
        )
        remarks += times.zones(table["time"])
    sites = pc.unique(table["site"]).to_pylist()
    check_sites(sites, task, opened.name, meant.site)
    remarks += look_alikes(sites, meant.site)
    if again.any():
        left_out["repeated"] = int(again.sum())
        remarks.append(f"{left_out['repeated']} row(s) were delivered twice and are kept once")
        table, ends = table.filter(pa.array(~again)), None if ends is None else ends[~again]
    return _Found(opened.name, table, ends, remarks, left_out)


def _outcomes(found: _Found, task: TaskConfig, meant: Scope) -> _Found:
    """The records with the column `matured`, and a label only where it is true."""
    table, label = found.table, found.table["label"]
    enough = pa.array(scope.known(task, meant, found.ends, len(table)))
    known = pc.and_(enough, pc.is_valid(label))
    place = table.column_names.index("label")
    table = table.set_column(place, "label", columns.blank(label, pc.invert(known)))
    return replace(found, table=table.append_column(MATURED, known))


def _chosen(found: _Found, task: TaskConfig, meant: Scope) -> tuple[pa.Table, list[str], dict[str, int]]:
    """The records that are meant, the remarks, and how many each rule left out."""
    chosen = scope.select(found.table, task, meant, found.ends)
    scope.refuse_nothing(chosen, task, meant, found.name)
    table = found.table if chosen.keep.all() else found.table.filter(pa.array(chosen.keep))
    remarks = [*found.remarks, *scope.notes(chosen.left_out, task, meant)]
    return table, remarks, found.left_out | chosen.left_out


def _table(
    task: TaskConfig, opened: Opened, labelled: bool, progress: Progress | None
) -> tuple[pa.Table, list[str]]:
    """Every row of the source in canonical columns, plus a mask of disguises per feature; and remarks."""
    chunks = list(_canonical_chunks(task, opened, labelled, progress))
    if not chunks:
        raise BadInput(f"{opened.name}: the file holds no rows")
    table = pa.concat_tables([chunk for chunk, _ in chunks])
    remarks = []
    if task.keys.record_id is None:
        hashes = [h for _, hashes in chunks for h in hashes]
        same = len(hashes) - len(set(hashes))
        remarks += [f"{same} row(s) are identical to an earlier one"] if same else []
        remarks += [TWICE] if same >= TWICE_SHARE * len(hashes) else []
        table = table.set_column(0, "record_id", pa.array(identity.ids_from(hashes), pa.string()))
    if task.keys.patient_id is None:
        table = table.set_column(1, "patient_id", table["record_id"])
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
        result["time"] = times.read_time(*at(task.keys.time))
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


def _finish(
    task: TaskConfig, table: pa.Table, remarks: list[str], out: Path, left_out: dict[str, int] | None = None
) -> IngestReport:
    """Sort, count and write."""
    table = table.sort_by("record_id")
    disguised = {f.column: pc.sum(table[_mask(f.column)]).as_py() or 0 for f in task.features}
    table = table.drop_columns([_mask(f.column) for f in task.features])
    path = out / "records.parquet"
    return IngestReport(
        path=str(path),
        sha256=write(table, path),
        rows=len(table),
        patients=pc.count_distinct(table["patient_id"]).as_py(),
        sites=tuple(sorted(pc.unique(table["site"]).to_pylist())),
        label_counts=_counts(table, task) if table["label"].null_count < len(table) else {},
        missing={f.column: table[f.column].null_count for f in task.features},
        disguised=disguised,
        notes=(*remarks, *notes.suspicious(table, task)),
        left_out=left_out or {},
    )
