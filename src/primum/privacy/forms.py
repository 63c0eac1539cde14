"""Every form of every kind of identifier, compiled.

No expression repeats over what it has already repeated over, and every repetition is bounded: hostile text
cannot stall the search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from primum.privacy import addresses, dates, names, numbers
from primum.privacy.soundness import is_iban, is_over_89, is_phone

Sound = Callable[[str], bool]


class Form(NamedTuple):
    """One form of one kind of identifier. Where `regex` has a group `x`, only that part identifies."""

    kind: str
    regex: re.Pattern[str]
    sound: Sound | None
    """Whether what was found can be one: check digit, calendar, number of digits."""


def _forms(
    kind: str, regexes: Iterable[str | tuple[str, Sound | None]], sound: Sound | None = None
) -> list[Form]:
    pairs = ((regex, sound) if isinstance(regex, str) else regex for regex in regexes)
    return [Form(kind, re.compile(regex), check) for regex, check in pairs]


FORMS = (
    *_forms("name", names.FORMS),
    *_forms("date", dates.DATES),
    *_forms("age", dates.AGES, is_over_89),
    *_forms("phone", numbers.PHONES, is_phone),
    *_forms("email", [numbers.EMAIL]),
    *_forms("url", [numbers.URL]),
    *_forms("ip", numbers.IPS),
    *_forms("id", numbers.IDS),
    *_forms("address", addresses.ADDRESSES),
    *_forms("iban", [numbers.IBAN], is_iban),
)
