"""What counts as a word and as a sentence, for every measure of this package."""

from __future__ import annotations

import re
import unicodedata

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_TITLES = r"(?<!\bdr\.)(?<!\bmr\.)(?<!\bms\.)(?<!\bmrs\.)(?<!\bvs\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
_SENTENCE_END = re.compile(rf"{_TITLES}(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])", re.IGNORECASE)


def words(text: str) -> list[str]:
    """The words of a text in lower case (Unicode NFKC): runs of letters and digits.

    For English the same as ROUGE-1.5.5's tokens without stemming; letters of other scripts are kept, and
    Chinese, Japanese and Korean, which write no blanks, count by the character.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def sentences(text: str) -> list[str]:
    """The sentences of a text: lines, split again after a full stop, a question or an exclamation mark."""
    pieces = (piece.strip() for line in text.splitlines() for piece in _SENTENCE_END.split(line))
    return [piece for piece in pieces if piece]
