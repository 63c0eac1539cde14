"""The seeded generator of synthetic patient worlds.

A world is a set of named columns with a joint distribution. Conversations about its records are written by
the functions that fine-tuning uses (`render_message`, `write_standardised`), in three kinds:

- stated: the question states the rule ("Is heart rate above +05?"), so that one prompt determines its answer;
- lasting: a made-up condition that lasts through the corpus. Every word of the lexicon raises it by a weight of
  its own, drawn at random, so a record is a weighted sum that the model learns to form;
- in_context: the rule belongs to this conversation and has to be inferred from the labelled records before.

Most weights are positive. That is no knowledge about any disease, but what makes the sum learnable: were they
balanced, value, word and answer would form a parity, of which no part alone tells anything (decision 0007).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, NamedTuple

import numpy as np

from primum.pretraining import lexicon
from primum.pretraining.lexicon import pick
from primum.pretraining.questions import OPEN, Asked, ask
from primum.pretraining.tables import Columns, Record, draw_columns
from primum.prompts import render_message, write_standardised

Kind = Literal["stated", "lasting", "in_context"]
SHARES: dict[Kind, float] = {"stated": 0.3, "lasting": 0.65, "in_context": 0.05}
REFERENCE_RECORDS = 256
WEIGHT_MEAN, WEIGHT_SD = 0.6, 0.6
"""Of the words' weights: one in six is negative."""
LASTING_WIDTHS = (4, 8, 16, 32, 32)
"""Most columns of a lasting conversation's records; one of these, all equally likely."""
STATED_WIDTHS = (6, 6, 10, 16, 32)
LASTING_COLUMNS = 20
"""Columns of a lasting conversation in all: many short records, or one long."""


class Turn(NamedTuple):
    """One user message and the right answer to it."""

    message: str
    answer: str
    answers: tuple[str, ...]
    """What the message allowed; a single entry stands for an open answer."""


class Conversation(NamedTuple):
    """Turns about one world."""

    kind: Kind
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Rule:
    """A hidden rule: a noisy score of a record, cut into classes."""

    weights: np.ndarray
    """(columns,); 0 for columns that do not matter."""
    category_effects: np.ndarray
    """(columns, categories)"""
    pair: tuple[int, int]
    interaction: float
    """Weight of the product of the two columns of `pair`."""
    noise: float
    cuts: np.ndarray
    """(classes - 1,) ascending"""
    scale: tuple[float, float]
    """Mean and standard deviation of the score."""
    answers: tuple[str, ...]
    question: str

    def label(self, columns: Columns, record: Record, rng: np.random.Generator) -> str:
        """The class of a record; missing values count as average."""
        mean, sd = self.scale
        score = (float(self._scores(columns, record.values[None])[0]) - mean) / sd
        return self.answers[int(np.searchsorted(self.cuts, score + self.noise * rng.standard_normal()))]

    def _scores(self, columns: Columns, values: np.ndarray) -> np.ndarray:
        effects = columns.effects(values, self.category_effects)
        a, b = self.pair
        return effects @ self.weights + self.interaction * effects[:, a] * effects[:, b]


@dataclass(frozen=True)
class Condition:
    """A made-up condition with a rule for any record: the words of its columns say what a value weighs."""

    sign: int
    """-1: high scores get the first answer."""
    shift: float
    noise: float
    """Standard deviation of what the score does not explain."""
    answers: tuple[str, ...]
    question: str
    score_question: str

    def score(self, record: Record, weights: dict[str, float]) -> float:
        """Sum of the values, each weighed by its words, over the root of their number."""
        terms = [_term(record, j, weights) for j in range(len(record.names))]
        return float(np.sum(terms)) / np.sqrt(len(terms))

    def label(self, record: Record, weights: dict[str, float], rng: np.random.Generator) -> str:
        """The class: the score with noise, cut at zero or, of several classes, evenly between -1 and 1."""
        noisy = self.sign * self.score(record, weights) + self.shift + self.noise * rng.standard_normal()
        classes = len(self.answers)
        cuts = (np.arange(1, classes) - classes / 2) * 2 / classes
        return self.answers[int(np.searchsorted(cuts, noisy))]


def _term(record: Record, j: int, weights: dict[str, float]) -> float:
    """What column j adds: a number times the weight of its name, or the weight of a category's word."""
    value = float(record.values[j])
    if np.isnan(value):
        return 0.0
    if record.categories[j]:
        return weights[record.categories[j][int(value)]] - WEIGHT_MEAN
    known = [weights[word] for word in record.names[j].split() if word in weights]
    return value * float(np.sum(known)) / np.sqrt(len(known)) if known else 0.0


def draw_condition(rng: np.random.Generator) -> Condition:
    """A condition with two classes or with ordered ones."""
    question, score_question, answers = _hidden_question(rng)
    return Condition(
        sign=int(rng.choice((-1, 1))),
        shift=float(rng.uniform(-0.3, 0.3)),
        noise=float(pick(rng, (0.0, 0.1))),
        answers=answers,
        question=question,
        score_question=score_question,
    )


def draw_rule(rng: np.random.Generator, columns: Columns) -> Rule:
    """A threshold, sparse or dense linear rule, at times with an interaction; prevalence .25 to .75."""
    question, _, answers = _hidden_question(rng)
    width = len(columns.names)
    relevant = min(width, int(pick(rng, (1, 2, 3, 4, 6, 10, width))))
    weights = np.zeros(width)
    chosen = rng.permutation(width)[:relevant]
    weights[chosen] = rng.choice((-1.0, 1.0), relevant) * rng.uniform(0.4, 1.2, relevant)
    if relevant > 3 and rng.random() < 0.5:
        weights = np.abs(weights)
    weights /= np.linalg.norm(weights)
    rule = Rule(
        weights=weights,
        category_effects=rng.uniform(-1.3, 1.3, (width, 4)),
        pair=(int(chosen[0]), int(chosen[-1])),
        interaction=float(rng.uniform(-1, 1)) if relevant > 1 and rng.random() < 0.25 else 0.0,
        noise=float(pick(rng, (0.0, 0.1, 0.3))),
        cuts=np.zeros(len(answers) - 1),
        scale=(0.0, 1.0),
        answers=answers,
        question=question,
    )
    classes = len(answers)
    shares = rng.uniform(0.25, 0.75, 1) if classes == 2 else np.arange(1, classes) / classes
    scores = rule._scores(columns, columns.draw(rng, REFERENCE_RECORDS))
    mean, sd = float(scores.mean()), max(float(scores.std()), 1e-6)
    return replace(rule, scale=(mean, sd), cuts=np.quantile((scores - mean) / sd, shares))


@dataclass(frozen=True)
class Worlds:
    """Everything that lasts through one corpus: what each word weighs, and the conditions."""

    weights: dict[str, float]
    """Word of the lexicon -> its weight in every lasting condition."""
    conditions: tuple[Condition, ...]

    @classmethod
    def from_seed(cls, seed: int, conditions: int) -> Worlds:
        """Draw the words' weights and the lasting conditions."""
        rng = np.random.default_rng([seed, 1])
        words = sorted({*lexicon.NOUNS, *lexicon.MODIFIERS, *(w for v in lexicon.CATEGORY_VALUES for w in v)})
        weights = {word: float(rng.normal(WEIGHT_MEAN, WEIGHT_SD)) for word in words}
        return cls(weights, tuple(draw_condition(rng) for _ in range(conditions)))

    def conversation(self, rng: np.random.Generator, hardness: float = 1.0) -> Conversation:
        """One conversation; `hardness` (0 to 1) raises the number of columns to 32."""
        kind = pick(rng, _KINDS)
        if kind == "lasting":
            return self._lasting(rng, hardness)
        return _stated(rng, hardness) if kind == "stated" else _in_context(rng, hardness)

    def _lasting(self, rng: np.random.Generator, hardness: float) -> Conversation:
        """Labelled records of one world and one lasting condition: many short ones, or few long ones."""
        condition = pick(rng, self.conditions)
        columns = draw_columns(rng, _count(rng, LASTING_WIDTHS, hardness), hardness)
        turns: list[Turn] = []
        for _ in range(min(12, max(1, round(LASTING_COLUMNS / len(columns.names))))):
            record = columns.record(rng)
            turns += self._judged(rng, condition, record)
        return Conversation("lasting", tuple(turns))

    def _judged(self, rng: np.random.Generator, condition: Condition, record: Record) -> list[Turn]:
        written = write_standardised(condition.score(record, self.weights))
        score = Asked(condition.score_question, OPEN, written)
        label = Asked(condition.question, condition.answers, condition.label(record, self.weights, rng))
        first, second = (score, label) if rng.random() < 0.5 else (label, score)
        return [_turn(first, record), *([_turn(second)] if rng.random() < 0.3 else [])]

    def stream(self, seed: int, ramp: int) -> Iterator[Conversation]:
        """Conversations without end, short records first: `ramp` of them lead to full hardness.

        The same seed gives the same stream.
        """
        rng = np.random.default_rng([seed, 2])
        for i in count():
            yield self.conversation(rng, hardness=min(1.0, 0.05 + i / ramp))


_KINDS: tuple[Kind, ...] = tuple(kind for kind, share in SHARES.items() for _ in range(round(share * 100)))


def _stated(rng: np.random.Generator, hardness: float) -> Conversation:
    columns = draw_columns(rng, _count(rng, STATED_WIDTHS, hardness), hardness)
    turns: list[Turn] = []
    for _ in range(int(pick(rng, (1, 1, 2)))):
        record = columns.record(rng)
        turns.append(_turn(ask(rng, record, hardness), record))
        turns += [_turn(ask(rng, record, hardness)) for _ in range(int(pick(rng, (0, 0, 0, 2))))]
    return Conversation("stated", tuple(turns))


def _in_context(rng: np.random.Generator, hardness: float) -> Conversation:
    columns = draw_columns(rng, int(rng.integers(1, 3 + round(4 * hardness))), hardness)
    rule = draw_rule(rng, columns)
    records = [columns.record(rng) for _ in range(int(rng.integers(4, 13)))]
    labelled = ((Asked(rule.question, rule.answers, rule.label(columns, r, rng)), r) for r in records)
    return Conversation("in_context", tuple(_turn(asked, record) for asked, record in labelled))


def _turn(asked: Asked, record: Record | None = None) -> Turn:
    pairs = () if record is None else record.pairs()
    return Turn(render_message(asked.question, pairs, asked.answers), asked.answer, asked.answers)


def _count(rng: np.random.Generator, widths: tuple[int, ...], hardness: float) -> int:
    """Number of columns: one or two at first, then any up to one of the widths."""
    return int(rng.integers(1, max(2, round(pick(rng, widths) * hardness)) + 1))


def _hidden_question(rng: np.random.Generator) -> tuple[str, str, tuple[str, ...]]:
    """Question after the class, question after the score, and the classes."""
    name, subject = lexicon.made_up(rng), pick(rng, lexicon.SUBJECTS)
    score = f"What is the {name} score of the {subject}?"
    if rng.random() < 0.15:
        return f"How is the {name} of the {subject}?", score, pick(rng, lexicon.ORDERED_ANSWERS)
    answers = lexicon.answer_pair(rng)
    if rng.random() < 0.15:
        answers = (lexicon.made_up(rng), lexicon.made_up(rng))
    questions = (
        f"Does the {subject} have {name}?",
        f"Is the {subject} {answers[1]} for {name}?",
        f"Is the {subject} {answers[1]} after {name}?",
        f"Will {name} of the {subject} be {answers[1]} or {answers[0]}?",
    )
    return pick(rng, questions), score, answers
