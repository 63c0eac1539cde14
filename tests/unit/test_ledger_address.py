"""Where a ledger lies: its address is checked, its driver named, its password never shown."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from primum import cli
from primum.errors import BadInput
from primum.ledger import Ledger
from primum.ledger.database import address, lost_race, make_engine, shown, unavailable
from primum.workspace import Workspace, find_workspace

SECRET = "hunter2-and-more"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/db", "postgresql+pg8000"),
        ("mysql://u:p@h/db", "mysql+pymysql"),
        ("mariadb://u:p@h/db", "mysql+pymysql"),
        ("mariadb+pymysql://u:p@h/db", "mysql+pymysql"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg"),
        ("sqlite:///x.db", "sqlite"),
        ("/some/where/ledger.sqlite", "sqlite"),
    ],
)
def test_a_driver_is_chosen_where_none_is_named(url: str, driver: str) -> None:
    assert address(url).drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@h:port/db",
        f"postgresql://u:x@{SECRET}@h/db",
        f"oracle://u:{SECRET}@h/db",
        f"{SECRET}-://",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput, match="ledger URL") as problem:
        Ledger.open(url)
    assert SECRET not in str(problem.value)


def test_the_name_of_a_database_holds_no_user_password_or_option() -> None:
    url = address(f"postgresql://clerk:{SECRET}@db.ward:5433/ledger?password={SECRET}")
    assert shown(url) == "postgresql://db.ward:5433/ledger"
    error = OperationalError("SELECT", {}, Exception(f"cannot reach {SECRET} at\n db.ward"))
    message = str(unavailable(url, error))
    assert SECRET not in message
    assert "\n" not in message
    assert "cannot reach *** at db.ward" in message


def test_a_missing_driver_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_drivers(name: str, *more: Any, **words: Any) -> Any:
        if name.split(".", maxsplit=1)[0] in ("pg8000", "pymysql"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *more, **words)

    monkeypatch.setattr(builtins, "__import__", without_drivers)
    for backend, driver in (("postgresql", "pg8000"), ("mysql", "pymysql")):
        with pytest.raises(
            BadInput, match=rf"needs the driver {driver}: pip install -e '\.\[ledger\]'"
        ) as problem:
            make_engine(address(f"{backend}://u:{SECRET}@h/db"))
        assert SECRET not in str(problem.value)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (DatabaseError("", {}, Exception({"C": "40001", "M": "could not serialize access"})), True),
        (DatabaseError("", {}, Exception({"C": "23505", "M": "duplicate key"})), True),
        (DatabaseError("", {}, Exception({"C": "28P01", "M": "password authentication failed"})), False),
        (OperationalError("", {}, Exception(1213, "Deadlock found")), True),
        (OperationalError("", {}, Exception(2003, "Can't connect to MySQL server")), False),
        (OperationalError("", {}, Exception("database is locked")), True),
        (OperationalError("", {}, Exception("unable to open database file")), False),
    ],
)
def test_only_a_lost_race_is_tried_again(error: DatabaseError, again: bool) -> None:
    """Trying again after a lost connection could take a look twice, and a dead server would be asked for minutes."""
    assert lost_race(error) is again


def test_the_address_comes_from_the_environment_and_is_not_in_the_workspaces_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:1/db"
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path))
    monkeypatch.setenv("PRIMUM_LEDGER_URL", url)
    assert find_workspace().ledger == url
    assert SECRET not in repr(find_workspace())
    assert Workspace(tmp_path, tmp_path).ledger == tmp_path / ".primum" / "ledger.sqlite"
    assert cli.main(["ledger", "show"]) == 2
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err
    assert said.err.startswith("primum: ledger postgresql://127.0.0.1:1/db: the database does not answer (")
    assert said.err.count("\n") == 1
