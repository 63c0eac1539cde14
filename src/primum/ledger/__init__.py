"""The ledger: every look at a holdout and every decision, append-only, each entry chained to the one before.

A look is counted before a single prediction on the holdout is made: `reserve` takes the next number in one
transaction that no other process can share, and a crash afterwards leaves it spent. The SHA-256 of each entry
covers its content and the hash before it; the head (how many entries, the last hash) is kept beside them, so
that a changed, missing, reordered or cut-off entry is found. Who replaces the whole ledger, head included, is
found by the entry hashes that verdicts and registry versions carry: `entries(hash=...)` no longer knows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from primum.errors import BadInput, Tampered
from primum.ledger.chain import Entry, HoldoutStatus, Kind, holdout_status, problems
from primum.ledger.database import address, lost_race, make_engine, shown, unavailable
from primum.ledger.store import ENTRIES, HEAD, VERSION, append, create, lock, select
from primum.records import Look

__all__ = ["Entry", "HoldoutStatus", "Kind", "Ledger"]

ATTEMPTS = 60
T = TypeVar("T")


class Ledger:
    """A ledger in a SQLite file, or in a PostgreSQL or MySQL database."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._engine = make_engine(url)

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """Open or create a ledger: a file path (SQLite) or a SQLAlchemy URL.

        Raises BadInput for a URL that cannot be used or whose driver is not installed, Tampered when the stored
        entries do not fit their hashes or were written by another version, and Unavailable when the database
        does not answer.
        """
        url = address(url_or_path)
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(url)
        ledger._retry(create)
        found = ledger.verify()
        if found:
            count = f"{len(found)} problem(s) in all"
            raise Tampered(f"ledger {ledger.name}: {found[0]} ({count}); restore it from a backup")
        return ledger

    @property
    def name(self) -> str:
        """Where the ledger lies, without user and password."""
        return shown(self._url)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def reserve(  # noqa: PLR0913 - the contract of the design
        self,
        *,
        task: str,
        site: str,
        holdout: str,
        candidate: str,
        planned_looks: int,
        alpha: float,
        now: datetime,
        run: str,
        records: str = "",
    ) -> Look:
        """Take the next look at a holdout of (task, site), before anything on it is scored.

        `alpha` is the holdout's whole alpha; the look may spend alpha / planned_looks, or 0 when all planned
        looks are spent (such a request is written down as `exhausted`). The first look fixes the plan. `records`
        is the hash of the records that it opens, by which they are known under another name. Raises
        BadInput when a later look comes with another plan or the clock went back, Unavailable when the
        database does not answer.
        """
        if planned_looks < 1 or not 0 < alpha < 1:
            raise BadInput(
                f"a holdout needs a planned look and 0 < alpha < 1, not {planned_looks}, {alpha:g}"
            )
        where = {"task": task, "site": site, "holdout": holdout}

        def take(connection: sa.Connection) -> Look:
            lock(connection)  # before the looks are counted
            earlier = select(connection, kind="look", **where)
            _check_plan(earlier, planned_looks, alpha)
            number = len(earlier) + 1
            kind: Kind = "exhausted" if number > planned_looks else "look"
            share = 0.0 if kind == "exhausted" else alpha / planned_looks
            payload = {
                "number": number,
                "planned": planned_looks,
                "alpha": share,
                "holdout_alpha": alpha,
                "candidate": candidate,
                "run": run,
                "records": records,
            }
            entry = append(connection, now, kind=kind, payload=payload, **where)
            return Look(
                holdout=holdout, number=number, planned=planned_looks, alpha=share, entry_hash=entry.hash
            )

        return self._retry(take)

    def record(  # noqa: PLR0913 - an entry's columns
        self,
        kind: Kind,
        *,
        task: str,
        site: str,
        payload: Mapping[str, Any],
        now: datetime,
        holdout: str = "",
    ) -> str:
        """Append a decision, promotion, rollback, override, rotation or note; return the entry's hash.

        `payload` is JSON without patient text. An override needs `by` and `why`. Looks are taken by
        `reserve`.
        """
        if kind in ("look", "exhausted") or kind not in get_args(Kind):
            known = "decision, promotion, rollback, override, rotation, note"
            raise BadInput(f"'{kind}' cannot be recorded; use one of {known}")
        if kind == "override" and not all(str(payload.get(key) or "").strip() for key in ("by", "why")):
            raise BadInput("an override needs `by` (a person) and `why`; give both")
        return self._retry(
            lambda connection: (
                append(
                    connection, now, kind=kind, task=task, site=site, holdout=holdout, payload=payload
                ).hash
            )
        )

    def entries(self, **where: str) -> tuple[Entry, ...]:
        """All entries in order, or those whose columns (kind, task, site, holdout, hash) equal the given."""
        with self._reading() as connection:
            return select(connection, **where)

    def looks_used(self, holdout: str, task: str | None = None, site: str | None = None) -> int:
        """How many looks at a holdout were reserved, of one task and site where given."""
        where = {"kind": "look", "holdout": holdout, "task": task, "site": site}
        return len(self.entries(**{key: value for key, value in where.items() if value is not None}))

    def holdouts(self) -> tuple[HoldoutStatus, ...]:
        """Every holdout that was ever opened: looks used, alpha left, whether rotation is due."""
        found: dict[tuple[str, str, str], list[Entry]] = {}
        entries = self.entries()
        rotated = {e.payload["from"] for e in entries if e.kind == "rotation"}
        for entry in (e for e in entries if e.kind == "look"):
            found.setdefault((entry.task, entry.site, entry.holdout), []).append(entry)
        return tuple(holdout_status(key, looks, rotated) for key, looks in found.items())

    def verify(self) -> tuple[str, ...]:
        """Every problem of the chain in words: changed, missing or reordered entries; none when whole."""
        with self._reading() as connection:
            head = connection.execute(sa.select(HEAD)).one_or_none()
            rows = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.position)).all()
        if head is None or head.version != VERSION:
            found = "none" if head is None else head.version
            return (f"it has version {found} and this Primum reads version {VERSION}",)
        return tuple(problems(rows, head.entries, head.hash))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Entries and head of the same moment."""
        try:
            with self._engine.begin() as connection:
                lock(connection)
                yield connection
        except DBAPIError as error:
            raise unavailable(self._url, error) from None

    def _retry(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction; again when another process was faster at the same position."""
        for attempt in range(ATTEMPTS):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if attempt == ATTEMPTS - 1 or not lost_race(error):
                    raise unavailable(self._url, error) from None
                time.sleep(min(0.5, 0.01 * (attempt + 1)))
        raise AssertionError("unreachable")


def _check_plan(earlier: tuple[Entry, ...], planned: int, alpha: float) -> None:
    if not earlier:
        return
    first = earlier[0].payload
    if (first["planned"], first["holdout_alpha"]) != (planned, alpha):
        was = f"{first['planned']} looks at alpha {first['holdout_alpha']:g}"
        raise BadInput(
            f"this holdout was opened under {was}; keep that plan (not {planned} looks at {alpha:g}) "
            "until the next holdout"
        )
