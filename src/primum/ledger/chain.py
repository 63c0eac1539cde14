"""The chain: entries, their hashes, and what is wrong with a stored chain."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from primum.errors import BadInput
from primum.pointer import SPLIT_HASH
from primum.records import Frozen

Kind = Literal[
    "look", "exhausted", "decision", "promotion", "rollback", "override", "retirement", "rotation", "note"
]
GENESIS = "0" * 64
_quoted = json.JSONEncoder().encode
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Entries of several machines may be stamped this much out of order; more is a clock set back."""


class Entry(Frozen):
    """One line of the ledger."""

    position: int
    """1-based, without gaps."""
    time: str
    """ISO 8601, UTC."""
    kind: Kind
    task: str
    site: str
    holdout: str
    """The split version whose holdout is meant; empty where none is."""
    payload: dict[str, Any]
    previous: str
    hash: str

    def computed_hash(self) -> str:
        """SHA-256 over everything but the hash itself."""
        return digest(self.model_dump(mode="json", exclude={"hash"}))


def entry_of(row: Any) -> Entry:
    """Read a stored row. Raises ValueError when its content cannot be read."""
    return Entry.model_validate({**row._mapping, "payload": json.loads(row.payload)})


class HoldoutStatus(Frozen):
    """How far one holdout is used up."""

    task: str
    site: str
    holdout: str
    looks_used: int
    planned: int
    alpha_left: float
    rotation_due: bool
    """True when no look is left: `primum split rotate` makes the next holdout."""
    rotated: bool = False
    """True when a next holdout has been made."""

    @property
    def looks_left(self) -> int:
        """How many planned looks are not used."""
        return max(0, self.planned - self.looks_used)

    @property
    def of_split(self) -> bool:
        """Whether this is the holdout of a split version, not a name given to `primum gate`."""
        return re.fullmatch(SPLIT_HASH, self.holdout) is not None


def holdout_status(
    key: tuple[str, str, str], looks: Sequence[Entry], rotated: Container[str]
) -> HoldoutStatus:
    """Count the looks at one (task, site, holdout); `looks` holds at least one, `rotated` old holdouts."""
    task, site, holdout = key
    plan = looks[0].payload
    left = max(0, plan["planned"] - len(looks))
    return HoldoutStatus(
        task=task,
        site=site,
        holdout=holdout,
        looks_used=len(looks),
        planned=plan["planned"],
        alpha_left=plan["holdout_alpha"] * left / plan["planned"],
        rotation_due=left == 0 and holdout not in rotated,
        rotated=holdout in rotated,
    )


@dataclass
class Walk:
    """How far a chain was followed, row by row, from its beginning."""

    position: int = 0
    hash: str = GENESIS
    latest: datetime | None = None
    """Time of the last entry that could be read."""

    def follow(self, row: Any) -> list[str]:
        """Go on to the next stored row; return what is wrong with it, in words."""
        where, found = f"entry {row.position}", []
        if row.position != self.position + 1:
            found.append(f"{where}: entry {self.position + 1} is missing")
        try:
            whole, at = is_whole(row), time_of(row.time)
            back = self.latest is not None and self.latest - at > CLOCK_TOLERANCE
            back = back and not signed(row.kind, json.loads(row.payload))
        except ValueError:
            found.append(f"{where}: its content cannot be read")
        else:
            if not whole:
                found.append(f"{where}: its content was changed after it was written")
            if back:
                found.append(f"{where}: it is older than the entry before it")
            self.latest = at
        if row.previous != self.hash:
            found.append(f"{where}: not chained to the entry before it (missing, reordered or replaced)")
        self.position, self.hash = row.position, row.hash
        return found


def is_whole(row: Any) -> bool:
    """Whether a stored row's content fits its hash. Raises ValueError when its content cannot be read."""
    return row_hash(row) == row.hash or entry_of(row).computed_hash() == row.hash


def row_hash(row: Any) -> str:
    """What `Entry.computed_hash` says, from the stored text: a chain is checked as fast as it is read."""
    body = (
        f'{{"holdout":{_quoted(row.holdout)},"kind":{_quoted(row.kind)},"payload":{row.payload},'
        f'"position":{row.position},"previous":{_quoted(row.previous)},"site":{_quoted(row.site)},'
        f'"task":{_quoted(row.task)},"time":{_quoted(row.time)}}}'
    )
    return hashlib.sha256(body.encode()).hexdigest()


def signed(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether this is a note of a person who says why: the one entry that may be older than the one before.

    Without it an entry that was written by a clock far ahead would close the ledger until that day.
    """
    return kind == "note" and all(str(payload.get(key) or "").strip() for key in ("by", "why"))


def stamp(now: datetime) -> str:
    """ISO 8601 in UTC. Raises BadInput for a time without zone."""
    if now.tzinfo is None:
        raise BadInput("the ledger needs a time with its zone; pass datetime.now(UTC)")
    return now.astimezone(UTC).isoformat(timespec="microseconds")


def time_of(stamped: str) -> datetime:
    """Read a stamp back. Raises ValueError when it is none."""
    time = datetime.fromisoformat(stamped)
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time


def canonical(value: Any) -> str:
    """The one JSON text of a value. Raises BadInput for what JSON cannot hold."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError):
        raise BadInput("a ledger entry's payload must be plain JSON without NaN or infinity") from None


def digest(body: Mapping[str, Any]) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()
