"""What models really write: read where it is unambiguous, unparsed otherwise, in linear time."""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest
from hostile_outputs import CASES, UNREAD, WHY, YES_NO, Case

from primum.prompts import parse_answer
from primum.records import UNPARSED
from primum.refusals import is_refusal


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.category}: {case.text[:30]!a}"
)  # the long ones by their beginning
def test_an_output_is_read_as_the_table_says(case: Case) -> None:
    expected = UNPARSED if case.label == UNREAD else case.label
    assert parse_answer(case.text, case.words) == expected, WHY[case.category]


def test_the_table_is_whole() -> None:
    assert len({(case.text, *case.words) for case in CASES}) == len(CASES) >= 200
    assert {case.category for case in CASES} == set(WHY)
    read = Counter(case.label == UNREAD for case in CASES)
    assert min(read.values()) > 60


def test_the_order_of_the_verbalizers_does_not_matter() -> None:
    for case in CASES:
        turned = dict(reversed(case.words.items()))
        assert parse_answer(case.text[:1000], turned) == parse_answer(case.text[:1000], case.words)


@pytest.mark.parametrize("words", [{"a": "Yes", "b": "(yes)"}, {"a": "Yes", "b": "**"}])
def test_verbalizers_that_cannot_be_told_apart_read_nothing(words: dict[str, str]) -> None:
    assert parse_answer("Yes", words) == UNPARSED


def test_a_verbalizer_need_not_be_a_word() -> None:
    assert parse_answer("+", {"p": "+", "n": "-"}) == "p"
    assert parse_answer("-", {"p": "+", "n": "-"}) == "n"


SHAPES = {
    "repeated": "Yes ",
    "opened": "<think>",
    "begun": "<think",
    "ratio": "1:",
    "hyphens": "a-",
    "fences": "```",
    "boxes": "\\boxed",
    "headings": "# ",
    "lines": "\n",
    "lead-ins": "the answer is ",
    "negations": "Yes, not ",
    "refusals": "i cannot really ",
    "invisible": "\u200b",
    "marks": "\u0336",
}


def _steps(text: str) -> int:
    """Lines of Python that the parser runs."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith(("answers.py", "thinking.py", "refusals.py")):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse_answer(text, YES_NO)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_text_is_ten_times_the_work(shape: str) -> None:
    """Steps are counted, not seconds. A pattern that backtracks would not end on the longer text."""
    short, long = ((SHAPES[shape] * size)[:size] for size in (2_000, 20_000))
    assert _steps(long) <= 12 * _steps(short) + 1000


@pytest.mark.parametrize("shape", SHAPES)
def test_a_hundred_kilobytes_are_answered(shape: str) -> None:
    parse_answer((SHAPES[shape] * 100_000)[:100_000], YES_NO)
    is_refusal((SHAPES[shape] * 100_000)[:100_000])


@pytest.mark.parametrize(
    "text",
    [
        "I cannot provide medical advice.",
        "I can't answer that.",
        "I’m sorry, but I can’t help with that request.",
        "As an AI language model, I do not diagnose.",
        "As a large language model I have no access to the patient.",
        "I am not a doctor, so see one.",
        "I'm just an AI.",
        "I am unable to make a diagnosis from this.",
        "It is not possible to determine this from the text.",
        "There is insufficient information to decide.",
        "That's not something I can do.",
        "This is beyond my scope.",
        "**I must decline.**",
        "<think>Yes?</think>I won't give advice here.",
        "No. I cannot really say.",
    ],
)
def test_refusals_are_seen(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes",
        "No, she will not need it.",
        "The patient cannot walk and is unable to give a history.",
        'Subjective: "I can\'t sleep", she says.',
        "Plan: consult a cardiologist; see a doctor if fever returns.",
        "I recommend oxytocin.",
        "The assistant surgeon was called as an aid.",
        "<think>I cannot answer this.</think>Yes",
        "<think>I cannot answer this",
        "Subjective: " + "headache. " * 60 + "I cannot provide more, he said.",
        "We will not give antibiotics today.",
    ],
)
def test_findings_and_advice_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)
