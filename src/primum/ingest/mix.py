"""Records of several sources in stated shares: drawn by weight, seeded, none of them twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from primum.config import SourcePart
from primum.errors import BadInput
from primum.ingest.identity import sample
from primum.ingest.place import listed
from primum.split import apportion


def draw(ids: Sequence[str], parts: Sequence[SourcePart], seed: int) -> tuple[np.ndarray | None, list[str]]:
    """Positions of the ids (n,) that the parts' weights keep, ascending, and notes; None where there are no weights.

    As many records as can be had in these shares: the part that runs out first limits the total. A record is
    never drawn twice, for a copy in training only counts twice and one in the holdout falsifies its intervals.
    Ids begin with their part's prefix; which are drawn depends on the ids and the seed alone. Raises BadInput for
    a part without a record.
    """
    weighted = [part for part in parts if part.weight is not None]
    if not weighted:
        return None, []
    names = np.asarray(ids, dtype=object)
    owner = np.full(len(names), -1)
    for number, part in enumerate(weighted):
        owner[[name.startswith(part.prefix) for name in ids]] = number
    weights = np.array([part.weight for part in weighted], dtype=float)
    have = np.bincount(owner[owner >= 0], minlength=len(weighted))
    if not have.all():
        empty = weighted[int(have.argmin())].name
        raise BadInput(
            f"source.parts '{empty}': no labelled record of it is left; take it out, or its weight"
        )
    total = int(np.floor((have / weights).min() + 1e-9))
    counts = apportion(weights * total, total)
    kept = [np.flatnonzero(owner < 0)]
    for number, count in enumerate(counts):
        own = np.flatnonzero(owner == number)
        kept.append(own[sample(list(names[own]), int(count), seed)])
    return np.sort(np.concatenate(kept)), _notes(weighted, counts, have, weights)


def _notes(
    parts: Sequence[SourcePart], counts: np.ndarray, have: np.ndarray, weights: np.ndarray
) -> list[str]:
    drawn = ", ".join(
        f"{part.name} {count} of {held} (weight {part.weight:g})"
        for part, count, held in zip(parts, counts, have, strict=True)
    )
    return [f"mix: {drawn}; '{parts[int((have / weights).argmin())].name}' limits the total"]


def check_labels(labels: Mapping[str, Sequence[str | None]]) -> None:
    """Raise BadInput where two parts (name -> its distinct labels) have no label in common: those are two tasks."""
    known = {name: {label for label in found if label is not None} for name, found in labels.items()}
    known = {name: found for name, found in known.items() if found}
    first = next(iter(known), "")
    for name, found in known.items():
        if not found & known[first]:
            raise BadInput(
                f"source.parts: '{first}' is labelled {listed(sorted(known[first]))} and '{name}' "
                f"{listed(sorted(found))}, so they do not mix in one classification task; make a task of each"
            )
