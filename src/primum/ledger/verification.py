"""Following the chain: all of it, or only what came since this process followed it last.

See docs/decisions/0016-ledger-reads.md for what that finds, and when.
"""

from __future__ import annotations

import time
from dataclasses import replace

import sqlalchemy as sa

from primum.ledger.chain import Walk
from primum.ledger.store import end_problem, rows_after, version_problem

WHOLE_EVERY = 60.0
"""Seconds after which a process follows the whole chain again before it relies on it."""
_followed: dict[str, tuple[float, Walk]] = {}
"""Address of a ledger -> when this process followed its whole chain, and how far it has come since."""


def follow_all(connection: sa.Connection) -> tuple[str, ...]:
    """Every problem of the chain in words, from its first entry to its head."""
    return _follow(connection, Walk())


def look_at_end(connection: sa.Connection) -> tuple[str, ...]:
    """Whether version, number of entries and last entry are what the head names: all that is quick to see."""
    found = version_problem(connection) or end_problem(connection)
    return () if found is None else (found,)


def follow_on(connection: sa.Connection, address: str) -> tuple[str, ...]:
    """The problems of what came since this process found the chain whole; of all of it where that is long ago."""
    at, walk = _followed.get(address, (0.0, Walk()))
    now = time.monotonic()
    if not walk.position or now - at > WHOLE_EVERY:
        at, walk = now, Walk()
    walk = replace(walk)
    found = _follow(connection, walk)
    if found:
        _followed.pop(address, None)
    else:
        _followed[address] = (at, walk)
    return found


def _follow(connection: sa.Connection, walk: Walk) -> tuple[str, ...]:
    """Follow the chain to its end, from where `walk` stands; it stands there afterwards."""
    if strange := version_problem(connection):
        return (strange,)
    found = [problem for row in rows_after(connection, walk.position) for problem in walk.follow(row)]
    end = end_problem(connection)
    return (*found, *([] if end is None else [end]))
