"""Identifiers of people in free text: which, where, and the text without them.

The kinds are those of HIPAA's Safe Harbor list (45 CFR 164.514(b)(2)) that patterns can find. What nothing
announces - a name without title or label, a nickname, a rare occupation - is not found: this is a check, not a
proof of anonymity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from primum.characters import visible
from primum.privacy.forms import FORMS, Form

Kind = Literal["name", "date", "age", "phone", "email", "url", "ip", "id", "address", "iban"]
"""`age`: over 89 only. `date`: whatever tells more than the year. `id`: record, insurance, social security ..."""
KINDS: tuple[Kind, ...] = get_args(Kind)
RULES = 1
"""Number of this set of patterns: whoever changes what is found raises it."""
_DIGIT = re.compile(r"\d")
_BLANKS = re.compile(r"[^\S\n]+")
_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})\]")
_NAME_PART = re.compile(r"[^\W\d_a-z][^\W\d_]{2,}")
_WORDS = ("name", "email", "url")
"""Kinds that need no digit."""


class Finding(NamedTuple):
    """One identifier: characters `start` to `end` (exclusive) of the text."""

    kind: Kind
    start: int
    end: int


def find(text: str, kinds: Iterable[str] = KINDS) -> tuple[Finding, ...]:
    """The identifiers of these kinds, in the order of the text, not overlapping.

    Those that overlap become one, of the kind of the longest.
    """
    wanted, level = set(kinds), _BLANKS.sub(" ", text)
    number = _DIGIT.search(level) is not None
    forms = (f for f in FORMS if f.kind in wanted and (number or f.kind in _WORDS))
    found = [match for form in forms for match in _matches(form, level)]
    found = sorted(_new([*found, *_named_again(found, level)], level), key=lambda f: (f.start, -f.end))
    if len(level) == len(text):
        return tuple(_apart(found))
    places = _places(text)
    return tuple(Finding(f.kind, places[f.start], places[f.end - 1] + 1) for f in _apart(found))


def mask(text: str, kinds: Iterable[str] = KINDS) -> str:
    """The text with each identifier replaced by its kind: "seen by Dr. [NAME] on [DATE]".

    Invisible characters are left out first (`characters.visible`), for they hide identifiers. What was masked
    once stays as it is: mask(mask(text)) == mask(text).
    """
    return _masked(text, tuple(kinds))


@lru_cache(maxsize=4096)  # prompts are rendered several times: measured, scored, trained on
def _masked(text: str, kinds: tuple[str, ...]) -> str:
    before, text = None, visible(text)
    while text != before:  # a placeholder can bring two parts of another form together
        before, text = text, _masked_once(text, kinds)
    return text


def _places(text: str) -> list[int]:
    """Where each character of the text with single blanks stands in `text`."""
    places: list[int] = []
    done = 0
    for run in _BLANKS.finditer(text):
        places += range(done, run.start() + 1)
        done = run.end()
    return [*places, *range(done, len(text))]


def _masked_once(text: str, kinds: tuple[str, ...]) -> str:
    parts, done = [], 0
    for found in find(text, kinds):
        parts += [text[done : found.start], f"[{found.kind.upper()}]"]
        done = found.end
    return "".join([*parts, text[done:]])


def _matches(form: Form, text: str) -> Iterator[Finding]:
    group = "x" if "x" in form.regex.groupindex else 0
    for match in form.regex.finditer(text):
        if form.sound is None or form.sound(match[group]):
            yield Finding(form.kind, *match.span(group))  # type: ignore[arg-type]


def _named_again(found: list[Finding], text: str) -> list[Finding]:
    """Wherever a part of a name that was found stands once more: "Ms. Anna Lund ... Anna says"."""
    names = {part for f in found if f.kind == "name" for part in _NAME_PART.findall(text[f.start : f.end])}
    if not names:
        return []
    again = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, names)))})\b")
    return [Finding("name", *match.span()) for match in again.finditer(text)]


def _new(found: list[Finding], text: str) -> list[Finding]:
    """Those that are more than the word in a placeholder: so masking comes to an end."""
    inside = {place for match in _PLACEHOLDER.finditer(text) for place in range(*match.span())}
    return [f for f in found if not inside.issuperset(range(f.start, f.end))]


def _apart(found: list[Finding]) -> Iterator[Finding]:
    current: Finding | None = None
    for one in found:
        if current is None or one.start >= current.end:
            if current is not None:
                yield current
            current = one
        else:
            longest = max(current, one, key=lambda f: f.end - f.start)
            current = Finding(longest.kind, current.start, max(current.end, one.end))
    if current is not None:
        yield current
