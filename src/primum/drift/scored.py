"""Records with what a system said of them, as arrays that statistics work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from primum.config import TaskConfig
from primum.errors import BadInput
from primum.records import Predictions
from primum.stats.scores import fill_unparsed

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Records with one system's calibrated predictions, in the same order."""

    records: pd.DataFrame
    """Canonical columns: record_id, patient_id, site, time, label, then the features."""
    predictions: Predictions


@dataclass(frozen=True)
class About:
    """What the report says of itself."""

    site: str
    champion: str
    reference: str
    reference_scope: Literal["site", "pooled"]
    since: str | None
    until: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Scored records as codes: n records, K labels."""

    record_ids: NDArray[np.object_]
    patients: NDArray[np.object_]
    gold: Ints
    """(n,) class, -1 where the outcome is not known."""
    predicted: Ints
    """(n,) class, -1 = unparsed."""
    log_probs: Floats
    """(n, K), a row of NaN where the answer could not be read."""
    positive: int | None
    """Index of the positive class of a task of two."""

    @property
    def read(self) -> Bools:
        """(n,) where the answer and its probabilities could be read."""
        return (self.predicted >= 0) & ~np.isnan(self.log_probs).any(axis=1)

    @property
    def probability(self) -> Floats:
        """(n,) of the positive class; of the most probable label where there are more than two; NaN unread."""
        if self.positive is not None:
            return np.exp(self.log_probs[:, self.positive])
        return np.exp(self.log_probs.max(axis=1)) if len(self.log_probs) else np.empty(0)

    def rows(self, chosen: NDArray[Any]) -> Answers:
        """The chosen records alone."""
        return Answers(
            record_ids=self.record_ids[chosen],
            patients=self.patients[chosen],
            gold=self.gold[chosen],
            predicted=self.predicted[chosen],
            log_probs=self.log_probs[chosen],
            positive=self.positive,
        )

    def known(self) -> Answers:
        """The records whose outcome is known."""
        return self.rows(self.gold >= 0)

    def one_each(self) -> Answers:
        """One record of each patient."""
        return self.rows(one_each(self.record_ids, self.patients))


def answers(scored: Scored, task: TaskConfig) -> Answers:
    """Code them. Raises BadInput where records and predictions, or labels and task, do not fit together."""
    records, said = scored.records, scored.predictions
    if tuple(records["record_id"]) != said.record_ids:
        raise BadInput(f"'{said.system}' was scored on other records than it came with; score it again")
    if said.labels != task.labels:
        raise BadInput(f"'{said.system}' was scored with other labels than the task's; score it again")
    return Answers(
        record_ids=records["record_id"].to_numpy(dtype=object),
        patients=records["patient_id"].to_numpy(dtype=object),
        gold=codes(records["label"], task.labels),
        predicted=codes(said.predicted, task.labels),
        log_probs=fill_unparsed(said.log_probs, len(task.labels), said.system),
        positive=None if task.positive is None else task.labels.index(task.positive),
    )


def codes(values: Sequence[str] | pd.Series, labels: Sequence[str]) -> Ints:
    """(n,) place of each value in `labels`, -1 where it is none of them."""
    place = {label: code for code, label in enumerate(labels)}
    return np.array([place.get(value, -1) for value in values], dtype=np.int64)


def one_each(record_ids: NDArray[Any] | pd.Series, patients: NDArray[Any] | pd.Series) -> Ints:
    """Positions of one record of each patient, in their order; which one depends on the ids alone.

    Records of one patient are alike, and the tests of drift take records as independent.
    """
    owners = hashed(patients)
    if np.unique(owners).size == owners.size:
        return np.arange(owners.size)
    order = np.argsort(hashed(record_ids), kind="stable")
    first = np.unique(owners[order], return_index=True)[1]
    return np.sort(order[first])


def hashed(ids: NDArray[Any] | pd.Series) -> NDArray[np.uint64]:
    """(n,) 64-bit hash of each id: compared and sorted much faster than a million strings; null is ''."""
    values = np.asarray(ids, dtype=object)
    return pd.util.hash_array(np.where(pd.isna(values), "", values), categorize=False)
