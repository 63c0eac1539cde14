"""What shows at a glance that a text went wrong: it runs in a loop, or it is in another language."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np

from primum.texts.words import words

_FUNCTION_WORDS = {
    "English": "the of and to is in with was for that she he has are no patient",
    "German": "der die das und ist mit nicht ein eine von zu den im auf keine patient",
    "French": "le la les des est et une un dans pour avec pas du sur que aucune",
    "Spanish": "el los las del una con por para que no se su es y paciente sin",
    "Italian": "il lo gli della del una con per che non di è sono nella paziente e",
    "Portuguese": "o os da do uma com por para que não em dos das ao paciente é",
    "Dutch": "de het een en van is met niet op voor geen zijn aan bij die patiënt",
}
_LANGUAGES = {name: frozenset(text.split()) for name, text in _FUNCTION_WORDS.items()}


def loops(text: str, shortest: int = 12, longest_period: int = 64) -> bool:
    """Whether the same words come at least four times in a row: over `shortest` words, up to 64 words long."""
    found = words(text)
    if len(found) < shortest:
        return False
    number: dict[str, int] = {}
    codes = np.array([number.setdefault(word, len(number)) for word in found])
    for period in range(1, min(longest_period, len(found) // 4) + 1):
        if _longest_run(codes[period:] == codes[:-period]) >= max(3 * period, shortest - period):
            return True
    return False


def _longest_run(same: np.ndarray) -> int:
    breaks = np.flatnonzero(~same)
    return int(np.diff(np.concatenate([[-1], breaks, [same.size]])).max()) - 1


def language(text: str, fewest: int = 20) -> str | None:
    """The script of a text, or for Latin letters its language by its function words; None where it cannot be told.

    Seven languages, at least `fewest` words, 10% function words, and more of one language than of any other.
    """
    script = _script(text)
    if script != "LATIN":
        return script
    found = words(text)
    share = Counter({name: sum(word in known for word in found) for name, known in _LANGUAGES.items()})
    (best, most), (_, second) = share.most_common(2)
    return best if len(found) >= fewest and most >= 0.1 * len(found) and most > second else None


def _script(text: str) -> str | None:
    letters = Counter(_script_of(letter) for letter in text[:20_000] if letter.isalpha())
    if letters.total() < 20:
        return None
    return letters.most_common(1)[0][0]


def _script_of(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "UNKNOWN").split()[0]
