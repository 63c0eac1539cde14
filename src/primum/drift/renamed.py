"""Whether a site that nobody knows is a known one under a new name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pandas as pd

NOT_COMPARED = ("record_id", "patient_id", "site", "label", "row")
ENOUGH = 0.2
"""Share of patients or rows that must be a known site's."""
ALONE = 2.0
"""Times as many as with any other site: running numbers are the same everywhere."""
LIKE = 0.8
"""Similarity of two names (difflib, Ratcliff & Obershelp)."""


def renamed(site: str, records: pd.DataFrame, known: Mapping[str, pd.DataFrame]) -> str | None:
    """Say which known site the new one seems to be, in words; None where nothing speaks for it.

    Identical rows speak loudest, then patients who were seen there before, then the name.
    """
    others = {name: frame for name, frame in known.items() if name != site and len(frame)}
    if not others or site in known:
        return None
    rows = {name: _share(_rows(records), _rows(frame)) for name, frame in others.items()}
    patients = {name: _share(records["patient_id"], frame["patient_id"]) for name, frame in others.items()}
    for shares, what in ((rows, "records"), (patients, "patients")):
        best = _leading(shares)
        if best is not None:
            return (
                f"'{site}' is not known, and {shares[best]:.0%} of its {what} are those of '{best}': "
                f"it seems to be '{best}' renamed; if so, keep the old name in the source"
            )
    near = difflib.get_close_matches(_plain(site), [_plain(name) for name in others], n=1, cutoff=LIKE)
    if not near:
        return None
    best = next(name for name in others if _plain(name) == near[0])
    return f"'{site}' is not known; did you mean '{best}'? If it was renamed, keep the old name in the source"


def _leading(shares: Mapping[str, float]) -> str | None:
    """The site with enough in common, and far more than any other."""
    first, *rest = sorted(shares, key=lambda name: -shares[name])
    alone = not rest or shares[first] >= ALONE * shares[rest[0]]
    return first if shares[first] >= ENOUGH and alone else None


def _rows(records: pd.DataFrame) -> pd.Series:
    compared = records[[c for c in sorted(records.columns) if c not in NOT_COMPARED]].astype(object)
    return pd.util.hash_pandas_object(compared, index=False)


def _share(ours: pd.Series, theirs: pd.Series) -> float:
    return float(ours.isin(set(theirs)).mean()) if len(ours) else 0.0


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
