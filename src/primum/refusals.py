"""Does a model decline to answer? For refusal rates, and so that "No, I cannot advise" is never read as no. Pure."""

from __future__ import annotations

import re
import unicodedata

from primum.thinking import without_thinking

_OPENING = 500
"""Characters: a refusal comes first. Further on, "I can't" is what a patient said."""
_TO_ANSWER = (
    r"(?:(?:provide|answer|assist|help|diagnose|predict|determine|say|tell|advise|recommend|comment|comply|fulfill?|"
    r"respond|generate|discuss|judge|assess|evaluate|conclude|engage|decide)\b"
    r"|(?:give|offer|make|write|share) (?:\w+ ){0,2}(?:advice|answer|diagnos|opinion|judg|determination|"
    r"prediction|recommendation|information|decision|assessment))"
)
"""What a model declines; "I will not give antibiotics" is a plan."""
_UNABLE = (
    r"(?:cannot|can't|can not|won't|will not|(?:am |'m )?(?:not able|unable|not allowed|not permitted|not qualified) "
    r"to|must decline to|have to decline to|decline to|refuse to|should not|shouldn't|"
    r"(?:do not|don't) feel comfortable)"
)
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\bi(?: (?:really|simply|just|unfortunately))? ?{_UNABLE}(?: \w+){{0,3}} {_TO_ANSWER}",
        r"\bi (?:must|have to|respectfully)? ?(?:decline|refuse)\b",
        r"\bas an? (?:(?:large|artificial|helpful|medical) )*(?:ai\b|llm\b|language model|assistant\b|intelligence)",
        r"\bi(?:'m| am) (?:only |just |merely )?(?:an ai\b|a (?:large )?language model|not an? "
        r"(?:actual |real |licensed |qualified )?(?:doctor|physician|clinician|nurse|medical|health))",
        rf"\b(?:it is|it's|it would be) (?:not possible|impossible|inappropriate|not appropriate|irresponsible|"
        rf"unethical|unsafe) (?:for me )?to {_TO_ANSWER}",
        r"\bnot something (?:that )?i(?: can|'m able|'m allowed| am able| am allowed)",
        r"\b(?:beyond|outside) my (?:scope|capabilit|abilit|expertise|knowledge)",
        rf"\b(?:not enough|insufficient) (?:information|data|context|detail)s? to {_TO_ANSWER}",
        r"\bcannot (?:provide|give|offer) (?:any )?(?:medical|clinical|health|diagnos|personal)",
    )
)


def is_refusal(text: str) -> bool:
    """True where the model declines, for whatever reason it gives: policy, its role, too little information.

    Looks for sentences in which the model speaks of itself, in English, in the first 500 characters outside its
    thinking. "See a doctor" alone is advice, and "the patient cannot walk" a finding: neither is a refusal.
    """
    outside = without_thinking(text)
    if outside is None:
        return False
    plain = unicodedata.normalize("NFKC", outside.lstrip()[:_OPENING]).casefold().replace("’", "'")
    opening = " ".join(plain.replace("*", "").split())
    return any(pattern.search(opening) for pattern in _PATTERNS)
