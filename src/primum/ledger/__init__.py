"""The ledger: every look at a holdout and every decision, append-only, each entry chained to the one before.

A look is counted before a single prediction on the holdout is made: `reserve` takes the next number in one
transaction that no other process can share, and a crash afterwards leaves it spent. The SHA-256 of each entry
covers its content and the hash before it; the head (how many entries, the last hash) is kept beside them, so
that a changed, missing, reordered or cut-off entry is found. Who replaces the whole ledger, head included, is
found by the entry hashes that verdicts and registry versions carry: `entries(hash=...)` no longer knows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from primum.errors import BadInput, Tampered
from primum.ledger.chain import Entry, HoldoutStatus, Kind, holdout_status
from primum.ledger.database import address, lost_race, make_engine, shown, unavailable
from primum.ledger.looks import check_entry, check_plan, look_of, unfinished
from primum.ledger.store import (
    add_indexes,
    append,
    create,
    held,
    lock,
    newest_of_sites,
    select,
)
from primum.ledger.verification import follow_all, follow_on, look_at_end
from primum.records import Look

__all__ = ["Entry", "HoldoutStatus", "Kind", "Ledger"]

ATTEMPTS = 60
_indexed: set[str] = set()
"""Addresses of the ledgers whose indexes this process has seen to."""
T = TypeVar("T")


class Ledger:
    """A ledger in a SQLite file, or in a PostgreSQL or MySQL database."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._engine = make_engine(url)

    @classmethod
    def open(cls, url_or_path: str | Path, *, whole: bool = True) -> Self:
        """Open or create a ledger: a file path (SQLite) or a SQLAlchemy URL.

        `whole` follows the chain to its end, as every write does as well: whoever decides on what the ledger says
        wants that. Without it only the end of the chain is looked at, and of the entries those that are read.

        Raises BadInput for a URL that cannot be used or whose driver is not installed, Tampered when the stored
        entries do not fit their hashes or were written by another version, and Unavailable when the database
        does not answer.
        """
        url = address(url_or_path)
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(url)
        ledger._retry(create)
        ledger._index()
        with ledger._reading() as connection:
            ledger._require_sound(connection, whole=whole)
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
        resume: bool = False,
    ) -> Look:
        """Take the next look at a holdout of (task, site), before anything on it is scored.

        `alpha` is the holdout's whole alpha; the look may spend alpha / planned_looks, or 0 when all planned
        looks are spent (such a request is written down as `exhausted`). The first look fixes the plan. `records`
        is the hash of the records that it opens, by which they are known under another name.

        `resume` lets a run that was killed go on with its own look: the last look at the holdout is returned
        again where it was taken for the same candidate, records and run and no decision names it - nobody has
        seen anything of it, and the same candidate on the same records says the same. So is an `exhausted` one,
        which opened nothing. Raises BadInput when a later look comes with another plan or the clock went back,
        Tampered when the chain is broken, Unavailable when the database does not answer.
        """
        if planned_looks < 1 or not 0 < alpha < 1:
            raise BadInput(
                f"a holdout needs a planned look and 0 < alpha < 1, not {planned_looks}, {alpha:g}"
            )
        where = {"task": task, "site": site, "holdout": holdout}

        def take(connection: sa.Connection) -> Look:
            earlier = select(connection, None, kind="look", **where)
            check_plan(earlier, planned_looks, alpha)
            asked = {"candidate": candidate, "run": run, "records": records}
            if resume and (own := unfinished(connection, asked, where)):
                return own
            number = len(earlier) + 1
            kind: Kind = "exhausted" if number > planned_looks else "look"
            share = 0.0 if kind == "exhausted" else alpha / planned_looks
            payload = {
                "number": number,
                "planned": planned_looks,
                "alpha": share,
                "holdout_alpha": alpha,
                **asked,
            }
            return look_of(append(connection, now, kind=kind, payload=payload, **where))

        return self._write(take)

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
        """Append an entry of any kind but the looks, which `reserve` takes; return its hash.

        `payload` is JSON without patient text. An override needs `by` and `why`.
        """
        where = {"task": task, "site": site, "holdout": holdout}
        check_entry(kind, payload)
        return self._write(
            lambda connection: append(connection, now, kind=kind, payload=payload, **where).hash
        )

    def record_once(  # noqa: PLR0913 - an entry's columns
        self,
        kind: Kind,
        *,
        task: str,
        site: str,
        payload: Mapping[str, Any],
        now: datetime,
        holdout: str = "",
    ) -> str:
        """As `record`; where the very same was recorded before, nothing is written and its hash returned."""
        where = {"task": task, "site": site, "holdout": holdout}
        check_entry(kind, payload)

        def write(connection: sa.Connection) -> str:
            known = select(connection, None, kind=kind, **where)
            same = (entry.hash for entry in known if entry.payload == payload)
            return next(same, None) or append(connection, now, kind=kind, payload=payload, **where).hash

        return self._write(write)

    def entries(self, **where: str | Collection[str]) -> tuple[Entry, ...]:
        """All entries in order, or those whose columns (kind, task, site, holdout, hash) equal the given.

        A collection of values means one of them. Raises Tampered when an entry does not fit its hash.
        """
        return self.newest(None, **where)

    def newest(self, count: int | None, **where: str | Collection[str]) -> tuple[Entry, ...]:
        """The last `count` of those entries, in order; None: all."""
        with self._reading() as connection:
            return select(connection, count, **where)

    def last(self, **where: str | Collection[str]) -> Entry | None:
        """The last one of them."""
        return next(iter(self.newest(1, **where)), None)

    def last_of_sites(self, task: str, *kinds: Kind) -> dict[str, Entry]:
        """Site -> the newest entry of those kinds, for each site of the task that has one."""
        with self._reading() as connection:
            return {entry.site: entry for entry in newest_of_sites(connection, task, kinds)}

    def unknown(self, hashes: Collection[str]) -> set[str]:
        """Those of the hashes that no entry has."""
        with self._reading() as connection:
            return set(hashes) - held(connection, hashes)

    def looks_used(self, holdout: str, task: str | None = None, site: str | None = None) -> int:
        """How many looks at a holdout were reserved, of one task and site where given."""
        of = {"task": task, "site": site}
        where = {key: value for key, value in of.items() if value is not None}
        return len(self.entries(kind="look", holdout=holdout, **where))

    def holdouts(self) -> tuple[HoldoutStatus, ...]:
        """Every holdout that was ever opened: looks used, alpha left, whether rotation is due."""
        found: dict[tuple[str, str, str], list[Entry]] = {}
        entries = self.entries(kind=("look", "rotation"))
        rotated = {e.payload["from"] for e in entries if e.kind == "rotation"}
        for entry in (e for e in entries if e.kind == "look"):
            found.setdefault((entry.task, entry.site, entry.holdout), []).append(entry)
        return tuple(holdout_status(key, looks, rotated) for key, looks in found.items())

    def verify(self) -> tuple[str, ...]:
        """Every problem of the chain in words: changed, missing or reordered entries; none when whole."""
        with self._reading() as connection:
            return follow_all(connection)

    def _require_sound(self, connection: sa.Connection, *, whole: bool = True) -> None:
        found = follow_on(connection, str(self._url)) if whole else look_at_end(connection)
        if found:
            count = f"{len(found)} problem(s) in all"
            raise Tampered(f"ledger {self.name}: {found[0]} ({count}); restore it from a backup")

    def _index(self) -> None:
        """Make what makes reading fast, where the account may: a ledger is used without it as well."""
        if str(self._url) in _indexed:
            return
        with suppress(DBAPIError), self._engine.begin() as connection:
            add_indexes(connection)
        _indexed.add(str(self._url))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Entries and head of the same moment."""
        try:
            with self._engine.begin() as connection:
                lock(connection)
                yield connection
        except DBAPIError as error:
            raise unavailable(self._url, error) from None

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in one transaction that nobody else is in, behind a chain that is whole."""

        def guarded(connection: sa.Connection) -> T:
            lock(connection)  # before anything is counted
            self._require_sound(connection)
            return work(connection)

        return self._retry(guarded)

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
