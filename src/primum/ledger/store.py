"""The tables of the ledger, and how an entry gets into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from primum.errors import BadInput, Tampered, Unavailable
from primum.ledger.chain import (
    CLOCK_TOLERANCE,
    GENESIS,
    Entry,
    Kind,
    canonical,
    digest,
    entry_of,
    stamp,
    time_of,
)

VERSION = "1"

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
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)
HEAD = sa.Table(
    "primum_ledger_head",
    SCHEMA,
    sa.Column("version", sa.String(16), primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
APPEND_ONLY = [
    f"CREATE TRIGGER IF NOT EXISTS primum_ledger_no_{verb.lower()} BEFORE {verb} ON primum_ledger "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for verb in ("UPDATE", "DELETE")
]


def make_engine(url: sa.URL) -> sa.Engine:
    """An engine whose transactions cannot both take the same position."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, isolation_level="SERIALIZABLE")
    engine = sa.create_engine(url, connect_args={"timeout": 60}, poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "connect")
    def _no_implicit_begin(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # pysqlite would begin too late: a look must lock before it counts

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def create(connection: sa.Connection) -> None:
    """Make the tables where they are absent, and let SQLite refuse to change what is written."""
    for table in SCHEMA.sorted_tables:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    if connection.dialect.name == "sqlite":
        for trigger in APPEND_ONLY:
            connection.execute(sa.text(trigger))
    empty = connection.execute(sa.select(sa.func.count()).select_from(ENTRIES)).scalar_one() == 0
    if empty and connection.execute(sa.select(HEAD)).first() is None:
        connection.execute(sa.insert(HEAD).values(version=VERSION, entries=0, hash=GENESIS))


def select(connection: sa.Connection, **where: str) -> tuple[Entry, ...]:
    """The entries whose columns equal the given values, in order."""
    query = sa.select(ENTRIES).order_by(ENTRIES.c.position)
    for column, value in where.items():
        query = query.where(ENTRIES.c[column] == value)
    return tuple(entry_of(row) for row in connection.execute(query))


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
    head = connection.execute(sa.select(HEAD).with_for_update()).one()
    last = connection.execute(sa.select(ENTRIES).where(ENTRIES.c.position == head.entries)).one_or_none()
    if (last is None) != (head.entries == 0) or (last is not None and last.hash != head.hash):
        raise Tampered("ledger: the last entry is not the one the head names; run `primum ledger verify`")
    at = stamp(now)
    if last is not None and time_of(last.time) - now > CLOCK_TOLERANCE:
        raise BadInput(f"the clock went back: now is {at}, the last ledger entry {last.time}; set the clock")
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


def hopeless(error: DBAPIError) -> bool:
    """Whether trying again cannot help: the file or the database itself is the trouble."""
    text = str(error.orig).casefold()
    causes = ("unable to open", "readonly", "read-only", "disk", "append-only", "not a database", "no such")
    return any(cause in text for cause in causes)


def unavailable(name: str, error: DBAPIError) -> Unavailable:
    """The error for a database that does not answer."""
    return Unavailable(f"ledger {name}: the database does not answer ({error.orig}); nothing was written")
