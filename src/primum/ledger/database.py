"""Which database a ledger lies in: its address, its driver, and what its errors mean.

SQLite comes with Python. PostgreSQL and MySQL (MariaDB) are reached by drivers of the extra `ledger`, which are
imported only for an address that needs them. No password is ever part of a name or a message.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from primum.errors import BadInput, Unavailable

DRIVERS = {"postgresql": "postgresql+pg8000", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}
"""Pure Python, with permissive licences. An address may name another one (`postgresql+psycopg://`)."""
CONNECT: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 60},
    "pg8000": {"timeout": 60},
    "pymysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}
"""Seconds until a database that is silent, or a lock that is never given up, ends in an error."""
LOST_RACE = {"40001", "40P01", "23505", 1020, 1062, 1205, 1213}
"""Codes of PostgreSQL and MySQL for a transaction that another one was ahead of: nothing was written."""


def address(url_or_path: str | Path) -> sa.URL:
    """The database of a file path or a SQLAlchemy URL. Raises BadInput for a URL that cannot be used."""
    text = str(url_or_path)
    if "://" not in text:
        return sa.URL.create("sqlite", database=text)
    if text.count("@") > 1:  # whatever stands between them would be taken for the host, and named in errors
        raise BadInput("ledger URL: it holds more than one `@`; write the one in user or password as %40")
    try:
        url = sa.make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise BadInput(
            "ledger URL: cannot be read; write dialect://user:password@host:port/database"
        ) from None
    if backend not in ("sqlite", *DRIVERS):
        raise BadInput(f"ledger URL: '{backend}' is not supported; use sqlite, postgresql or mysql")
    if url.drivername in DRIVERS:
        return url.set(drivername=DRIVERS[url.drivername])
    return url.set(drivername=url.drivername.replace("mariadb+", "mysql+"))


def shown(url: sa.URL) -> str:
    """How messages name the database: without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or 'localhost'}{port}/{url.database or ''}"


@functools.cache  # with it go the statements that it has compiled, which take longer than to run them
def make_engine(url: sa.URL) -> sa.Engine:
    """An engine without a pool: a run is hours long and its entries few. Raises BadInput for a missing driver.

    A transaction sees what was committed until then; `store.lock` is what makes it the only one.
    """
    driver = url.drivername.partition("+")[2] or url.drivername
    options: dict[str, Any] = {} if url.drivername == "sqlite" else {"isolation_level": "READ COMMITTED"}
    try:
        engine = sa.create_engine(
            url, connect_args=CONNECT.get(driver, {}), poolclass=sa.NullPool, hide_parameters=True, **options
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        raise BadInput(
            f"the ledger's database needs the driver {driver}: pip install -e '.[ledger]'"
        ) from None
    if url.get_backend_name() == "sqlite":
        _begin_with_the_lock(engine)
    return engine


def _begin_with_the_lock(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _no_implicit_begin(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # pysqlite would begin too late: a look must lock before it counts

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def lost_race(error: DBAPIError) -> bool:
    """Whether another process was faster, so that trying again can help; else the database is the trouble."""
    code, text = _code_and_text(error)
    locked = "database is locked" in text or "database table is locked" in text
    return isinstance(error, IntegrityError) or code in LOST_RACE or locked


def unavailable(url: sa.URL, error: DBAPIError) -> Unavailable:
    """The error for a database that does not answer or refuses."""
    text = " ".join(_code_and_text(error)[1].split())[:200]
    for secret in (url.password, *(str(value) for value in url.query.values())):
        text = text.replace(str(secret), "***") if secret else text
    return Unavailable(f"ledger {shown(url)}: the database does not answer ({text}); nothing was written")


def _code_and_text(error: DBAPIError) -> tuple[Any, str]:
    """Error code and words, wherever the driver keeps them."""
    found: tuple[Any, ...] = getattr(error.orig, "args", ())
    if found and isinstance(found[0], dict):  # pg8000: the fields of the server's answer
        return found[0].get("C"), str(found[0].get("M"))
    if len(found) > 1 and isinstance(found[0], int):  # PyMySQL: number and words
        return found[0], str(found[1])
    return getattr(error.orig, "sqlstate", None), str(error.orig)
