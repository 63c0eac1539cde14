"""Which characters of free text a model and a pattern may see."""

from __future__ import annotations

import re
import unicodedata

_SUSPECT = re.compile(r"[^\n\t -~\xa0-\xac\xae-˿]")
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    """The text without invisible characters; blanks and line ends stay.

    Left out are control characters and those of Unicode's category Cf (zero width, bidirectional overrides,
    soft hyphens, byte order marks, tags), lone surrogates and private use: they show nothing, and they hide
    words from a reader and from patterns. The two joiners stay after letters of scripts that are written with
    them (Persian, Hindi ...).
    """
    if _SUSPECT.search(text) is None:
        return text
    kept: list[str] = []
    for char in text:
        joins = char in _JOINERS and bool(kept) and unicodedata.category(kept[-1]) in ("Lo", "Mn", "Mc")
        if joins or char.isspace() or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"):
            kept.append(char)
    return "".join(kept)
