"""Free text that speaks to the model instead of about the patient (prompt injection), by its wording.

Such text can change neither question nor allowed answers nor the reading of the answer (`primum.prompts`); it can
still sway the model. So it is counted and named by row for a person to read. Wordings that nobody has listed are
not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from primum.characters import visible

_WORDINGS = (
    r"\b(?:ignore|disregard|forget|override)[^\w.;!?]{1,3}(?:\w{1,20}[^\w.;!?]{1,3}){0,3}"
    r"(?:above|previous|prior|preceding|earlier|instructions?|prompts?|rules|guidelines|system message)\b",
    r"\b(?:ignorier\w{0,3}|vergiss|vergessen sie|missachte\w?)[^\w.;!?]{1,3}(?:\w{1,20}[^\w.;!?]{1,3}){0,4}"
    r"(?:anweisung\w{0,3}|obige\w?|vorherige\w?|bisherige\w?|instruktion\w{0,3}|regeln)\b",
    r"\b(?:you are|act as|pretend to be|du bist|sie sind)\W{1,3}(?:now |jetzt |nun )?(?:\w{1,12} ){0,3}"
    r"(?:assistant|ai|language model|llm|chatbot|assistent|sprachmodell|ki)\b",
    r"\b(?:new|updated|neue) (?:instructions?|anweisung(?:en)?) ?:",
    r"\b(?:system prompt|jailbreak|developer mode|prompt injection)\b",
    r"^\W{0,3}(?:system|assistant|user|human|ai) ?:",
    r"#{2,} ?(?:instruction|response|system|assistant|user|input|output)\b",
    r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|</?think(?:ing)?>",
)
_GAP = r"[\s:=\"'“”‘’*-]{1,3}"
_ANSWER = (
    rf"\b(?:answers?|respond|reply|output|classify|label|antworte\w?|ausgabe)\b{_GAP}"
    rf"(?:(?:only|always|just|simply|with|as|is|must be|it|nur|immer|stets|mit|einfach){_GAP}){{0,3}}"
)


def instructions(words: Iterable[str]) -> re.Pattern[str]:
    """What finds instructions to a model that may answer `words` (the task's verbalizers)."""
    answers = "|".join(sorted({re.escape(word) for word in words}, key=len, reverse=True))
    forms = (*_WORDINGS, rf"{_ANSWER}(?:{answers})(?!\w)")
    return re.compile("|".join(forms), re.IGNORECASE | re.MULTILINE)


def is_instruction(text: str, wordings: re.Pattern[str]) -> bool:
    """Whether the text, without invisible characters, holds one of the wordings."""
    return wordings.search(visible(text)) is not None
