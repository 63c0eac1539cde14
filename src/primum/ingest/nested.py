"""Values inside values: the column `outer.inner` of nested data, and lists of texts that are read as one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

JOIN = " "
"""What stands between the texts of a list."""


def keys_of(record: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The columns that a JSON object offers, those of the objects in it included."""
    for key, value in record.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")


def value_of(record: Mapping[str, Any], column: str) -> Any:
    """The value of a column of a JSON object, None where it is absent; a key that holds the dot itself wins."""
    if column in record:
        return record[column]
    outer, _, inner = column.partition(".")
    value = record.get(outer)
    return value_of(value, inner) if inner and isinstance(value, dict) else None


def is_texts(value: Any) -> bool:
    """Whether a JSON value is a list of texts."""
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def names_of(schema: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    """The columns that an Arrow schema or struct offers, those inside structs included."""
    for field in schema:
        yield f"{prefix}{field.name}"
        if pa.types.is_struct(field.type):
            yield from names_of(field.type, f"{prefix}{field.name}.")


def outer_names(wanted: Iterable[str], names: Sequence[str]) -> list[str]:
    """The top-level columns that hold the wanted ones."""
    return list(dict.fromkeys(c if c in names else c.partition(".")[0] for c in wanted))


def select(table: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns, those inside structs taken out."""
    return pa.table([_column(table, column) for column in wanted], names=list(wanted))


def _column(table: pa.Table, column: str) -> pa.ChunkedArray:
    if column in table.column_names:
        return table[column]
    outer, _, inner = column.partition(".")
    return pc.struct_field(table[outer], inner.split("."))


def joined(array: pa.Array) -> pa.Array:
    """A column of lists of texts as texts, missing ones left out; any other column as it is."""
    kind = array.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return array
    if not (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)):
        return array
    texts = [None if v is None else JOIN.join(t for t in v if t is not None) for v in array.to_pylist()]
    return pa.array(texts, pa.string())
