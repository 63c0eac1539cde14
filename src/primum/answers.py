"""The only parser: a generated answer is read back into a label, or it is unparsed. Pure, one pass, linear time."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence

from primum.records import UNPARSED
from primum.refusals import is_refusal
from primum.thinking import without_thinking

_TOKEN = re.compile(
    r"[-+<>≤≥±~]?\d+(?:[.,:/^]\d+)*[%+]?"  # a number keeps sign, decimals and ratio: 1 is neither -1, 1.5 nor 1+
    r"|[^\W_]+(?:[-–'./,&_][^\W_]+)*"  # nor is benign non-benign, or yes yes/no
    r"|\n|[^\s]"
)
_MARKUP = frozenset("*_`\"'“”„‟‘’‚«»‹›「」『』【】()[]{}#$|>")
"""Emphasis, quotes, brackets, headings: left out wherever they stand."""
_OPENERS = frozenset("\n,.:;-–—•·。、")
"""What may stand before an answer: bullets and stray punctuation."""
_SET_OFF = frozenset("\n,.!;-—。、،।")
"""What must stand between an answer and anything that follows: "malignant is unlikely" is no answer."""
_SENTENCE_ENDS = frozenset("\n.!;。।")
_WRAPPING = (
    (re.compile(r"```(?:json|text|txt|plaintext|markdown|md|yaml|xml|html|latex)?\b"), " "),
    (re.compile(r"\\(?:boxed|fbox|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it))\s{0,3}(?=\{)|\\[()\[\]]"), " "),
    (
        re.compile(
            r"</?(?:answer|final_answer|final|response|output|result|label|b|i|em|strong|p|span|code|br)\s{0,3}/?>",
            re.IGNORECASE,
        ),
        " ",
    ),
    (re.compile(r"<\|[^<>|\s]{1,40}\|>|</s>|<eos>|<end_of_turn>"), "\n"),  # what marks a turn, typed as text
)
_LEAD_NOUNS = frozenset(
    [
        "answer",
        "response",
        "label",
        "prediction",
        "classification",
        "diagnosis",
        "output",
        "result",
        "decision",
        "conclusion",
        "verdict",
        "assistant",
    ]
)
_LEAD_WORDS = frozenset(["the", "my", "final", "correct", "best", "predicted", "short", "overall"])
_LEAD_ENDS = frozenset("\n:=-–—")
_NEGATIONS = frozenset(
    [
        "not",
        "no",
        "never",
        "nor",
        "none",
        "nothing",
        "cannot",
        "without",
        "false",
        "incorrect",
        "wrong",
        "unlikely",
        "absent",
        "excluded",
    ]
)
_DOUBTS = frozenset(
    [
        "but",
        "however",
        "though",
        "although",
        "or",
        "maybe",
        "perhaps",
        "possibly",
        "unsure",
        "uncertain",
        "unclear",
        "unless",
        "if",
        "except",
        "both",
        "either",
        "neither",
        "depends",
        "ambiguous",
        "inconclusive",
        "indeterminate",
        "equivocal",
        "?",
    ]
)
_TAKEN_BACK = frozenset(["however", "wait", "actually", "correction", "sorry", "apologies", "oops", "hmm"])


def parse_answer(answer: str, verbalizers: Mapping[str, str]) -> str:
    """Return the label that the answer states unambiguously, or UNPARSED.

    Thinking is left out; an unfinished thought makes the whole answer unparsed. Markup (emphasis, quotes,
    brackets, code fences, \\boxed, <answer>) and a fixed English lead-in ("Answer:", "The answer is", "Final
    Response:", a JSON key of that name) say nothing of their own and are left out too. What is left must begin
    with one verbalizer as whole words, alone or set off by punctuation from an explanation. The explanation is
    not understood, only searched: it may name no other verbalizer, hold no negation (unless the verbalizer is
    one), doubt or condition in the answer's own sentence, and nowhere take the answer back or refuse (English
    words). Case and compatibility forms of letters (full width) do not matter, other letters do, and a single
    letter is matched as it is written. Symbols and emoji are not punctuation: beside an answer they leave it
    unparsed.
    """
    text = without_thinking(_normalise(answer))
    labels = {tuple(_tokens(words)): label for label, words in verbalizers.items()}
    if text is None or len(labels) < len(verbalizers) or () in labels:
        return UNPARSED
    tokens = _tokens(_unwrapped(text))
    start = _answer_start(tokens, labels)
    named = _named(tokens, start, labels)
    if not named or named[0][0] != start or len({label for _, _, label in named}) > 1:
        return UNPARSED
    end = start
    for at, length, _ in named:  # the same answer again says nothing else
        end = end + length if at == end else end
    words = tokens[start : start + named[0][1]]
    return named[0][2] if _harmless(tokens[end:], words) and not is_refusal(text) else UNPARSED


def _normalise(text: str) -> str:
    """NFKC for letters and digits; invisible characters go, but those that turn the reading direction round stay.

    Symbols stay as they are: the numero sign is no "No", a circled letter no letter.
    """
    if text.isascii():
        return text.replace("\r", "\n")
    plain: list[str] = []
    for symbols, run in itertools.groupby(text, key=lambda c: unicodedata.category(c) in ("So", "No")):
        part = "".join(run)
        plain.append(part if symbols else unicodedata.normalize("NFKC", part))
    shown = "".join(plain).replace("’", "'").replace("\r", "\n")
    return "".join(c for c in shown if unicodedata.category(c) != "Cf" or c in "\u202d\u202e")


def _unwrapped(text: str) -> str:
    for pattern, instead in _WRAPPING:
        text = pattern.sub(instead, text)
    return text.strip()


def _tokens(text: str) -> list[str]:
    """Words, numbers, punctuation and line ends without markup; a single letter keeps its case."""
    found = (t if len(t) == 1 else t.casefold() for t in _TOKEN.findall(_normalise(text)))
    return [token for token in found if token not in _MARKUP]


def _answer_start(tokens: Sequence[str], labels: Mapping[tuple[str, ...], str]) -> int:
    """Index of the first verbalizer behind stray punctuation and up to four lead-ins, or of what stands there."""
    at = 0
    for _ in range(4):
        while at < len(tokens) and tokens[at] in _OPENERS and not _label_at(tokens, at, labels):
            at += 1
        if _label_at(tokens, at, labels):
            return at
        behind = _behind_lead_in(tokens, at)
        if behind is None:
            return at
        at = behind
    return at


def _behind_lead_in(tokens: Sequence[str], at: int) -> int | None:
    """Index behind "the final answer is:", or the like; None where there is none."""
    while at < len(tokens) and tokens[at] in _LEAD_WORDS:
        at += 1
    if at >= len(tokens) or tokens[at] not in _LEAD_NOUNS:
        return None
    words = tokens[at + 1 : at + 3]
    said = words[:1] == ["is"]
    marked = bool(words[said:]) and words[said] in _LEAD_ENDS
    return at + 1 + said + marked if said or marked else None


def _label_at(
    tokens: Sequence[str], at: int, labels: Mapping[tuple[str, ...], str]
) -> tuple[int, str] | None:
    """Length and label of the longest verbalizer that begins at this token."""
    fits = (words for words in labels if tuple(tokens[at : at + len(words)]) == words)
    longest = max(fits, key=len, default=None)
    return None if longest is None else (len(longest), labels[longest])


def _named(
    tokens: Sequence[str], at: int, labels: Mapping[tuple[str, ...], str]
) -> list[tuple[int, int, str]]:
    """(index, length, label) of each verbalizer from `at` on; a short one inside a longer one is not named."""
    found: list[tuple[int, int, str]] = []
    while at < len(tokens):
        there = _label_at(tokens, at, labels)
        if there:
            found.append((at, *there))
        at += there[0] if there else 1
    return found


def _harmless(rest: Sequence[str], words: Sequence[str]) -> bool:
    """True where what follows the answer leaves it standing."""
    behind = next((i for i, token in enumerate(rest) if token[-1].isalnum() or token[0].isalnum()), len(rest))
    if not set(rest[:behind]) <= _SET_OFF or (rest and behind == 0):
        return False
    if list(rest[:behind]) == ["."] and rest[behind:] and rest[behind][0].isdigit():
        return False  # "No. 5"
    ends = (i for i, token in enumerate(rest) if token in _SENTENCE_ENDS)
    own = set(rest[: next(ends, len(rest))])
    denied = not _is_negative(words) and any(t in _NEGATIONS or t.endswith("n't") for t in own)
    return not (denied or own & _DOUBTS or set(rest) & _TAKEN_BACK)


def _is_negative(words: Sequence[str]) -> bool:
    return any(word in _NEGATIONS or word == "negative" for word in words)
