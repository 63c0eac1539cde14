"""The seeded generator of synthetic patient worlds.

A world is a set of named columns with a joint distribution. Conversations about its records are written by
the functions that fine-tuning uses (`render_message`, `write_standardised`), in four kinds:

- recited: a record comes back in another order, so that every value can be looked up by its name;
- stated: the question states the rule ("Is heart rate above +05?"), so that one prompt determines its answer;
- lasting: a made-up condition with one rule for the whole corpus, to be learned into the weights;
- in_context: the rule belongs to this conversation and has to be inferred from the labelled records before.
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

Kind = Literal["recited", "stated", "lasting", "in_context"]
SHARES: dict[Kind, float] = {"stated": 0.4, "lasting": 0.5, "in_context": 0.05, "recited": 0.05}
EARLY_STATED = 0.9
"""Share of stated conversations at the very start: reading numbers is what all the rest builds on."""
REFERENCE_RECORDS = 256


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
    score_question: str

    def label(self, columns: Columns, record: Record, rng: np.random.Generator) -> str:
        """The class of a record; missing values count as average."""
        noisy = self.score(columns, record) + self.noise * rng.standard_normal()
        return self.answers[int(np.searchsorted(self.cuts, noisy))]

    def score(self, columns: Columns, record: Record) -> float:
        """The standardised score of a record, without noise."""
        mean, sd = self.scale
        return (float(self._scores(columns, record.values[None])[0]) - mean) / sd

    def _scores(self, columns: Columns, values: np.ndarray) -> np.ndarray:
        effects = columns.effects(values, self.category_effects)
        a, b = self.pair
        return effects @ self.weights + self.interaction * effects[:, a] * effects[:, b]


def draw_rule(rng: np.random.Generator, columns: Columns) -> Rule:
    """A threshold, sparse or dense linear rule, at times with an interaction; prevalence .25 to .75."""
    question, score_question, answers = _hidden_question(rng)
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
        score_question=score_question,
    )
    scores = rule._scores(columns, columns.draw(rng, REFERENCE_RECORDS))
    classes = len(answers)
    shares = rng.uniform(0.25, 0.75, 1) if classes == 2 else np.arange(1, classes) / classes
    mean, sd = float(scores.mean()), max(float(scores.std()), 1e-6)
    return replace(rule, scale=(mean, sd), cuts=np.quantile((scores - mean) / sd, shares))


@dataclass(frozen=True)
class Worlds:
    """Everything that lasts through one corpus: a few record forms, each with its conditions."""

    columns: tuple[Columns, ...]
    rules: tuple[tuple[Rule, ...], ...]

    @classmethod
    def from_seed(cls, seed: int, conditions: int, per_form: int = 4) -> Worlds:
        """Draw the lasting conditions, `per_form` of them on each record form of 6 to 32 columns."""
        rng = np.random.default_rng([seed, 1])
        forms, rules = [], []
        for _ in range(max(1, conditions // per_form)):
            form = draw_columns(rng, int(rng.integers(6, 33)))
            forms.append(form)
            rules.append(tuple(draw_rule(rng, form) for _ in range(min(per_form, conditions))))
        return cls(tuple(forms), tuple(rules))

    def conversation(self, rng: np.random.Generator, hardness: float = 1.0) -> Conversation:
        """One conversation; `hardness` (0 to 1) raises the number of columns from 4 to 32."""
        early = rng.random() < EARLY_STATED * (1 - hardness)
        kind: Kind = "stated" if early else pick(rng, _KINDS)
        if kind == "recited":
            return _recited(rng, hardness)
        if kind == "lasting":
            form = int(rng.integers(len(self.columns)))
            return _lasting(rng, self.columns[form], self.rules[form])
        return _stated(rng, hardness) if kind == "stated" else _in_context(rng, hardness)

    def stream(self, seed: int, ramp: int) -> Iterator[Conversation]:
        """Conversations without end, short records first: `ramp` of them lead to full hardness.

        The same seed gives the same stream.
        """
        rng = np.random.default_rng([seed, 2])
        for i in count():
            yield self.conversation(rng, hardness=min(1.0, 0.05 + i / ramp))


_KINDS: tuple[Kind, ...] = tuple(kind for kind, share in SHARES.items() for _ in range(round(share * 100)))


def _recited(rng: np.random.Generator, hardness: float) -> Conversation:
    columns = draw_columns(rng, 2 + int(rng.integers(1, 3 + round(8 * hardness))), hardness)
    record = columns.record(rng)
    first = _turn(ask(rng, record, hardness), record)
    again = (
        _turn(ask(rng, record, hardness), record.shuffled(rng)) for _ in range(int(pick(rng, (1, 2, 3))))
    )
    return Conversation("recited", (first, *again))


def _stated(rng: np.random.Generator, hardness: float) -> Conversation:
    columns = draw_columns(rng, _count(rng, hardness), hardness)
    turns: list[Turn] = []
    for _ in range(int(pick(rng, (1, 1, 2)))):
        record = columns.record(rng)
        turns.append(_turn(ask(rng, record, hardness), record))
        turns += [_turn(ask(rng, record, hardness)) for _ in range(int(pick(rng, (0, 0, 0, 2))))]
    return Conversation("stated", tuple(turns))


def _lasting(rng: np.random.Generator, columns: Columns, rules: tuple[Rule, ...]) -> Conversation:
    """One record, asked about all its conditions in turn; at times in another order of columns."""
    record = columns.record(rng)
    shown = record.shuffled(rng) if rng.random() < 0.3 else record
    turns: list[Turn] = []
    for i in rng.permutation(len(rules)):
        asked = _hidden(rng, rules[i], columns, record, score=rng.random() < 0.5)
        turns.append(_turn(asked, None if turns else shown))
    return Conversation("lasting", tuple(turns))


def _in_context(rng: np.random.Generator, hardness: float) -> Conversation:
    columns = draw_columns(rng, int(rng.integers(1, 3 + round(4 * hardness))))
    rule = draw_rule(rng, columns)
    records = (columns.record(rng) for _ in range(int(rng.integers(4, 13))))
    turns = (_turn(_hidden(rng, rule, columns, r), r) for r in records)
    return Conversation("in_context", tuple(turns))


def _hidden(
    rng: np.random.Generator, rule: Rule, columns: Columns, record: Record, score: bool = False
) -> Asked:
    """The class of the record, or its score as a number: a denser lesson on the same rule."""
    if score:
        return Asked(rule.score_question, OPEN, write_standardised(rule.score(columns, record)))
    return Asked(rule.question, rule.answers, rule.label(columns, record, rng))


def _turn(asked: Asked, record: Record | None = None) -> Turn:
    pairs = () if record is None else record.pairs()
    return Turn(render_message(asked.question, pairs, asked.answers), asked.answer, asked.answers)


def _count(rng: np.random.Generator, hardness: float) -> int:
    """Number of columns: mostly short records, one in five long."""
    top = pick(rng, (6, 6, 10, 16, 32))
    return int(rng.integers(2, max(4, round(top * hardness)) + 1))


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
