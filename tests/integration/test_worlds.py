"""The synthetic worlds: one seed, one corpus; every stated answer follows from its record."""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import pytest

from primum.pretraining.lexicon import (
    BINARY_ANSWERS,
    CATEGORY_VALUES,
    MODIFIERS,
    NOUNS,
    answer_pair,
    feature_names,
)
from primum.pretraining.questions import OPEN, ask
from primum.pretraining.tables import Record, draw_columns
from primum.pretraining.tokenizer import SPECIAL_TOKENS, train_tokenizer
from primum.pretraining.worlds import WEIGHT_MEAN, Conversation, Worlds, draw_rule
from primum.prompts import NOT_RECORDED, render_message, write_standardised


def _first(seed: int, count: int = 300) -> list[Conversation]:
    return list(islice(Worlds.from_seed(seed, conditions=8).stream(seed, ramp=50), count))


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    return _first(0, 600)


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another() -> None:
    assert _first(3, 40) == _first(3, 40)
    assert _first(3, 40) != _first(4, 40)


def test_records_are_short_at_first() -> None:
    stream = Worlds.from_seed(0, 8).stream(0, ramp=100_000)
    early = [c for c in islice(stream, 300) if c.kind == "stated"]
    assert max(c.turns[0].message.count(": ") for c in early) <= 4


def test_every_kind_occurs_and_closed_answers_are_allowed_ones(conversations: list[Conversation]) -> None:
    assert {c.kind for c in conversations} == {"stated", "lasting", "in_context"}
    for turn in (turn for c in conversations for turn in c.turns):
        assert turn.message.endswith(f"Answer {' or '.join(turn.answers)}.")
        assert turn.answer in turn.answers or turn.answers == OPEN


def test_messages_have_the_form_that_the_renderer_writes(conversations: list[Conversation]) -> None:
    with_record = [t for c in conversations for t in c.turns if t.message.split("\n")[1]]
    assert len(with_record) > 500
    for turn in with_record:
        question, features, _ = turn.message.split("\n")
        pairs = [tuple(pair.split(": ", 1)) for pair in features.split("; ")]
        assert turn.message == render_message(question, pairs, turn.answers)  # type: ignore[arg-type]
        for _, value in pairs:
            number = re.fullmatch(r"[+-]\d\d", value)
            assert number or value == NOT_RECORDED or any(value in words for words in CATEGORY_VALUES)


def _values(record: Record) -> dict[str, float]:
    return {
        name: float(value)
        for name, words, value in zip(record.names, record.categories, record.values, strict=True)
        if not words and not np.isnan(value)
    }


def _truth(question: str, record: Record) -> str | None:
    """Answer a yes/no question from its text alone, independently of the generator."""
    values, text = _values(record), dict(record.pairs())
    if found := re.fullmatch(r"Is (.+) (above|below) ([+-]\d\d)\?", question):
        value, cut = values[found[1]], int(found[3]) / 10
        return "yes" if (value > cut if found[2] == "above" else value < cut) else "no"
    if found := re.fullmatch(r"Is (.+) recorded\?", question):
        return "no" if text[found[1]] == NOT_RECORDED else "yes"
    if found := re.fullmatch(r"Are (.+) and (.+) both positive\?", question):
        return "yes" if values[found[1]] > 0 and values[found[2]] > 0 else "no"
    if found := re.fullmatch(r"Is (.+) or (.+) positive\?", question):
        return "yes" if values[found[1]] > 0 or values[found[2]] > 0 else "no"
    if question.endswith(" positive?") and not question.startswith("Is the sum"):
        terms = re.split(r" (plus|minus) ", question[3 : -len(" positive?")])
        signs = [1, *(1 if word == "plus" else -1 for word in terms[1::2])]
        total = sum(sign * values[name] for sign, name in zip(signs, terms[::2], strict=True))
        return "yes" if total > 0 else "no"
    return None


def test_stated_answers_follow_from_the_record() -> None:
    rng = np.random.default_rng(5)
    checked = 0
    for _ in range(150):
        record = draw_columns(rng, 8).record(rng)
        for _ in range(8):
            asked = ask(rng, record)
            text = dict(record.pairs())
            if asked.question == "What is the mean of all?":
                assert asked.answer == write_standardised(float(np.mean(list(_values(record).values()))))
            elif asked.question.startswith("What is "):
                assert asked.answer == text[asked.question[len("What is ") : -1]]
            elif asked.question.startswith("How many"):
                missing = list(text.values()).count(NOT_RECORDED)
                assert asked.answer == ("none", "one", "two", "more")[min(missing, 3)]
            elif asked.question == "Is the sum of all positive?":
                assert asked.answer == ("yes" if sum(_values(record).values()) > 0 else "no")
            elif (truth := _truth(asked.question, record)) is not None:
                assert asked.answer == truth, asked.question
                checked += 1
    assert checked > 300


def test_written_numbers_are_standardised_and_correlated() -> None:
    rng = np.random.default_rng(2)
    spread, strongest = [], []
    for _ in range(20):
        columns = draw_columns(rng, 10)
        values = columns.draw(rng, 2000)
        numbers = [j for j, words in enumerate(columns.categories) if not words]
        spread += [np.nanstd(values[:, j]) for j in numbers]
        pair = np.ma.corrcoef(np.ma.masked_invalid(values[:, numbers]), rowvar=False)
        strongest.append(np.abs(pair - np.eye(len(numbers))).max() if len(numbers) > 1 else 0.0)
    assert 0.8 < np.median(spread) < 1.2
    assert np.median(strongest) > 0.5


def test_no_word_but_yes_means_a_high_value() -> None:
    rng = np.random.default_rng(0)
    second = [answer_pair(rng)[1] for _ in range(400)]
    assert {"benign", "malignant", "low", "high", "alive", "dead"} <= set(second)
    assert "no" not in second


def test_a_lasting_condition_weighs_words_alike_in_every_record() -> None:
    worlds = Worlds.from_seed(1, 8)
    condition = worlds.conditions[0]
    values = np.array([1.0, -2.0, np.nan, 1.0])
    record = Record(("mean radius", "age", "pulse", "sex"), ((), (), (), ("male", "female")), values)
    weigh = worlds.weights
    expected = (
        (weigh["mean"] + weigh["radius"]) / np.sqrt(2) - 2 * weigh["age"] + weigh["female"] - WEIGHT_MEAN
    )
    assert condition.score(record, weigh) == pytest.approx(expected / 2)
    made_up = Record(("velorin",), ((),), np.array([3.0]))
    assert condition.score(made_up, weigh) == 0


def test_most_words_raise_a_condition_and_labels_follow_its_sign() -> None:
    worlds = Worlds.from_seed(1, 16)
    assert 0.75 < np.mean([w > 0 for w in worlds.weights.values()]) < 0.92
    assert {c.sign for c in worlds.conditions} == {-1, 1}
    rng = np.random.default_rng(0)
    columns = draw_columns(rng, 12)
    records = [columns.record(rng) for _ in range(200)]
    for condition in worlds.conditions:
        scores = [condition.score(record, worlds.weights) for record in records]
        ranks = [condition.answers.index(condition.label(r, worlds.weights, rng)) for r in records]
        assert condition.sign * np.corrcoef(scores, ranks)[0, 1] > 0.5


def test_a_rule_of_one_conversation_keeps_its_prevalence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        columns = draw_columns(rng, 6)
        rule = draw_rule(rng, columns)
        labels = [rule.label(columns, columns.record(rng), rng) for _ in range(200)]
        assert max(labels.count(answer) for answer in rule.answers) < 0.97 * len(labels)


def test_feature_names_differ() -> None:
    rng = np.random.default_rng(0)
    assert all(len(set(feature_names(rng, 32))) == 32 for _ in range(20))
    assert len(set(NOUNS)) == len(NOUNS)
    assert len(set(MODIFIERS)) == len(MODIFIERS)


def test_tokenizer_writes_digits_one_by_one_and_any_text(conversations: list[Conversation]) -> None:
    texts = [t.message for c in conversations for t in c.turns]
    words = [word for pair in BINARY_ANSWERS for word in pair]
    tokenizer = train_tokenizer(texts + words * 20, vocab_size=900)
    assert tokenizer.get_vocab_size() == 900
    for text in ("age: +13; 2024-01 +00 63.5", "año 日本 ½ \t x\n\n  y", "yes", "", write_standardised(-9.9)):
        encoded = tokenizer.encode(text)
        assert tokenizer.decode(encoded.ids) == text
        assert not any(sum(c.isdigit() for c in token) > 1 for token in encoded.tokens)
    # Sign, digit, digit, whatever stands around them.
    assert tokenizer.encode("age: +13; yes").tokens[-5:-1] == [":Ġ+", "1", "3", ";"]
    assert tokenizer.encode("+13").tokens == ["Ġ+", "1", "3"]
    # An answer is the same tokens after a role mark, alone, and in the question.
    yes = tokenizer.encode("yes").ids
    assert len(yes) == 1
    assert tokenizer.encode("<|assistant|>yes<|end|>").ids[1:-1] == yes
    assert yes[0] in tokenizer.encode("Answer no or yes.").ids
    assert [tokenizer.token_to_id(t) for t in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
