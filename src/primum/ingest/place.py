"""Where in a source something stands: every message about a cell is built here, and none shows free text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from primum.errors import BadInput


class Place(NamedTuple):
    """One column of one chunk. `first_row` is the chunk's first data row, 1-based, the header not counted."""

    file: str
    first_row: int
    column: str

    def error(self, index: int, problem: str) -> BadInput:
        """The error for the chunk's row `index` (0-based)."""
        return BadInput(f"{self.file}, row {self.first_row + index}, column '{self.column}': {problem}")


def listed(values: Iterable[str], most: int = 12) -> str:
    """Write declared values as a short list: `'a', 'b' ...`. For values of the task file, never for cells."""
    values = list(values)
    text = ", ".join(f"'{value}'" for value in values[:most])
    return f"{text} and {len(values) - most} more" if len(values) > most else text
