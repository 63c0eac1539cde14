"""The ledger on real PostgreSQL and MySQL (MariaDB) servers, started here on loopback; skipped where none is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from primum import cli
from primum import ledger as ledger_module
from primum.errors import BadInput, Tampered, Unavailable
from primum.ledger import Ledger, verification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PASSWORD = "p@ss/w:rd #1"  # noqa: S105 - of a server that lives for a minute
DRIVER = {"postgresql": "pg8000", "mysql": "pymysql"}
WORKER = """
import sys
from datetime import UTC, datetime
from primum.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
for i in range(10):
    look = ledger.reserve(task="t", site="all", holdout="h", candidate="c", planned_looks=50, alpha=0.05,
                          now=datetime.now(UTC), run=f"{sys.argv[2]}.{i}")
    print(look.number, flush=True)
"""


def binary(name: str) -> str | None:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return found or (str(packaged[-1]) if packaged else None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def url_of(backend: str, port: int, user: str, database: str) -> str:
    url = sa.URL.create(backend, user, PASSWORD, "127.0.0.1", port, database)
    return url.render_as_string(hide_password=False)


def run_sql(url: str, *statements: str) -> None:
    parsed = sa.make_url(url)
    engine = sa.create_engine(
        parsed.set(drivername=f"{parsed.drivername}+{DRIVER[parsed.drivername]}"), poolclass=sa.NullPool
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def until_it_answers(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(300):
        assert server.poll() is None, "the server ended"
        with suppress(sa.exc.DBAPIError, OSError):
            run_sql(url, "SELECT 1")
            return
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


def postgresql(folder: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    initdb, postgres = binary("initdb"), binary("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL server here: initdb and postgres are not on the PATH")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        quiet["user"] = "nobody"
        shutil.chown(folder, "nobody")
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    words = [
        "-A",
        "scram-sha-256",
        "-U",
        "root_user",
        f"--pwfile={secret}",
        "--no-locale",
        "-E",
        "UTF8",
        "-N",
    ]
    subprocess.run([initdb, "-D", str(folder / "data"), *words], check=True, **quiet)
    settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    options = [word for setting in settings for word in ("-c", setting)]
    server = subprocess.Popen([postgres, "-D", str(folder / "data"), "-p", str(port), *options], **quiet)
    return server, url_of("postgresql", port, "root_user", "postgres")


def mysql(folder: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    install, daemon, defaults = map(binary, ("mariadb-install-db", "mariadbd", "my_print_defaults"))
    if install is None or daemon is None or defaults is None:
        pytest.skip(
            "no MariaDB server here: mariadb-install-db, mariadbd or my_print_defaults is not on the PATH"
        )
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data = [f"--datadir={folder / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    words = ["--no-defaults", *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([install, *words], check=True, **quiet)
    (folder / "init.sql").write_text(
        f"CREATE USER root_user@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO root_user@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    # A character set that a hospital may still have: the ledger's tables must bring their own.
    options = [
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={folder / 's'}",
        "--skip-name-resolve",
    ]
    odd = ["--character-set-server=latin1", f"--init-file={folder / 'init.sql'}"]
    server = subprocess.Popen([daemon, "--no-defaults", *data, *options, *odd], **quiet)
    return server, url_of("mysql", port, "root_user", "mysql")


@pytest.fixture(scope="module", params=[postgresql, mysql], ids=lambda start: start.__name__)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running server, its administrator in it."""
    folder = Path(tempfile.mkdtemp(prefix="primum-server-"))  # pytest's own folders are closed to other users
    try:
        process, url = request.param(folder, free_port())
        try:
            until_it_answers(process, url)
            yield url
        finally:
            process.send_signal(signal.SIGINT if request.param is postgresql else signal.SIGTERM)
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database of this test."""
    name = f"db{abs(hash(request.node.name)) % 10**9}"
    run_sql(server, f"CREATE DATABASE {name}")
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def reserve(ledger: Ledger, **change: Any) -> Any:
    arguments: dict[str, Any] = {"task": "t", "site": "all", "holdout": "h", "candidate": "c", "run": "r"}
    plan = {"planned_looks": 4, "alpha": 0.05, "now": NOON}
    return ledger.reserve(**{**arguments, **plan, **change})


def test_six_processes_that_also_race_to_create_it_share_sixty_looks(url: str) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, url, str(w)], stdout=subprocess.PIPE, text=True)
        for w in range(6)
    ]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 6
    numbers = sorted(int(line) for output in outputs for line in output.split())
    assert numbers == list(range(1, 51)) + [51] * 10
    with closing(Ledger.open(url)) as ledger:
        assert ledger.looks_used("h") == 50
        assert [entry.position for entry in ledger.entries()] == list(range(1, 61))
        assert ledger.verify() == ()


def test_a_kill_after_the_reservation_leaves_the_look_spent(url: str) -> None:
    kill = WORKER.replace(
        "print(look.number, flush=True)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run([sys.executable, "-c", kill, url, "0"], check=False, timeout=120)
    assert dead.returncode == -signal.SIGKILL
    assert Ledger.open(url).looks_used("h") == 1


def test_the_database_itself_is_append_only_and_tampering_is_found(url: str) -> None:
    ledger = Ledger.open(url)
    for _ in range(3):
        reserve(ledger)
    statements = ["UPDATE primum_ledger SET task = 'x'", "DELETE FROM primum_ledger WHERE position = 3"]
    if url.startswith("postgresql"):
        statements.append("TRUNCATE primum_ledger")
    for statement in statements:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            run_sql(url, statement)
    assert ledger.verify() == ()
    drop = {
        "postgresql": ["DROP TRIGGER primum_ledger_append_only ON primum_ledger"],
        "mysql": ["DROP TRIGGER primum_ledger_no_update", "DROP TRIGGER primum_ledger_no_delete"],
    }
    run_sql(url, *drop[sa.make_url(url).drivername], "UPDATE primum_ledger SET task = 'x' WHERE position = 2")
    assert any("entry 2: its content was changed" in problem for problem in ledger.verify())
    verification._followed.clear()  # as another process, or a minute later
    with pytest.raises(Tampered, match="restore it"):
        Ledger.open(url)
    run_sql(url, "DELETE FROM primum_ledger")
    with pytest.raises(Tampered):
        reserve(ledger)


def test_names_are_told_apart_exactly_and_long_evidence_is_kept_whole(url: str) -> None:
    ledger = Ledger.open(url)
    reserve(ledger, holdout="Ward", site="Zürich 北")
    assert reserve(ledger, holdout="ward", site="Zürich 北").number == 1
    assert reserve(ledger, holdout="Ward", site="zürich 北").number == 1
    assert reserve(ledger, holdout="Ward", site="Zürich 北").number == 2
    payload = {"verdict": {"outcome": "HOLD"}, "long": ["ünïcode 北 " * 100] * 300}
    entry = ledger.record("decision", task="t", site="all", payload=payload, now=NOON, holdout="h")
    assert Ledger.open(url).entries(hash=entry)[0].payload == payload


def test_the_clock_may_not_go_back_but_a_signed_note_may_say_so(url: str) -> None:
    ledger = Ledger.open(url)
    reserve(ledger)
    with pytest.raises(BadInput, match="clock went back"):
        reserve(ledger, now=NOON - timedelta(days=1))
    note = {"by": "A", "why": "the server's clock was a day ahead"}
    ledger.record("note", task="t", site="all", payload=note, now=NOON - timedelta(days=1))
    assert reserve(ledger, now=NOON - timedelta(hours=23)).number == 2
    assert Ledger.open(url).verify() == ()


def test_an_account_that_may_only_append_can_use_a_ledger_that_is_there(server: str, url: str) -> None:
    Ledger.open(url).close()
    database = sa.make_url(url).database
    host = "" if server.startswith("postgresql") else "@'127.0.0.1'"
    how = f"IDENTIFIED BY '{PASSWORD}'" if host else f"PASSWORD '{PASSWORD}'"
    create = f"CREATE USER clerk_{database}{host} {how}"
    grants = {"primum_ledger": "SELECT, INSERT", "primum_ledger_head": "SELECT, UPDATE"}
    run_sql(url, create, *(f"GRANT {what} ON {on} TO clerk_{database}{host}" for on, what in grants.items()))
    clerk = sa.make_url(url).set(username=f"clerk_{database}").render_as_string(hide_password=False)
    with closing(Ledger.open(clerk)) as ledger:
        assert reserve(ledger).number == 1
    assert Ledger.open(url).looks_used("h") == 1


def indexes(url: str) -> set[str]:
    parsed = sa.make_url(url)
    driver = f"{parsed.drivername}+{DRIVER[parsed.drivername]}"
    engine = sa.create_engine(parsed.set(drivername=driver), poolclass=sa.NullPool)
    found = {str(index["name"]) for index in sa.inspect(engine).get_indexes("primum_ledger")}
    return {name for name in found if name.startswith("primum_ledger_by")}


def test_a_ledger_without_indexes_gets_them_where_the_account_may_make_them(server: str, url: str) -> None:
    Ledger.open(url).close()
    of = " ON primum_ledger" if server.startswith("mysql") else ""
    run_sql(url, *(f"DROP INDEX {name}{of}" for name in sorted(indexes(url))))
    database = sa.make_url(url).database
    host = "" if server.startswith("postgresql") else "@'127.0.0.1'"
    how = f"IDENTIFIED BY '{PASSWORD}'" if host else f"PASSWORD '{PASSWORD}'"
    grants = {"primum_ledger": "SELECT, INSERT", "primum_ledger_head": "SELECT, UPDATE"}
    run_sql(url, f"CREATE USER reader_{database}{host} {how}")
    run_sql(url, *(f"GRANT {what} ON {on} TO reader_{database}{host}" for on, what in grants.items()))
    reader = sa.make_url(url).set(username=f"reader_{database}").render_as_string(hide_password=False)
    with closing(Ledger.open(reader, whole=False)) as ledger:
        assert reserve(ledger).number == 1
        assert ledger.looks_used("h") == 1
    assert indexes(url) == set()
    ledger_module._indexed.clear()  # as another process
    with closing(Ledger.open(url, whole=False)) as ledger:
        assert ledger.last(holdout="h") is not None
    assert indexes(url) == {"primum_ledger_by_site", "primum_ledger_by_holdout"}


@pytest.mark.parametrize("break_it", ["password", "port", "database"])
def test_a_server_that_refuses_is_one_line_without_the_password(url: str, break_it: str) -> None:
    parsed = sa.make_url(url)
    changes: dict[str, Callable[[], sa.URL]] = {
        "password": lambda: parsed.set(password="S3cret-and-wrong"),  # noqa: S106
        "port": lambda: parsed.set(port=free_port()),
        "database": lambda: parsed.set(database="nowhere"),
    }
    broken = changes[break_it]()
    with pytest.raises(Unavailable, match="does not answer") as problem:
        Ledger.open(broken.render_as_string(hide_password=False))
    message = str(problem.value)
    assert "\n" not in message
    assert str(broken.password) not in message
    assert PASSWORD not in message


def test_the_commands_use_the_address_of_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path))
    monkeypatch.setenv("PRIMUM_LEDGER_URL", url)
    with closing(Ledger.open(url)) as ledger:
        reserve(ledger)
    assert cli.main(["ledger", "verify"]) == 0
    assert capsys.readouterr().out == "1 entries, the chain is intact\n"
    assert cli.main(["ledger", "show"]) == 0
    assert "1 of 4 at h" in capsys.readouterr().out
    assert not (tmp_path / ".primum" / "ledger.sqlite").exists()
