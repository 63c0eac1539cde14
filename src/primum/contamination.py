"""How much of a holdout's text stands in training: a benchmark that was learned from measures memory.

A holdout record is contaminated when any of its texts shares one n-gram of words with a text of training (Brown et
al. 2020, arXiv 2005.14165, appendix C: n-grams of 13 words; for shorter texts 8 is customary). That is far stricter
than the near-duplicates of `primum.duplicates`, which ask for half of the n-grams: a quoted sentence is enough. Words
are compared without case and punctuation. A text of fewer than n words counts where training holds the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from primum.config import TaskConfig
from primum.duplicates import ngrams, normalise
from primum.errors import BadInput
from primum.records import Frozen
from primum.split import Assignment


class ContaminationReport(Frozen):
    """What the holdout's texts and training have in common."""

    records: int
    """Records of the holdout."""
    contaminated: int
    """Those that share an n-gram with training."""
    by_source: dict[str, int] = {}
    """Source (site) of the holdout record -> how many of its records."""
    by_training_source: dict[str, int] = {}
    """Source (site) of the training text -> how many holdout records share an n-gram with one of its."""

    @property
    def share(self) -> float:
        """Part of the holdout's records that are contaminated; 0 where it has none."""
        return self.contaminated / self.records if self.records else 0.0


def overlapping(training: Sequence[str], holdout: Sequence[str], n: int) -> np.ndarray:
    """(len(holdout),) True where a text shares an n-gram of `n` words with any text of training."""
    ours, theirs = [normalise(text) for text in holdout], [normalise(text) for text in training]
    whole, held = set(theirs), np.concatenate([grams for _, grams in ngrams(theirs, n)])
    found = np.array([bool(text) and text in whole for text in ours], dtype=bool)
    for texts, grams in ngrams(ours, n):
        found[texts[np.isin(grams, held)]] = True
    return found


def search(training: pd.DataFrame, holdout: pd.DataFrame, task: TaskConfig, n: int) -> ContaminationReport:
    """Compare every text column of canonical training records (train and validation) with that of the holdout."""
    found = np.zeros(len(holdout), dtype=bool)
    by_training: dict[str, int] = {}
    for site, rows in training.groupby("site"):
        here = np.zeros(len(holdout), dtype=bool)
        for column in (feature.column for feature in task.features if feature.kind == "text"):
            here |= overlapping(list(rows[column]), list(holdout[column]), n)
        by_training[str(site)] = int(here.sum())
        found |= here
    counts = holdout.loc[found, "site"].value_counts()
    return ContaminationReport(
        records=len(holdout),
        contaminated=int(found.sum()),
        by_source={str(site): int(counts.get(site, 0)) for site in sorted(holdout["site"].unique())},
        by_training_source=by_training,
    )


def checked(records: pd.DataFrame, found: Assignment, task: TaskConfig) -> Assignment:
    """The assignment with what `task.split.contamination` finds among its notes; as it is where nothing is asked.

    Raises BadInput where more of the holdout is contaminated than `max_share`, unless `allow` says why it may be.
    """
    limit = task.split.contamination
    if limit is None:
        return found
    learned = records[np.isin(found.part, ["train", "validation"])]
    report = search(learned, records[found.part == "test"], task, limit.ngram)
    words = _words(report, limit.ngram)
    if report.share <= limit.max_share:
        return replace(found, notes=(*found.notes, f"contamination: {words}"))
    if limit.allow is None:
        raise BadInput(
            f"task '{task.name}': contamination: {words}; at most {limit.max_share:.1%} is allowed "
            "(split.contamination.max_share): take these texts out of training, or say why it may be so in "
            "split.contamination.allow, which stands in the evidence"
        )
    told = f"contamination above {limit.max_share:.1%} was allowed ({limit.allow}): {words}"
    return replace(found, notes=(*found.notes, told))


def _words(report: ContaminationReport, n: int) -> str:
    whole = f"{report.contaminated} of {report.records} holdout records ({report.share:.1%}) share {n} words in a row"
    if not report.contaminated:
        return f"{whole} with training"
    training = ", ".join(f"{site} {count}" for site, count in report.by_training_source.items() if count)
    judged = ", ".join(f"{site} {count}" for site, count in report.by_source.items() if count)
    return f"{whole} with training (by training source: {training}; by holdout source: {judged})"
