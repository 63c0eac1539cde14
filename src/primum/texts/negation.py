"""Whether a text affirms or denies what it names: NegEx, and in a dialogue the answer to the question.

Chapman et al. 2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries",
doi 10.1006/jbin.2001.1029: a trigger negates the findings after it (or before it) up to the end of its scope. The
scope here ends with the sentence, another trigger's contrary, or a conjunction that turns the thought; not after
five words, because notes deny in long lists. Questions and conditions neither affirm nor deny.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from primum.texts.findings import mentions

Polarity = Literal["affirmed", "denied", "open"]
_AFFIRMED: Polarity = "affirmed"

_PSEUDO = (
    r"no (?:significant |interval |further )?(?:increase|change|changes|worsening|improvement)|not only|"
    r"not certain|not necessarily|no longer than|without (?:any )?(?:difficulty|problems|issues)|"
    r"gram negative|no doubt|(?:is|was|are|were) not (?:the )?(?:cause|reason)|no more than|not too bad|"
    r"why not|if not"
)
_BEFORE = (
    r"no|not|n[’']?t|\w+n[’']t|cannot|never|without|denies|denied|deny|denying|negative(?: for)?|"
    r"absence of|absent|free of|free from|neither|nor|none|nothing|rules? out|ruled out|lack of|lacks|"
    r"fails to reveal|unremarkable for|resolved|declines|declined|stopped|quit"
)
_AFTER = (
    r"(?:is|are|was|were|has been|have been)?\s{0,2}(?:absent|negative|unlikely|ruled out|not (?:present|"
    r"seen|noted|appreciated|identified)|denied|none|resolved|never)|:\s{0,2}(?:none|no|never|negative|"
    r"denies|denied)\b"
)
_OPEN = (
    r"if|whether|should|could|may|might|possible|possibly|monitor for|watch for|watch out for|risk of|"
    r"risks|evaluate for|assess for|check for|concern for|concerned for|concerning for|in case|avoid|"
    r"prevent|mother|father|brother|advis\w+|counsel\w*|instruct\w+|recommend\w*|educat\w+|encourag\w+|"
    r"discuss\w*|decrease|reduce|limit|as needed for|to treat|treatment of|medications? for|help with|"
    r"sister|family history|aunt|uncle|grandmother|grandfather|parents|son|daughter"
)
_ENDS = (
    r"but|however|nevertheless|yet|though|although|still|except|aside from|apart from|other than|because|"
    r"since|secondary to|due to|which|who|then|until|positive for|reports|reported|endorses|complains of|"
    r"presents with|admits|and (?:he|she|i|you) (?:has|have|does|do)|there is|there are|remainder|some|"
    r"just|only|a little|a bit"
)
MARK = re.compile(
    rf"\b(?P<pseudo>{_PSEUDO})\b|\b(?P<ends>{_ENDS})\b|\b(?P<open>{_OPEN})\b|"
    rf"(?<![\w])(?P<no>{_BEFORE})(?!\w)",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"\s{0,2}(?:\([^)]{0,40}\)\s{0,2})?(?:" + _AFTER + ")", re.IGNORECASE)
CLAUSE = re.compile(r"[^.?!;\n•]+(?:\.(?=\w)[^.?!;\n•]*)*[.?!;\n•]?")


@dataclass(frozen=True, slots=True)
class Mention:
    """A finding that a text names, and whether the text affirms it, denies it, or leaves it open."""

    name: str
    polarity: Polarity
    start: int
    end: int


def read_findings(text: str) -> list[Mention]:
    """The findings of a text by position. A dialogue's questions take the polarity of their answers."""
    turns = list(_turns(text))
    if len(turns) < 2:
        return list(_in_statement(text, 0, len(text), None))
    found: list[Mention] = []
    for number, (start, end) in enumerate(turns):
        reply = text[slice(*turns[number + 1])] if number + 1 < len(turns) else ""
        found += _in_statement(text, start, end, _answer(reply))
    return found


_SPEAKER = re.compile(
    r"^[ \t]*(?:\[[a-z_ ]{2,20}\]|[a-z][a-z_]{2,20}(?: \d)?[ \t]*:)", re.IGNORECASE | re.MULTILINE
)
_SPOKEN = re.compile(
    r"\b(?:doctor|patient|clinician|guest|nurse|family|physician|speaker|user|assistant)", re.IGNORECASE
)


def _turns(text: str) -> Iterator[tuple[int, int]]:
    marks = [m for m in _SPEAKER.finditer(text) if m[0].lstrip().startswith("[") or _SPOKEN.search(m[0])]
    for mark, following in zip_longest(marks, marks[1:]):
        yield mark.end(), following.start() if following else len(text)


_FILLER = (
    r"(?:\W|\b(?:um|uh|uhm|well|oh|so|hm|hmm|okay|ok|i mean|you know|doctor|sir|ma'am|actually|honestly|"
    r"thankfully)\b)*"
)
_NO = re.compile(
    rf"{_FILLER}(?:no\b|nope|nah|never|none|not\b|negative|i don[’']?t|i do n[’']?t|i have ?n[’']?t|"
    rf"i did ?n[’']?t|denies|"
    r"i[’']m not|i am not|i haven|i didn|(?:he|she|it) (?:does ?n[’']?t|did ?n[’']?t|has ?n[’']?t))",
    re.IGNORECASE,
)
_YES = re.compile(
    rf"{_FILLER}(?:yes|yeah|yep|yup|correct|right\b|i do\b(?! n)|i have\b(?! n)|sure|mm-hmm|uh-huh|"
    rf"absolutely|definitely|"
    r"exactly|it does\b(?! n)|it is\b(?! n)|a little|a bit|some\b|sometimes|occasionally|that[’']s right|"
    r"of course)",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:any|do you|have you|are you|did you|does it|is there|were you|has (?:he|she)|does (?:he|she)|"
    r"no other|ever had|what about|how about)\b",
    re.IGNORECASE,
)


def _answer(reply: str) -> Polarity:
    if _NO.match(reply):
        return "denied"
    return "affirmed" if _YES.match(reply) else "open"


def _in_statement(text: str, start: int, end: int, answer: Polarity | None) -> Iterator[Mention]:
    """The findings of one turn; `answer` is what the next turn replies, None where nobody does."""
    clauses = [m for m in CLAUSE.finditer(text, start, end) if m[0].strip()]
    for place, clause in enumerate(clauses):
        asked = _asked_from(clause[0], place == len(clauses) - 1) if answer is not None else len(text)
        scopes = Scopes(clause[0])
        for name, first, last in mentions(clause[0]):
            polarity = scopes.polarity(first, last)
            if answer is not None and first >= asked and polarity != "open":
                polarity = _replied(polarity, answer)
            yield Mention(name, polarity, clause.start() + first, clause.start() + last)


def _asked_from(clause: str, last: bool) -> int:
    """Where the question begins that the next turn answers; the clause's end where there is none."""
    if clause.endswith("?"):
        return 0
    asked = [m.start() for m in _ASKED.finditer(clause)] if last else []
    return asked[-1] if asked else len(clause)


def _replied(polarity: Polarity, answer: Polarity) -> Polarity:
    """ "No pain?" - "No." denies as "Any pain?" - "No." does."""
    if polarity == "denied":
        return "denied" if answer == "denied" else "open"
    return answer


class Scopes:
    """The scopes of one clause's triggers: what polarity holds from which place on."""

    def __init__(self, clause: str) -> None:
        self.clause = clause
        self.places, self.states = [0], [_AFFIRMED]
        for mark in MARK.finditer(clause):
            if not mark["pseudo"]:
                self.places.append(mark.end())
                self.states.append("denied" if mark["no"] else "open" if mark["open"] else "affirmed")
        short = len(clause) < 80
        self.heading = short and clause.isupper() and len(clause.split()) < 6

    def polarity(self, first: int, last: int) -> Polarity:
        """Whether the clause affirms, denies or leaves open what stands in it from `first` to `last`."""
        if _TRAILING.match(self.clause, last):
            return "denied"
        if self.heading or self.clause[last : last + 2].lstrip().startswith(":"):
            return "open"
        return self.states[bisect_right(self.places, first) - 1]
