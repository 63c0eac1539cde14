"""The tables of the ledger, and how an entry gets into them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from primum.errors import BadInput, Tampered
from primum.ledger.chain import (
    CLOCK_TOLERANCE,
    GENESIS,
    Entry,
    Kind,
    canonical,
    digest,
    entry_of,
    is_whole,
    signed,
    stamp,
    time_of,
)

VERSION = "1"

EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
"""MySQL's own defaults may lack transactions, and hold `H1` and `h1` for one holdout."""

SCHEMA = sa.MetaData()
ENTRIES = sa.Table(
    "primum_ledger",
    SCHEMA,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("task", sa.String(128), nullable=False),
    sa.Column("site", sa.String(255), nullable=False),
    sa.Column("holdout", sa.String(128), nullable=False),
    sa.Column("payload", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"), nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    **EXACT,
)
HEAD = sa.Table(
    "primum_ledger_head",
    SCHEMA,
    sa.Column("version", sa.String(16), primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    **EXACT,
)
INDEXES = (
    sa.Index("primum_ledger_by_site", ENTRIES.c.task, ENTRIES.c.site, ENTRIES.c.kind, ENTRIES.c.position),
    sa.Index("primum_ledger_by_holdout", ENTRIES.c.holdout, ENTRIES.c.kind, ENTRIES.c.position),
)
"""They make reading fast and hold nothing of their own: a ledger without them is as whole."""
MESSAGE = "the ledger is append-only"
GUARDS: dict[str, tuple[list[str], list[str]]] = {
    "sqlite": (
        [],
        [
            f"CREATE TRIGGER IF NOT EXISTS primum_ledger_no_{verb.lower()} BEFORE {verb} ON primum_ledger "
            f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
            for verb in ("UPDATE", "DELETE")
        ],
    ),
    "mysql": (
        [],
        [
            f"CREATE TRIGGER IF NOT EXISTS primum_ledger_no_{verb.lower()} BEFORE {verb} ON primum_ledger "
            f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{MESSAGE}'"
            for verb in ("UPDATE", "DELETE")
        ],
    ),
    "postgresql": (
        ["SELECT pg_advisory_xact_lock(1886546285)"],  # here two first starts would trip over each other
        [
            "CREATE OR REPLACE FUNCTION primum_ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$",
            "DROP TRIGGER IF EXISTS primum_ledger_append_only ON primum_ledger",
            "CREATE TRIGGER primum_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON primum_ledger "
            "FOR EACH STATEMENT EXECUTE FUNCTION primum_ledger_append_only()",
        ],
    ),
}
"""Dialect -> what comes before and after the tables: the database itself refuses to change what is written."""


def create(connection: sa.Connection) -> None:
    """Make what is absent, the head's row last: it says that the rest is there.

    A database that holds a ledger is only read, so that an account without the right to make tables can use it.
    """
    known = sa.inspect(connection)
    if known.has_table(ENTRIES.name) and known.has_table(HEAD.name) and _head(connection) is not None:
        return
    before, after = GUARDS[connection.dialect.name]
    for statement in before:
        connection.execute(sa.text(statement))
    for table in (ENTRIES, HEAD):
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    for statement in after:
        connection.execute(sa.text(statement))
    empty = connection.execute(sa.select(sa.func.count()).select_from(ENTRIES)).scalar_one() == 0
    if empty and _head(connection) is None:
        connection.execute(sa.insert(HEAD).values(version=VERSION, entries=0, hash=GENESIS))


def lock(connection: sa.Connection) -> None:
    """Hold the head until the transaction ends: who comes next reads what this one has written."""
    _head(connection, lock=True)  # on SQLite the transaction itself holds the file


def _head(connection: sa.Connection, *, lock: bool = False) -> Any:
    query = sa.select(HEAD)
    return connection.execute(query.with_for_update() if lock else query).first()


def add_indexes(connection: sa.Connection) -> None:
    """Make the indexes that an earlier version did not make. Raises DBAPIError where the account may not."""
    present = {found["name"] for found in sa.inspect(connection).get_indexes(ENTRIES.name)}
    for index in INDEXES:
        if index.name not in present:
            connection.execute(sa.schema.CreateIndex(index))


def rows_after(connection: sa.Connection, position: int) -> sa.CursorResult[Any]:
    """The rows behind a position, in order, as they come."""
    query = sa.select(ENTRIES).where(ENTRIES.c.position > position).order_by(ENTRIES.c.position)
    return connection.execute(query.execution_options(yield_per=1000))


def select(connection: sa.Connection, limit: int | None, **where: str | Collection[str]) -> tuple[Entry, ...]:
    """The entries whose columns equal the given values (or one of them), in order; with a limit the newest.

    Raises Tampered when what an entry holds does not fit its hash.
    """
    query = sa.select(ENTRIES).order_by(ENTRIES.c.position.desc()).limit(limit)
    for column, value in where.items():
        query = query.where(_equal(column, value))
    return tuple(map(_read, reversed(connection.execute(query).all())))


def newest_of_sites(connection: sa.Connection, task: str, kinds: Collection[str]) -> tuple[Entry, ...]:
    """The newest entry of those kinds of each site of the task, in order. Raises Tampered as `select` does."""
    newest = (
        sa.select(sa.func.max(ENTRIES.c.position).label("position"))
        .where(ENTRIES.c.task == task, _equal("kind", kinds))
        .group_by(ENTRIES.c.site)
        .subquery()
    )
    query = sa.select(ENTRIES).join(newest, ENTRIES.c.position == newest.c.position)
    return tuple(map(_read, connection.execute(query.order_by(ENTRIES.c.position))))


def held(connection: sa.Connection, hashes: Collection[str]) -> set[str]:
    """Those of the hashes that an entry has."""
    asked, found = sorted(hashes), set()
    for start in range(0, len(asked), 500):  # databases take a few thousand values in a statement
        query = sa.select(ENTRIES.c.hash).where(ENTRIES.c.hash.in_(asked[start : start + 500]))
        found |= set(connection.execute(query).scalars())
    return found


def _equal(column: str, value: str | Collection[str]) -> sa.ColumnElement[bool]:
    known = ENTRIES.c[column]
    return known == value if isinstance(value, str) else known.in_(list(value))


def _read(row: Any) -> Entry:
    try:
        whole = is_whole(row)
    except ValueError:
        whole = False
    if not whole:
        raise Tampered(
            f"ledger: entry {row.position}: its content was changed after it was written; "
            "run `primum ledger verify`, and restore the ledger from a backup"
        )
    return entry_of(row)


def version_problem(connection: sa.Connection) -> str | None:
    """Whether another version of Primum wrote it, in words."""
    head = _head(connection)
    found = "none" if head is None else head.version
    return None if found == VERSION else f"it has version {found} and this Primum reads version {VERSION}"


def end_problem(connection: sa.Connection) -> str | None:
    """What is wrong with the number of entries or the last one, in words: all that is quick to see."""
    head = connection.execute(sa.select(HEAD)).one()
    counted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(ENTRIES.c.position), 0))
    count, position = connection.execute(counted.select_from(ENTRIES)).one()
    last = connection.execute(sa.select(ENTRIES.c.hash).where(ENTRIES.c.position == position)).scalar()
    if not count == position == head.entries or (last or GENESIS) != head.hash:
        return f"the head names {head.entries} entries ending in {head.hash[:12]}, stored are {count}"
    return None


def append(  # noqa: PLR0913 - an entry's columns
    connection: sa.Connection,
    now: datetime,
    *,
    kind: Kind,
    task: str,
    site: str,
    holdout: str,
    payload: Mapping[str, Any],
) -> Entry:
    """Write the next entry and move the head; the caller's transaction makes both happen or neither."""
    head = _head(connection, lock=True)
    if head is None:
        raise Tampered("ledger: its head is gone; restore it from a backup")
    last = connection.execute(sa.select(ENTRIES).where(ENTRIES.c.position == head.entries)).one_or_none()
    if (last is None) != (head.entries == 0) or (last is not None and last.hash != head.hash):
        raise Tampered("ledger: the last entry is not the one the head names; run `primum ledger verify`")
    at = stamp(now)
    if last is not None and time_of(last.time) - now > CLOCK_TOLERANCE and not signed(kind, payload):
        raise BadInput(
            f"the clock went back: now is {at}, the last ledger entry {last.time}; set the clock, or where that "
            "entry's clock was wrong: primum ledger note --by NAME --why TEXT"
        )
    text = canonical(payload)
    body = {
        "position": head.entries + 1,
        "time": at,
        "kind": kind,
        "task": task,
        "site": site,
        "holdout": holdout,
        "payload": json.loads(text),
        "previous": head.hash,
    }
    entry = Entry.model_validate({**body, "hash": digest(body)})
    connection.execute(sa.insert(ENTRIES).values(**{**body, "payload": text, "hash": entry.hash}))
    connection.execute(sa.update(HEAD).values(entries=entry.position, hash=entry.hash))
    return entry
