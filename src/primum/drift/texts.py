"""Free texts by numbers: length, words that the reference does not know, and language.

Evidently's own text drift trains a classifier on the words, which fails on narrow clinical text; the numbers
below are tested as any other column is, and say in words what changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.config import DriftConfig
from primum.drift.columns import Column
from primum.drift.comparison import Comparison
from primum.drift.evidently_tests import Pair
from primum.drift.inputs import MIN_RECORDED, categories, numbers
from primum.drift.languages import KNOWN, language
from primum.duplicates import normalise

MOST = 20_000
"""Texts of each side that are looked at, drawn at random."""


@dataclass(frozen=True)
class Described:
    """What was measured of the texts on both sides."""

    length: tuple[NDArray[Any], NDArray[Any]]
    """Words."""
    unknown: tuple[NDArray[Any], NDArray[Any]]
    """Share of the words that the vocabulary lacks: of the half of the reference that did not make it, and
    of the window."""
    language: tuple[NDArray[Any], NDArray[Any]]


def describe(column: Column) -> Described | None:
    """Measure the column's texts; None where a side has too few.

    The vocabulary is that of one half of the reference, and the other half is what the window is compared
    with: a reference text knows all of its own words, and the same text in the window would look foreign.
    """
    reference, current = (_words(side) for side in column.recorded())
    if min(len(reference), len(current)) < 2 * MIN_RECORDED:
        return None
    vocabulary = {word for text in reference[::2] for word in text}
    held = reference[1::2]
    return Described(
        length=(_lengths(reference), _lengths(current)),
        unknown=(_unknown(held, vocabulary), _unknown(current, vocabulary)),
        language=(_languages(reference), _languages(current)),
    )


def texts(column: Column, found: Described, config: DriftConfig) -> list[Comparison]:
    """Compare what was measured."""
    name = column.name
    compared = (
        numbers(f"{name}: words", *found.length, config, "text"),
        numbers(f"{name}: share of unknown words", *found.unknown, config, "text"),
        categories(f"{name}: language", *found.language, config, "text", KNOWN),
    )
    return [comparison for comparison in compared if comparison is not None]


def pairs(column: Column, found: Described) -> list[Pair]:
    """What was measured, for Evidently's page."""
    return [
        Pair(f"{column.name}: words", "number", *found.length),
        Pair(f"{column.name}: share of unknown words", "number", *found.unknown),
        Pair(f"{column.name}: language", "category", *found.language),
    ]


def _words(texts: NDArray[Any]) -> list[list[str]]:
    """The words of each text, in an order that is random and yet the same whatever the order of the rows."""
    ordered = np.sort(texts)[np.random.default_rng(0).permutation(texts.size)]
    return [normalise(text).split() for text in ordered[:MOST]]


def _lengths(texts: Sequence[Sequence[str]]) -> NDArray[Any]:
    return np.array([len(text) for text in texts], dtype=float)


def _unknown(texts: Sequence[Sequence[str]], vocabulary: set[str]) -> NDArray[Any]:
    return np.array([sum(word not in vocabulary for word in text) / max(1, len(text)) for text in texts])


def _languages(texts: Sequence[Sequence[str]]) -> NDArray[Any]:
    return np.array([language(text) for text in texts], dtype=object)
