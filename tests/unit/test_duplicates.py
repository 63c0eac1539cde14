from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum import duplicates
from primum.config import TaskConfig
from primum.duplicates import copied_rows, copied_texts, duplicate_groups, near_duplicates, normalise

NOTE = "the patient was admitted with chest pain and shortness of breath after climbing two flights of stairs at home"


def task_of(n: int = 8, overlap: float = 0.5, features: list[Any] | None = None) -> TaskConfig:
    return TaskConfig.model_validate(
        {
            "name": "toy",
            "source": {"path": "toy.csv"},
            "label": {"column": "y", "classes": ["no", "yes"]},
            "features": features or [{"column": "note", "kind": "text"}],
            "prompt": {"question": "Is it?"},
            "split": {"near_duplicate_ngram": n, "near_duplicate_overlap": overlap},
        }
    )


def notes(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"note": pd.Series(texts, dtype=object)})


def same(frame: pd.DataFrame, task: TaskConfig) -> list[list[int]]:
    groups = duplicate_groups(frame, task)
    return [list(np.flatnonzero(groups == g)) for g in np.unique(groups) if (groups == g).sum() > 1]


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def pairs_by_brute_force(texts: list[str], n: int, overlap: float) -> set[tuple[int, int]]:
    grams = [ngrams(text, n) for text in texts]
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(texts)), 2)
        if grams[i] and grams[j]
        and len(grams[i] & grams[j]) >= overlap * min(len(grams[i]), len(grams[j])) - 1e-9
    }  # fmt: skip


small_texts = st.lists(
    st.lists(st.sampled_from("abcde"), max_size=24).map(" ".join), max_size=25, unique=True
)


@settings(max_examples=30, deadline=None)
@given(
    small_texts, st.integers(2, 3), st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0]), st.integers(1, 6),
    st.sampled_from([1, 20, 1000]), st.sampled_from([10, 200]),
)  # fmt: skip
def test_exactly_the_pairs_of_a_brute_force_search(
    texts: list[str], n: int, overlap: float, frequent: int, work: int, chars: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:  # boilerplate, blocks and chunks at the size of a test
        patch.setattr(duplicates, "FREQUENT", frequent)
        patch.setattr(duplicates, "BLOCK_WORK", work)
        patch.setattr(duplicates, "CHUNK_CHARS", chars)
        blocks = list(near_duplicates(texts, task_of(n, overlap), np.arange(len(texts))))
        groups = duplicate_groups(notes(*texts), task_of(n, overlap))
    found = {(min(p), max(p)) for a, b in blocks for p in zip(a.tolist(), b.tolist(), strict=True)}
    wanted = pairs_by_brute_force(texts, n, overlap)
    assert found == wanted
    parent = list(range(len(texts)))
    for _ in texts:
        for i, j in wanted:
            parent[i] = parent[j] = min(parent[i], parent[j])
    assert (np.equal.outer(groups, groups) == np.equal.outer(parent, parent)).all()


@settings(max_examples=20, deadline=None)
@given(small_texts, st.data())
def test_copied_texts_are_those_of_a_brute_force_search(texts: list[str], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(texts)))
    found = copied_texts(notes(*texts[cut:]), notes(*texts[:cut]), task_of(2, 0.5))
    pairs = pairs_by_brute_force(texts, 2, 0.5)
    assert found.tolist() == [any(i == k and j >= cut for i, j in pairs) for k in range(cut)]


def test_normalise_keeps_the_words_only() -> None:
    assert normalise("  Chest-PAIN,\n\tＡcute\u00a0(2x)! ") == "chest pain acute 2x"
    assert normalise(None) == normalise(float("nan")) == normalise(" ... ") == ""


def test_equal_words_are_a_copy_whatever_case_and_punctuation() -> None:
    assert same(notes("No fever.", "no  FEVER", "no cough"), task_of()) == [[0, 1]]


def test_a_long_shared_passage_is_a_near_duplicate_and_a_short_one_is_not() -> None:
    longer = f"{NOTE} and was seen by the cardiologist on call who ordered troponin and an electrocardiogram at once"
    short = f"new complaint today namely {' '.join(NOTE.split()[:9])} but otherwise he felt well last week"
    assert same(notes(NOTE, longer, short), task_of()) == [[0, 1]]


def test_a_copy_of_a_copy_is_in_the_group() -> None:
    words = [f"w{i}" for i in range(60)]
    chain = [" ".join(words[start : start + 30]) for start in (0, 8, 16, 24)]
    assert same(notes(*chain), task_of()) == [[0, 1, 2, 3]]


def test_texts_that_are_not_recorded_join_nothing_but_equal_rows_do() -> None:
    features = ["x", {"column": "note", "kind": "text"}]
    frame = notes(None, "", None, "!").assign(x=[1.0, 2.0, 3.0, 1.0])
    assert same(frame, task_of(features=features)) == [[0, 3]]


def test_every_text_column_counts() -> None:
    features = [{"column": "note", "kind": "text"}, {"column": "plan", "kind": "text"}]
    frame = notes("a", "b", "c").assign(plan=["rest", "surgery", "rest"])
    assert same(frame, task_of(features=features)) == [[0, 2]]


def test_rows_are_compared_by_value() -> None:
    features = ["x", {"column": "sex", "kind": "category"}]
    frame = pd.DataFrame(
        {"x": [0.0, -0.0, np.nan, np.nan, 1.0, 1.0], "sex": ["f", "f", None, None, "f", "m"]}
    )
    assert same(frame, task_of(features=features)) == [[0, 1], [2, 3]]
    assert copied_rows(frame[:2], frame[1:], task_of(features=features)).tolist() == [True, *[False] * 4]


def test_columns_that_swap_their_values_are_not_equal() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "z": [2.0, 1.0]})
    assert same(frame, task_of(features=["x", "z"])) == []


def test_boilerplate_in_every_note_joins_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "FREQUENT", 4)
    rng = np.random.default_rng(0)
    own = [" ".join(f"w{k}" for k in rng.integers(0, 9999, 60)) for _ in range(40)]
    frame = notes(*(f"{NOTE} {text}" for text in own))
    assert same(frame, task_of()) == []
    frame.loc[7, "note"] = f"{NOTE} {' '.join(own[3].split()[:45])}"
    assert same(frame, task_of()) == [[3, 7]]
