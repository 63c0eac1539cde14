"""One column of a source becomes one canonical column: numbers, text, categories.

Raw values of keys, categories and labels compare as canonical strings, so that 1, 1.0, "1" and "1.0" are one
value whatever file format or reader they came through, and so are true and "True".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from primum.config import Feature
from primum.errors import BadInput
from primum.ingest.files import CELL_BYTES, TOO_LARGE
from primum.ingest.nested import joined
from primum.ingest.place import Place

MISSING_TEXT = pa.array(["", "nan", "NaN", "<NA>", "NaT"])
"""What is not recorded without being declared so: empty cells, and what the renderer reads as missing."""
MARKS = frozenset({"na", "n/a", "#n/a", "null", "none", "?", "-", ".", "unknown", "unk", "missing"})
"""Customary marks of a missing value: these words alone may be shown in a message."""
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^([+-]?\d+)\.0+$"


def canonical(value: object) -> str:
    """The canonical string of one raw value of a task file: 1.0 -> '1', True -> 'true'."""
    text = re.sub(_WHOLE, r"\1", str(value).strip())
    return text.lower() if text.lower() in ("true", "false") else text


def read_text(array: pa.Array, place: Place) -> pa.Array:
    """The column as trimmed text, null where not recorded; a list of texts is one text.

    Raises BadInput for other nested values and for huge ones.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    array = joined(array)
    if (
        pa.types.is_nested(array.type)
        or pa.types.is_binary(array.type)
        or pa.types.is_large_binary(array.type)
    ):
        raise place.error(0, f"holds {array.type} values; give one text or number per cell")
    text = pc.cast(array, pa.string())
    refuse(pc.greater_equal(pc.binary_length(text), CELL_BYTES), place, TOO_LARGE)
    text = pc.utf8_trim_whitespace(text)
    return blank(text, pc.is_in(text, value_set=MISSING_TEXT))


def read_word(array: pa.Array, place: Place) -> pa.Array:
    """The column as canonical strings (keys, categories, labels), null where not recorded."""
    text = pc.replace_substring_regex(read_text(array, place), pattern=_WHOLE, replacement=r"\1")
    lower = pc.utf8_lower(text)
    return pc.if_else(pc.is_in(lower, value_set=pa.array(["true", "false"])), lower, text)


def read_key(array: pa.Array, place: Place, key: str) -> pa.Array:
    """A key column as canonical strings. Raises BadInput where it is not recorded."""
    words = read_word(array, place)
    refuse(pc.is_null(words), place, f"is empty, but it is the task's `{key}`; fill it in")
    return words


def read_feature(array: pa.Array, place: Place, feature: Feature) -> tuple[pa.Array, pa.Array]:
    """The feature's values, null where not recorded, and a mask (n,) of the missing values in disguise."""
    if feature.kind == "number":
        return read_number(array, place, feature)
    read: Callable[[pa.Array, Place], pa.Array] = read_word if feature.kind == "category" else read_text
    text = read(array, place)
    marks = [canonical(m) if feature.kind == "category" else str(m) for m in feature.missing]
    hidden = pc.is_in(text, value_set=pa.array(marks, pa.string()))
    return blank(text, hidden), hidden


def read_number(array: pa.Array, place: Place, feature: Feature) -> tuple[pa.Array, pa.Array]:
    """As `read_feature`, float64. Raises BadInput for text and for what is not finite."""
    kind = array.type
    marked = pa.array(np.zeros(len(array), bool))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = pc.cast(array, pa.float64(), safe=False)
    else:
        text = read_text(array, place)
        marked = pc.is_in(text, value_set=pa.array([str(m) for m in feature.missing], pa.string()))
        text = blank(text, marked)
        _refuse_text(text, place)
        numbers = pc.cast(text, pa.float64())
    numbers = blank(numbers, pc.is_nan(numbers))
    refuse(pc.invert(pc.is_finite(numbers)), place, "not a finite number; correct the cell")
    values = [float(m) for m in feature.missing if re.match(_NUMBER, str(m))]
    hidden = pc.is_in(numbers, value_set=pa.array(values, pa.float64()))
    return blank(numbers, hidden), pc.or_(hidden, marked)


def _refuse_text(text: pa.Array, place: Place) -> None:
    wrong = first(pc.invert(pc.match_substring_regex(text, _NUMBER)))
    if wrong is None:
        return
    cell = text[wrong].as_py()
    if re.fullmatch(r"[+-]?\d+,\d+", cell):
        raise place.error(wrong, "text in a number column; write decimals with a point, not a comma")
    shown = f" ('{cell}')" if cell.casefold() in MARKS else ""
    mend = "correct it, or list the mark under `missing` of the feature if it means not recorded"
    raise place.error(wrong, f"text in a number column{shown}; {mend}")


def recode(text: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """Replace each value by its entry in `words`; a value without an entry becomes null."""
    place = pc.index_in(text, value_set=pa.array(list(words), pa.string()))
    return pa.array(list(words.values()), pa.string()).take(place)


def declared(values: Mapping[str, str], where: str) -> dict[str, str]:
    """Canonical string -> meaning. Raises BadInput where two declared values have one canonical string."""
    result: dict[str, str] = {}
    for raw, meaning in values.items():
        if canonical(raw) in result:
            raise BadInput(f"{where}: two of the declared values mean '{canonical(raw)}'; keep one")
        result[canonical(raw)] = meaning
    return result


def blank(array: pa.Array, mask: pa.Array) -> pa.Array:
    """`array` with null where `mask` is true."""
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, array.type), array)


def first(mask: pa.Array) -> int | None:
    """Position of the first true value; nulls count as false."""
    place = pc.index(mask, value=True).as_py()
    return place if place >= 0 else None


def refuse(mask: pa.Array, place: Place, problem: str) -> None:
    """Raise BadInput for the first row that `mask` marks."""
    row = first(mask)
    if row is not None:
        raise place.error(row, problem)
