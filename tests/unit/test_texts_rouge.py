"""ROUGE as its usual implementation gives it, and BERTScore's matching by hand."""

import numpy as np
import pytest

from primum.errors import BadInput
from primum.texts.bertscore import Embedded, bert_score, inverse_frequencies
from primum.texts.rouge import Overlap, rouge
from primum.texts.words import sentences, words


def test_rouge_by_hand() -> None:
    found = rouge("the cat sat on the mat", "the cat lay on a mat")
    assert found.rouge1 == Overlap(4 / 6, 4 / 6)  # the, cat, on, mat
    assert found.rouge2 == Overlap(1 / 5, 1 / 5)  # the cat
    assert found.rouge_lsum == Overlap(4 / 6, 4 / 6)
    assert found.rouge1.f == pytest.approx(2 / 3)


def test_lin_2004_union_example() -> None:
    """Section 3.2: reference w1..w5, candidates "w1 w2 w6 w7 w8" and "w1 w3 w8 w9 w5": union recall 4/5."""
    found = rouge("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5").rouge_lsum
    assert found == Overlap(4 / 10, 4 / 5)


@pytest.mark.parametrize(
    ("reference", "candidate", "precision", "recall"),
    [  # figures of rouge-score 0.1.2 where the longest common subsequence is not unique
        ("c d e a c", "c f b\nd d f c", 3 / 7, 3 / 5),
        ("a a", "a c\nb a", 2 / 4, 2 / 2),
        ("d b d d e", "d a\nc b d", 3 / 5, 3 / 5),
        ("a b e a", "a c d\nb f a f", 3 / 7, 3 / 4),
    ],
)
def test_ties_are_broken_as_the_table_does(
    reference: str, candidate: str, precision: float, recall: float
) -> None:
    assert rouge(reference, candidate).rouge_lsum == Overlap(precision, recall)


@pytest.mark.parametrize(
    ("reference", "candidate", "figures"),
    [  # precision and recall of ROUGE-1, ROUGE-2 and ROUGE-Lsum as rouge-score 0.1.2 prints them
        (
            "no fever no chills\nno cough",
            "no cough\nno fever and no chills\nno rash",
            [(0.666667, 1.0), (0.5, 0.8), (0.666667, 1.0)],
        ),
        (
            "a b a c a d\nb b c",
            "b a d a c\na a b b",
            [(0.888889, 0.888889), (0.75, 0.75), (0.666667, 0.666667)],
        ),
        (
            "The patient is a 50-year-old female.\nShe denies pain.\nFollow up in 2 weeks.",
            "A 50-year-old female patient.\nFollow up in 3 weeks.\nShe has pain.",
            [(0.857143, 0.75), (0.461538, 0.4), (0.785714, 0.6875)],
        ),
    ],
)
def test_figures_of_the_usual_package(
    reference: str, candidate: str, figures: list[tuple[float, float]]
) -> None:
    found = rouge(reference, candidate)
    mine = [(o.precision, o.recall) for o in (found.rouge1, found.rouge2, found.rouge_lsum)]
    assert [pytest.approx(pair, abs=1e-6) for pair in figures] == mine


@pytest.mark.parametrize(("reference", "candidate"), [("", "a"), ("a", ""), ("", ""), ("...", "?!")])
def test_nothing_overlaps_with_nothing(reference: str, candidate: str) -> None:
    assert rouge(reference, candidate).rouge_lsum.f == 0
    assert rouge(reference, candidate).rouge1.f == 0


def test_words_and_sentences() -> None:
    assert words("Don't: 98.6 ÄÖ_x") == ["don", "t", "98", "6", "äö", "x"]
    assert words("胸痛 no") == ["胸", "痛", "no"]
    assert sentences("Seen by Dr. Who. Well.\n\nGoes home") == ["Seen by Dr. Who.", "Well.", "Goes home"]


def test_bertscore_matches_each_token_with_its_nearest() -> None:
    reference = Embedded(("a", "b"), np.array([[2.0, 0.0], [0.0, 1.0]]))
    candidate = Embedded(("a", "c"), np.array([[1.0, 0.0], [0.6, 0.8]]))
    found = bert_score(reference, candidate)
    assert (found.precision, found.recall) == pytest.approx(((1 + 0.8) / 2, (1 + 0.8) / 2))
    weights = {"a": 1.0, "b": 3.0, "c": 0.0}
    weighted = bert_score(reference, candidate, weights)
    assert (weighted.precision, weighted.recall) == pytest.approx((1.0, (1 + 3 * 0.8) / 4))


def test_bertscore_weights_rare_tokens_more() -> None:
    vectors = np.ones((1, 2))
    weights = inverse_frequencies(
        [Embedded(("a",), vectors), Embedded(("a",), vectors), Embedded(("b",), vectors)]
    )
    assert 0 < weights["a"] < weights["b"] < weights[""]


def test_bertscore_refuses_what_does_not_fit() -> None:
    good = Embedded(("a",), np.ones((1, 2)))
    assert bert_score(good, Embedded((), np.empty((0, 2)))) == Overlap(0.0, 0.0)
    for bad in (np.ones((2, 2)), np.array([[np.nan, 1.0]])):
        with pytest.raises(BadInput, match="one finite vector for each token"):
            bert_score(good, Embedded(("a",), bad))
