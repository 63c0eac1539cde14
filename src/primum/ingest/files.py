"""CSV, JSON, JSONL and Parquet files as streams of Arrow tables; what is wrong with a file is said with its row.

CSV goes through Python's own reader in strict mode: it is exact about rows, quotes and cell sizes where
Arrow's faster reader swallows the rest of a file after an unclosed quote.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from primum.errors import BadInput
from primum.ingest.nested import JOIN, is_texts, keys_of, names_of, outer_names, select, value_of
from primum.ingest.place import Place

CELL_BYTES = 1_000_000
"""A cell of this size or more is refused: no clinical note is that long, a broken export is."""
TOO_LARGE = "the cell is larger than 1 MB; shorten it, or look for a quote that is never closed"
EMPTY = "the file is empty; it needs records"
NOT_UTF8 = "not UTF-8 text; save the file as UTF-8"

Stream = tuple[list[str], Iterator[pa.Table]]


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn the system's errors about a file into BadInput."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{name}: no such file; correct the path") from None
    except IsADirectoryError:
        raise BadInput(f"{name}: is a folder; give the path of a file") from None
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        kind = type(error).__name__
        raise BadInput(f"{name}: cannot be read ({kind}); the file is damaged or of another kind") from None


def csv_rows(path: Path, name: str, wanted: Sequence[str], size: int) -> Stream:
    """Header of a CSV file, and its rows in tables of text columns, `size` rows each. Empty cells are ''."""
    csv.field_size_limit(CELL_BYTES)
    with reading(name):
        lines = _open(path, text=True)
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, None)
        except csv.Error as error:
            raise BadInput(f"{name}, header: not valid CSV ({error}); correct the first line") from None
    if header is None:
        lines.close()
        raise BadInput(f"{name}: {EMPTY}")
    if any("\udc80" <= letter <= "\udcff" for letter in "".join(header)):
        raise BadInput(f"{name}, header: {NOT_UTF8}")
    return header, _csv_chunks(lines, rows, header, name, wanted, size)


def _csv_chunks(  # noqa: PLR0913 - private continuation of csv_rows
    lines: IO[Any], rows: Iterator[list[str]], header: list[str], name: str, wanted: Sequence[str], size: int
) -> Iterator[pa.Table]:
    places = [header.index(column) for column in wanted]
    checked = _checked(rows, len(header), name)
    first = 1
    with lines, reading(name):
        while block := list(itertools.islice(checked, size)):
            columns = list(zip(*block, strict=True))
            arrays = [_utf8(columns[i], Place(name, first, header[i])) for i in places]
            yield pa.table(arrays, names=list(wanted))
            first += len(block)


def _checked(rows: Iterator[list[str]], width: int, name: str) -> Iterator[list[str]]:
    """Pass rows of `width` cells on; blank lines are skipped and not counted."""
    row = 0
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            where = f"{name}, row {row + 1}"
            if "field larger" in str(error):
                raise BadInput(f"{where}: {TOO_LARGE}") from None
            if "unexpected end" in str(error):
                raise BadInput(f"{where}: a quote is never closed; close it or double it") from None
            raise BadInput(f"{where}: not valid CSV ({error}); correct the quotes of this row") from None
        if cells is None:
            return
        if not cells:
            continue
        row += 1
        if len(cells) != width:
            mend = "quote cells that hold a comma"
            raise BadInput(f"{name}, row {row}: {len(cells)} cells where the header has {width}; {mend}")
        yield cells


def _utf8(cells: Sequence[str | None], place: Place) -> pa.Array:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:
        raise place.error(next(i for i, cell in enumerate(cells) if _broken(cell or "")), NOT_UTF8) from None


def _broken(cell: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in cell)


def jsonl_rows(path: Path, name: str, wanted: Sequence[str], size: int) -> Stream:
    """Keys that occur in the first rows of a JSONL file, and its rows in tables of text columns."""
    return _objects(_records(path, name), name, wanted, size)


def json_rows(path: Path, name: str, wanted: Sequence[str], size: int) -> Stream:
    """As `jsonl_rows` of a file that is one JSON array of objects, or one object of objects.

    Of the latter each key is the column `id`, unless its object has an `id` of its own. The file is read whole.
    """
    return _objects(_entries(path, name), name, wanted, size)


def _objects(records: Iterator[dict[str, Any]], name: str, wanted: Sequence[str], size: int) -> Stream:
    head = list(itertools.islice(records, size))
    if not head:
        raise BadInput(f"{name}: {EMPTY}")
    keys = list(dict.fromkeys(key for record in head for key in keys_of(record)))
    return keys, _jsonl_chunks(head, records, name, wanted, size)


def _jsonl_chunks(
    head: list[dict[str, Any]], records: Iterator[dict[str, Any]], name: str, wanted: Sequence[str], size: int
) -> Iterator[pa.Table]:
    first, block = 1, head
    while block:
        places = {column: Place(name, first, column) for column in wanted}
        cells = {c: [_cell(value_of(r, c), p, i) for i, r in enumerate(block)] for c, p in places.items()}
        yield pa.table([_utf8(cells[c], p) for c, p in places.items()], names=list(wanted))
        first += len(block)
        block = list(itertools.islice(records, size))


def _records(path: Path, name: str) -> Iterator[dict[str, Any]]:
    with reading(name), _open(path, text=False) as lines:
        texts = (line for line in lines if line.strip())
        for row, line in enumerate(texts, start=1):
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                raise BadInput(f"{name}, row {row}, byte {error.start}: {NOT_UTF8}") from None
            except (json.JSONDecodeError, RecursionError):
                raise BadInput(f"{name}, row {row}: not valid JSON; write one object per line") from None
            if not isinstance(record, dict):
                raise BadInput(f"{name}, row {row}: not a JSON object; write one object per line")
            yield record


def _entries(path: Path, name: str) -> Iterator[dict[str, Any]]:
    with reading(name), _open(path, text=False) as file:
        content = file.read()
    try:
        found = json.loads(content.decode("utf-8-sig")) if content.strip() else []
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}, byte {error.start}: {NOT_UTF8}") from None
    except (json.JSONDecodeError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        mend = "write one array of objects, or `kind: jsonl` for one object per line"
        raise BadInput(f"{name}{where}: not valid JSON; {mend}") from None
    if not isinstance(found, dict | list):
        raise BadInput(f"{name}: holds no records; the file must be an array or an object of objects")
    entries = list(found.items()) if isinstance(found, dict) else [("", entry) for entry in found]
    for row, (key, entry) in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise BadInput(
                f"{name}, row {row}: not a JSON object; the file is an array or an object of objects"
            )
        yield {"id": key} | entry if key else entry


def _cell(value: Any, place: Place, index: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if is_texts(value):
        return JOIN.join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    raise place.error(index, "holds a list or an object; give one value per cell")


def parquet(
    path: Path, name: str, wanted: Sequence[str], size: int
) -> tuple[list[str], int, Iterator[pa.Table]]:
    """Columns and number of rows of a Parquet file, and its rows as tables with their own types."""
    with reading(name):
        file = pq.ParquetFile(path)
    columns = list(names_of(file.schema_arrow))
    return columns, file.metadata.num_rows, _parquet_chunks(file, name, wanted, size)


def _parquet_chunks(file: pq.ParquetFile, name: str, wanted: Sequence[str], size: int) -> Iterator[pa.Table]:
    with file, reading(name):
        outer = outer_names(wanted, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=size, columns=outer):
            yield select(pa.table(batch), wanted)


def _open(path: Path, text: bool) -> IO[Any]:
    """Open for reading, unpacked. Undecodable bytes of text become lone surrogates, found with their row."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    if not text:
        return cast(IO[Any], opener(path, "rb"))
    return cast(IO[Any], opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))
