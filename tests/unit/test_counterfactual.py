"""Age, sex and ethnicity swapped in a question, and whether the answers change with them."""

from __future__ import annotations

import numpy as np
import pytest

from primum.counterfactual import flip_rate, swap_age, swap_ethnicity, swap_sex, swap_texts
from primum.errors import BadInput
from primum.stats.paired import mcnemar_p


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("A 45-year-old woman hurt her knee.", "A 45-year-old man hurt his knee."),
        ("She says the pain woke her at night.", "He says the pain woke him at night."),
        ("The drug was given to her and she slept.", "The drug was given to him and he slept."),
        ("We saw her again.", "We saw him again."),
        ("WOMAN, 40. She injured herself.", "MAN, 40. He injured himself."),
        ("The girls were brought in; the knee is hers.", "The boys were brought in; the knee is his."),
        ("A man with gout moved his foot; it pains him.", "A woman with gout moved her foot; it pains her."),
        ("The boy lost his way home.", "The girl lost her way home."),
        ("Males are admitted.", "Females are admitted."),
        ("The patient has a fever.", "The patient has a fever."),
        ("The chest and the shell are human.", "The chest and the shell are human."),
        ("A man and a woman were admitted.", None),
        ("His or her choice.", None),
        ("Ms. Miller says that she is tired.", None),
        ("She has MS and a delay of 30 ms.", "He has MS and a delay of 30 ms."),
    ],
)
def test_sex(text: str, other: str | None) -> None:
    assert swap_sex(text) == other
    if other and other != text and "hers" not in text:
        assert swap_sex(other) == text, "a swap can be undone"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("A 45-year-old man.", "A 75-year-old man."),
        ("A 59 year old man, 59 yo.", "A 75 year old man, 75 yo."),
        ("An 82 y/o woman.", "A 45 y/o woman."),
        ("A man of 45 with a pulse of 82.", "A man of 45 with a pulse of 82."),
        ("A 12-year-old.", None),
        ("A 45-year-old man with a 20-year history.", None),
    ],
)
def test_age(text: str, other: str | None) -> None:
    assert swap_age(text) == other


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("A white man with gout.", "A Black man with gout."),
        ("An African-American patient.", "A Black patient."),
        ("A Hispanic woman passes white stool.", "A Black woman passes white stool."),
        ("Black stool for two days, white cells 9.", "Black stool for two days, white cells 9."),
        ("A black male with gout.", "A black male with gout."),
        ("A white man and an Asian woman.", None),
    ],
)
def test_ethnicity(text: str, other: str | None) -> None:
    assert swap_ethnicity(text, "Black") == other


@pytest.mark.parametrize(
    "medicine",
    ["is pregnant", "has an ovarian cyst", "asks for a Pap smear", "has uterine bleeding", "has cervical cancer",
     "no longer menstruates", "G2P1", "gave birth", "has testicular pain", "has an enlarged prostate"],
)  # fmt: skip
def test_a_swap_that_would_change_the_medicine_is_left_out_and_counted(medicine: str) -> None:
    found = swap_texts(
        [f"The woman {medicine}.", "The woman coughs.", "A cough.", "He and she cough."], "sex"
    )
    assert (found.index, found.texts) == ((1,), ("The man coughs.",))
    assert (found.silent, found.bound) == (1, 2)


def test_every_text_is_counted_once() -> None:
    texts = [
        "A 30-year-old man.",
        "A 30-year-old child.",
        "A man.",
        "A 30-year-old Asian woman who is pregnant.",
    ]
    for attribute in ("age", "sex", "ethnicity"):
        found = swap_texts(texts, attribute)  # type: ignore[arg-type]
        assert len(found.index) + found.silent + found.bound == len(texts)
    assert swap_texts(texts, "age").bound == 2
    assert swap_texts(texts, "ethnicity", to="White").texts == ("A 30-year-old White woman who is pregnant.",)
    with pytest.raises(BadInput, match="unknown attribute 'name'; known: sex, age, ethnicity"):
        swap_texts(texts, "name")  # type: ignore[arg-type]


def test_flip_rate_with_its_exact_interval_and_mcnemar() -> None:
    n = 100
    gold = ["A"] * n
    original = ["A"] * 80 + ["B"] * 20
    swapped = ["A"] * 70 + ["B"] * 28 + ["A"] * 2
    found = flip_rate(original, swapped, np.arange(n), gold)
    assert (found.records, found.flips, found.rate) == (100, 12, 0.12)
    assert (found.lower, found.upper) == pytest.approx(
        (0.0636, 0.2002), abs=1e-3
    )  # Clopper-Pearson 12 of 100
    assert (found.won, found.lost, found.p) == (2, 10, mcnemar_p(2, 10))


def test_patients_are_the_unit() -> None:
    original, swapped = ["A"] * 40, (["B"] + ["A"] * 9) * 4
    alone = flip_rate(original, ["B"] * 20 + ["A"] * 20, np.arange(40))
    tied = flip_rate(original, ["B"] * 20 + ["A"] * 20, np.repeat(np.arange(4), 10))
    assert tied.upper - tied.lower > alone.upper - alone.lower
    assert flip_rate(original, original, np.arange(40)).lower == 0
    assert flip_rate(original, swapped, np.arange(40)).p is None
    with pytest.raises(BadInput, match="one entry per record"):
        flip_rate(original, swapped[1:], np.arange(40))
    with pytest.raises(BadInput, match="no records"):
        flip_rate([], [], np.arange(0))
