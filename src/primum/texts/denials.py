"""What a note denies and its reference affirms, or the other way round, whatever it is: no list of findings.

For a note and its *reference* alone: two texts of one kind, which say the same in nearly the same words. Phrases
of two neighbouring words of content are compared by how often they are denied (NegEx, see `negation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from primum.texts.negation import CLAUSE, MARK, Scopes

_NEAR = 100
"""What a trigger denies begins at most so many characters behind it."""
_CONTENT = re.compile(r"[^\W\d_]{3,}")
_IDLE = """
the and any has had have been was were are with for his her him she they their them that this there other from
out its our your you who not nor may can will does did be being get all
"""
_FUNCTION_WORDS = frozenset(_IDLE.split())


@dataclass(slots=True)
class _Said:
    """How often a phrase is denied and how often not, and where it stands first in either way."""

    denied: int = 0
    told: int = 0
    places: dict[bool, tuple[int, int]] = field(default_factory=dict)


Phrases = dict[tuple[str, ...], _Said]


def _phrases(text: str) -> tuple[Phrases, set[tuple[str, ...]]]:
    """Every phrase of a text, and those that follow a trigger directly."""
    found: Phrases = {}
    denied: set[tuple[str, ...]] = set()
    for clause in CLAUSE.finditer(text):
        content, scopes = list(_content(clause[0], 0, len(clause[0]))), Scopes(clause[0])
        for first, second in zip_longest(content, content[1:]):
            end = (second or first).end()
            said = found.setdefault(_key(first, second), _Said())
            is_denied = scopes.polarity(first.start(), first.end()) == "denied"
            said.denied += is_denied
            said.told += not is_denied
            said.places.setdefault(is_denied, (clause.start() + first.start(), clause.start() + end))
        for mark in MARK.finditer(clause[0]):
            if mark["no"] and (
                follows := list(islice(_content(clause[0], mark.end(), mark.end() + _NEAR), 2))
            ):
                denied.add(_key(*follows))
    return found, denied


def _content(clause: str, start: int, end: int) -> Iterator[re.Match[str]]:
    return (m for m in _CONTENT.finditer(clause, start, end) if m[0].casefold() not in _FUNCTION_WORDS)


def _key(*words: re.Match[str] | None) -> tuple[str, ...]:
    return tuple(m[0].casefold() for m in words if m)


def contradictions(reference: str, note: str) -> tuple[int, list[tuple[int, int]]]:
    """How many denied phrases stand in both texts, and where the note turns one round.

    Turned round is a phrase that the note denies less often and tells more often than the reference, or the
    contrary: a phrase that is simply left out, or repeated, is not.
    """
    (before, denied_before), (after, denied_after) = _phrases(reference), _phrases(note)
    shared = [words for words in denied_before | denied_after if words in before and words in after]
    return len(shared), sorted(_turned(before, after, shared))


def _turned(before: Phrases, after: Phrases, shared: list[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
    for words in shared:
        a, b = before[words], after[words]
        if (a.denied - b.denied) * (a.told - b.told) < 0:
            yield b.places[b.denied > a.denied]
