"""Numbers in words, as people dictate them, rewritten in digits: "one twenty over eighty" -> "120 over 80".

Every character of the new text knows where it stood in the old one, so that what is found can be shown there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

_ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
}  # fmt: skip
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15,
    "sixteenth": 16, "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_SMALL = _ONES | _TEENS | _TENS
_WORDS = "|".join(sorted((*_SMALL, "hundred", "thousand"), key=len, reverse=True))
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_RUN = re.compile(
    rf"(?<![\w-])(?:(?:a|oh|o)\s+(?=hundred|thousand|point))?(?:point\s+(?=(?:{'|'.join(_ONES)})\b))?"
    rf"(?:{_WORDS})\b(?:(?:\s+|\s*-\s*)(?:and\s+(?=(?:{'|'.join(_SMALL)})\b)|point\s+(?=(?:{_WORDS})\b))?(?:{_WORDS})\b)*"
    r"(?P<half>\s+and\s+a\s+half\b)?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"(?<=\s)(?:(twenty|thirty)[\s-]+)?({'|'.join(_ORDINALS)})\b", re.IGNORECASE)
_AFTER_MONTH = re.compile(rf"\b(?:{_MONTHS})\s+(?:the\s+)?$", re.IGNORECASE)
_FIXED = {
    r"\btwice\b": "2 times",
    r"\bonce\s+(?=(?:a|per|daily|every|each)\b)": "1 times ",
    r"\bb\.?\s?i\.?\s?d\b": "2 times a day",
    r"\bt\.?i\.?d\b": "3 times a day",
    r"\bq\.?i\.?d\b": "4 times a day",
    r"\bq\.?\s?(?=\d+\s?h)": "every ",
    r"\b(?:a\s+)?couple(?:\s+of)?\b": "2",
    r"(?<=\d)(?:\s+and\s+a\s+half|[\s-]1/2)\b": ".5",
    r"\b(?:half(?:\s+an?)?|(?<![\w/])1/2(?!\s?/))\b": "0.5",
    r"\ba\s+dozen\b": "12",
    r"\ba\s(?=(?:hour|day|week|month|year) and a half\b)": "1.5 ",
} | {rf"\b{word[:-1]}ies\b": f"{ten}s" for word, ten in _TENS.items()}
_OTHER = re.compile("|".join(f"({pattern})" for pattern in _FIXED), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Digits:
    """A text with its numbers in digits, and the way back to the old places."""

    text: str
    starts: tuple[int, ...]
    """Where each piece begins in the new text; `origins` and `ends`: its place in the old one."""
    origins: tuple[int, ...]
    ends: tuple[int, ...]
    written: tuple[bool, ...]
    """Whether each piece stands as it was; a rewritten one has a single place."""

    def origin(self, place: int) -> int:
        """The place in the old text of a place in the new one."""
        piece = bisect_right(self.starts, place) - 1
        return self.origins[piece] + (place - self.starts[piece] if self.written[piece] else 0)

    def end(self, place: int) -> int:
        """The end in the old text of what ends before this place of the new one."""
        piece = bisect_right(self.starts, place - 1) - 1
        return self.origin(place - 1) + 1 if self.written[piece] else self.ends[piece]

    def spelled(self, place: int) -> bool:
        """Whether the number at this place of the new text was written in words."""
        return not self.written[bisect_right(self.starts, place) - 1]


def in_digits(text: str) -> Digits:
    """Rewrite spelled numbers, halves, "twice", "bid", and ordinals after a month's name, in digits."""
    changes = sorted([*_runs(text), *_ordinals(text), *_others(text)])
    pieces: list[tuple[str, int, int, bool]] = []
    at = 0
    for start, end, new in changes:
        if start < at:
            continue
        pieces += [(text[at:start], at, start, True), (new, start, end, False)]
        at = end
    pieces.append((text[at:], at, len(text), True))
    pieces = [piece for piece in pieces if piece[0]] or [("", 0, 0, True)]
    starts, length = [], 0
    for new, *_ in pieces:
        starts.append(length)
        length += len(new)
    new_texts, origins, ends, written = zip(*pieces, strict=True)
    return Digits("".join(new_texts), tuple(starts), origins, ends, written)


def _runs(text: str) -> Iterator[tuple[int, int, str]]:
    for run in _RUN.finditer(text):
        values = read_run(re.findall(r"[a-z]+", run[0].casefold().removesuffix(run["half"] or "")))
        values[-1] += 0.5 if run["half"] else 0
        yield run.start(), run.end(), " ".join(f"{value:.10g}" for value in values)


def _ordinals(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _ORDINAL.finditer(text):
        if _AFTER_MONTH.search(text, max(0, found.start() - 20), found.start()):
            day = _TENS.get((found[1] or "").casefold(), 0) + _ORDINALS[found[2].casefold()]
            yield found.start(), found.end(), f"{day}th"


def _others(text: str) -> Iterator[tuple[int, int, str]]:
    new = list(_FIXED.values())
    for found in _OTHER.finditer(text):
        yield found.start(), found.end(), new[(found.lastindex or 1) - 1]


def read_run(run: list[str]) -> list[float]:
    """The values of a run of number words: usually one, several where they cannot be one number.

    Spoken forms are read as they are meant: "one forty five" 145, "twenty twenty one" 2021, "point four" 0.4.
    """
    values: list[float] = []
    current, last = -1, ""
    place = 0
    while place < len(run):
        word = run[place]
        if word == "point":
            digits, place = _decimals(run, place + 1)
            values.append(float(f"{max(current, 0)}.{digits}"))
            current, last = -1, ""
            continue
        if word in _SMALL:
            joined = _join(current, last, word) if current >= 0 else _SMALL[word]
            values += [float(current)] if joined is None else []
            current = _SMALL[word] if joined is None else joined
        elif word in ("hundred", "thousand"):
            scale = 100 if word == "hundred" else 1000
            base = current // 1000 * 1000 if word == "hundred" and current >= 1000 else 0
            current = base + max(current - base, 1) * scale
        if word not in ("and", "a", "oh", "o"):
            last = word
        place += 1
    return values + ([float(current)] if current >= 0 else [])


def _join(current: int, last: str, word: str) -> int | None:
    """The number that goes on with this word, or None where another one begins."""
    value = _SMALL[word]
    if last in ("hundred", "thousand"):
        return current + value
    if last in _TENS and word in _ONES and value:
        return current + value
    if word in _ONES:
        return None
    if current in range(1, 10) or (current in (19, 20) and value >= 10):
        return current * 100 + value
    return None


def _decimals(run: list[str], place: int) -> tuple[str, int]:
    digits = ""
    while place < len(run) and run[place] in _SMALL:
        value = _SMALL[run[place]]
        follows = place + 1 < len(run) and run[place + 1] in _ONES
        if run[place] in _TENS and follows:
            value, place = value + _ONES[run[place + 1]], place + 1
        digits += str(value)
        place += 1
    return digits or "0", place
