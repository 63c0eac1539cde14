"""Passages of the holdout that training holds: counted by source, refused above the limit, allowed with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.config import TaskConfig
from primum.contamination import checked, overlapping, search
from primum.duplicates import normalise
from primum.errors import BadInput
from primum.split import Assignment

PASSAGE = "a woman of forty with pain in the right lower belly since the evening before"


def task_of(**contamination: Any) -> TaskConfig:
    return TaskConfig.model_validate(
        {
            "name": "qa",
            "source": {"path": "qa.csv"},
            "label": {"column": "y", "classes": ["A", "B"]},
            "features": [{"column": "question", "kind": "text"}, {"column": "A", "kind": "category"}],
            "prompt": {"question": "Which?"},
            "split": {"contamination": contamination} if contamination else {},
        }
    )


def records(*rows: tuple[str, str, str | None]) -> tuple[pd.DataFrame, Assignment]:
    """Rows (part, site, question); every option is the same."""
    frame = pd.DataFrame(rows, columns=["part", "site", "question"])
    frame["record_id"] = frame["patient_id"] = [f"r{i}" for i in range(len(frame))]
    frame["label"], frame["A"] = "A", "aspirin"
    return frame, Assignment(frame["part"].to_numpy(dtype=object), 0, ("before",))


QA = records(
    ("train", "medqa", f"Yesterday {PASSAGE} she came to us."),
    ("train", "medmcqa", "Which nerve runs through the carpal tunnel?"),
    ("validation", "medmcqa", "Which drug is given first?"),
    ("test", "medqa", f"In the ward: {PASSAGE.upper().replace(' ', ', ')}! What now?"),
    ("test", "medqa", "Which nerve runs through the tarsal tunnel of the foot?"),
    ("test", "medmcqa", "which drug is given first"),
    ("test", "medmcqa", None),
    ("", "medqa", "left out"),
)


def test_thirteen_words_in_a_row_are_found_whatever_their_case_and_punctuation() -> None:
    assert overlapping([PASSAGE], [f"x {PASSAGE} y", " ".join(PASSAGE.split()[:12]), ""], 13).tolist() == [
        True,
        False,
        False,
    ]
    assert overlapping([PASSAGE], [" ".join(PASSAGE.split()[:12])], 12).tolist() == [True]
    assert overlapping([], ["a b"], 2).tolist() == [False]
    assert overlapping(["a b"], [], 2).tolist() == []


def test_short_texts_count_where_they_are_the_same() -> None:
    assert overlapping(["Which drug first?"], ["which drug, first", "which drug"], 13).tolist() == [
        True,
        False,
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab ", max_size=14), max_size=5),
    st.lists(st.text("ab ", max_size=14), max_size=5),
    st.integers(2, 4),
)
def test_against_the_definition(training: list[str], holdout: list[str], n: int) -> None:
    def grams(text: str) -> set[tuple[str, ...]]:
        words = normalise(text).split()
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    known = set().union(*map(grams, training)) if training else set()
    same = {normalise(text) for text in training}
    expected = [bool(grams(t) & known) or (normalise(t) != "" and normalise(t) in same) for t in holdout]
    assert overlapping(training, holdout, n).tolist() == expected


def test_counts_by_source() -> None:
    frame, found = QA
    learned = frame[np.isin(found.part, ["train", "validation"])]
    report = search(learned, frame[found.part == "test"], task_of(), 13)
    assert (report.records, report.contaminated, report.share) == (4, 2, 0.5)
    assert report.by_source == {"medmcqa": 1, "medqa": 1}
    assert report.by_training_source == {"medmcqa": 1, "medqa": 1}
    assert search(learned, frame[found.part == "test"], task_of(), 5).contaminated == 3


def test_above_the_limit_a_run_refuses_with_the_counts_and_no_text() -> None:
    frame, found = QA
    with pytest.raises(BadInput) as problem:
        checked(frame, found, task_of(ngram=13))
    assert str(problem.value) == (
        "task 'qa': contamination: 2 of 4 holdout records (50.0%) share 13 words in a row with training (by training "
        "source: medmcqa 1, medqa 1; by holdout source: medmcqa 1, medqa 1); at most 0.0% is allowed "
        "(split.contamination.max_share): take these texts out of training, or say why it may be so in "
        "split.contamination.allow, which stands in the evidence"
    )


def test_what_is_allowed_is_told_with_its_reason() -> None:
    frame, found = QA
    reason = "set phrases of the exam, seen by two reviewers"
    notes = checked(frame, found, task_of(allow=reason)).notes
    assert notes[0] == "before"
    assert notes[1].startswith(f"contamination above 0.0% was allowed ({reason}): 2 of 4 holdout records")
    assert (
        checked(frame, found, task_of(max_share=0.5))
        .notes[1]
        .startswith("contamination: 2 of 4 holdout records")
    )
    assert checked(frame, found, task_of()) is found, "nobody asked"
    with pytest.raises(ValueError, match="at least 10 characters"):
        task_of(allow="ok")


def test_the_reason_stands_in_the_evidence() -> None:
    from primum.decision import _allowed

    reason = "set phrases of the exam, seen by two reviewers"
    assert _allowed(task_of(allow=reason)) == {"contamination_allowed": reason}
    assert _allowed(task_of(max_share=0.1)) == _allowed(task_of()) == {}
