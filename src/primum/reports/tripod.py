"""The item table of TRIPOD+AI and TRIPOD-LLM: what a run established, and what a person must still write.

Nothing is claimed that the run did not establish: an item without an answer is left to a person, loudly.
"""

from __future__ import annotations

from collections.abc import Mapping

from primum.reports.document import Document, Section, Todo
from primum.reports.tripod_items import ALL, SECTIONS, Item

COLUMNS = ("Item", "It asks for", "Established here", "Left to a person")
NOTHING = "–"
_SOURCES = (
    "Items of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) by their numbers, in brackets or with LLM those of "
    "TRIPOD-LLM (Gallifant et al. 2025, Nat Med 31:60), each in words of our own: read the papers for theirs. "
    "Established is only what configuration and evidence show; it is a draft of the authors' answer, and no "
    "statement that a guideline was followed."
)


def tripod(answers: Mapping[str, str]) -> Document:
    """The table, from what was established of each item (key of Item -> text)."""
    items = [item for held in SECTIONS.values() for item in held]
    unknown = set(answers) - {item.key for item in items}
    if unknown:
        raise ValueError(f"TRIPOD: there is no item {sorted(unknown)}")
    whole = sum(not answers.get(item.key) for item in items)
    part = sum(bool(answers.get(item.key) and item.person) for item in items)
    count = Todo(
        f"{whole} of {len(items)} items wholly and {part} in part; {len(items) - whole - part} were "
        "established here."
    )
    sections = tuple(
        Section(heading, columns=COLUMNS, rows=tuple(_row(item, answers.get(item.key, "")) for item in held))
        for heading, held in SECTIONS.items()
    )
    return Document("tripod", "TRIPOD+AI and TRIPOD-LLM items", (_SOURCES, count), sections)


def _row(item: Item, found: str) -> tuple[str, ...]:
    left = item.person or ("" if found else ALL)
    return item.label, item.asks, found or NOTHING, Todo(left) if left else NOTHING
