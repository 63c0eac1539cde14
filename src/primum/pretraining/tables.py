"""Columns with a joint distribution, and the records drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from primum.pretraining.lexicon import CATEGORY_VALUES, feature_names, pick
from primum.prompts import NOT_RECORDED, write_standardised

STANDARDISING_RECORDS = 256
_FACTOR_SCALES = tuple(np.power(decay, range(4)) for decay in (0.2, 0.5, 0.9))
"""How much each of the four latent factors weighs: one that rules all columns, or several."""


@dataclass(frozen=True)
class Record:
    """One patient: `values[j]` is a z-score in tenths, a category's number, or NaN (not recorded)."""

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    """Per column the words of its categories; empty for a number."""
    values: np.ndarray

    def text(self, j: int) -> str:
        """The value of column j as the renderer writes it."""
        value = float(self.values[j])
        if np.isnan(value):
            return NOT_RECORDED
        return self.categories[j][int(value)] if self.categories[j] else write_standardised(value)

    def pairs(self) -> list[tuple[str, str]]:
        """Name and written value of every column."""
        return [(name, self.text(j)) for j, name in enumerate(self.names)]

    def shuffled(self, rng: np.random.Generator) -> Record:
        """The same record with its columns in another order."""
        order = rng.permutation(len(self.names))
        return Record(
            tuple(self.names[j] for j in order), tuple(self.categories[j] for j in order), self.values[order]
        )


@dataclass(frozen=True)
class Columns:
    """Named columns that share latent factors: correlated, partly skewed or stepped, partly categories."""

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    loadings: np.ndarray
    """(columns, factors); each row has a norm below 1, the rest of the unit variance is its own."""
    skew: np.ndarray
    """(columns,) 0: normal; above 0: log-normal."""
    step: np.ndarray
    """(columns,) 0: continuous; otherwise the latent value is rounded to multiples of it."""
    missing: np.ndarray
    """(columns,) probability of a value that is not recorded."""
    mean: np.ndarray
    sd: np.ndarray

    def draw(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """Values (rows, columns), standardised where they are numbers."""
        factors = rng.standard_normal((rows, self.loadings.shape[1]))
        own = np.sqrt(1 - (self.loadings**2).sum(axis=1))
        latent = factors @ self.loadings.T + own * rng.standard_normal((rows, len(self.names)))
        values = (_bend(latent, self.skew, self.step) - self.mean) / self.sd
        for j, words in enumerate(self.categories):
            if words:
                values[:, j] = np.clip(np.floor((latent[:, j] + 1.5) / 3 * len(words)), 0, len(words) - 1)
        values[rng.random(values.shape) < self.missing] = np.nan
        return values

    def record(self, rng: np.random.Generator) -> Record:
        """One record, its numbers rounded to the tenths that the renderer writes."""
        values = self.draw(rng, 1)[0]
        return Record(self.names, self.categories, np.clip(np.round(values, 1), -9.9, 9.9))

    def effects(self, values: np.ndarray, category_effects: np.ndarray) -> np.ndarray:
        """Values (rows, columns) as numbers to weigh: `category_effects` (columns, categories) for words."""
        effects = np.nan_to_num(values, nan=0.0)
        for j, words in enumerate(self.categories):
            if words:
                known = ~np.isnan(values[:, j])
                effects[known, j] = category_effects[j, values[known, j].astype(int)]
        return effects


def draw_columns(rng: np.random.Generator, count: int, hardness: float = 1.0) -> Columns:
    """`count` columns of a random world; one in ten is a category, in three worlds of ten more than half."""
    share = 0.6 if rng.random() < 0.3 else 0.1
    categories = tuple(pick(rng, CATEGORY_VALUES) if rng.random() < share else () for _ in range(count))
    loadings = rng.standard_normal((count, 4)) * pick(rng, _FACTOR_SCALES)
    if rng.random() < 0.5:
        loadings = np.abs(loadings)  # sizes and severities grow together
    communality = rng.uniform(pick(rng, (0.0, 0.7)), 0.98, (count, 1))
    loadings *= communality / np.linalg.norm(loadings, axis=1, keepdims=True)
    skew = np.where(rng.random(count) < 0.4, rng.uniform(0.2, 1.0, count), 0.0)
    step = np.where(rng.random(count) < 0.15, rng.uniform(0.4, 2.0, count), 0.0)
    missing = np.where(rng.random(count) < 0.25, rng.uniform(0.0, 0.5, count), 0.0)
    reference = _bend(rng.standard_normal((STANDARDISING_RECORDS, count)), skew, step)
    sd = reference.std(axis=0)
    return Columns(
        names=feature_names(rng, count, hardness),
        categories=categories,
        loadings=loadings,
        skew=skew,
        step=step,
        missing=missing if rng.random() < 0.6 else np.zeros(count),
        mean=reference.mean(axis=0),
        sd=np.where(sd > 0, sd, 1.0),
    )


def _bend(latent: np.ndarray, skew: np.ndarray, step: np.ndarray) -> np.ndarray:
    stepped = np.where(step > 0, np.round(latent / np.where(step > 0, step, 1.0)) * step, latent)
    return np.where(skew > 0, np.expm1(skew * stepped) / np.where(skew > 0, skew, 1.0), stepped)
