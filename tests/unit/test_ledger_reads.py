"""Reading the ledger: what is read is verified, a process follows the chain once, a killed run keeps its look."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from primum import ledger as ledger_module
from primum.errors import BadInput, Tampered
from primum.ledger import Ledger, verification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Ledger:
    return Ledger.open(file)


def reserve(ledger: Ledger, **change: Any) -> Any:
    arguments: dict[str, Any] = {"task": "t", "site": "all", "holdout": "h", "candidate": "c", "run": "r"}
    plan: dict[str, Any] = {"planned_looks": 2, "alpha": 0.05, "now": NOON, "records": "x"}
    return ledger.reserve(**{**arguments, **plan, **change})


def decide(ledger: Ledger, look: str, holdout: str = "h", site: str = "all") -> str:
    payload = {"verdict": {"outcome": "HOLD", "evidence": {"look": {"entry_hash": look}}}}
    return ledger.record("decision", task="t", site=site, holdout=holdout, payload=payload, now=NOON)


def raw(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS primum_ledger_no_{verb}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def indexes(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        return {name for (name,) in found if name.startswith("primum_ledger_by")}


def test_a_killed_run_goes_on_with_its_own_look(ledger: Ledger) -> None:
    look = reserve(ledger)
    assert reserve(ledger, resume=True) == look
    assert ledger.looks_used("h") == 1
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize(
    "change", [{"candidate": "d"}, {"records": "y"}, {"run": "s"}, {"resume": False}], ids=str
)
def test_another_request_takes_the_next_look(ledger: Ledger, change: dict[str, Any]) -> None:
    reserve(ledger)
    assert reserve(ledger, **{"resume": True, **change}).number == 2


def test_a_look_that_was_decided_on_is_not_taken_up_again(ledger: Ledger) -> None:
    decide(ledger, reserve(ledger).entry_hash)
    assert reserve(ledger, resume=True).number == 2


def test_only_the_last_look_is_taken_up(ledger: Ledger) -> None:
    reserve(ledger)
    reserve(ledger, candidate="d")  # somebody else has looked since
    assert reserve(ledger, resume=True).exhausted
    assert ledger.looks_used("h") == 2


def test_an_exhausted_request_is_written_down_once_when_it_is_resumed(ledger: Ledger) -> None:
    for _ in range(2):
        decide(ledger, reserve(ledger).entry_hash)
    refused = reserve(ledger, resume=True)
    assert (refused.number, refused.alpha, refused.exhausted) == (3, 0, True)
    assert reserve(ledger, resume=True) == refused
    assert [e.kind for e in ledger.entries()].count("exhausted") == 1


def test_a_resumed_look_keeps_the_plan(ledger: Ledger) -> None:
    reserve(ledger)
    with pytest.raises(BadInput, match="keep that plan"):
        reserve(ledger, resume=True, planned_looks=5)


def test_what_is_recorded_once_is_not_written_again(ledger: Ledger) -> None:
    where: dict[str, Any] = {"task": "t", "site": "all", "now": NOON}
    first = ledger.record_once("promotion", payload={"version": 1}, **where)
    assert ledger.record_once("promotion", payload={"version": 1}, **where) == first
    assert ledger.record_once("promotion", payload={"version": 2}, **where) != first
    assert len(ledger.entries()) == 2


def test_questions_about_few_entries(ledger: Ledger) -> None:
    hashes = [decide(ledger, f"look {site}", site=site) for site in ("a", "b", "a", "c")]
    ledger.record("retirement", task="t", site="b", payload={"version": 1, "why": "w"}, now=NOON)
    assert [e.hash for e in ledger.newest(2, kind="decision")] == hashes[2:]
    assert [e.kind for e in ledger.entries(site="b", kind=("decision", "retirement"))] == [
        "decision",
        "retirement",
    ]
    last = ledger.last(kind="decision", site="a")
    assert last is not None
    assert last.hash == hashes[2]
    assert ledger.last(kind="rollback") is None
    assert {site: e.hash for site, e in ledger.last_of_sites("t", "decision").items()} == {
        "a": hashes[2],
        "b": hashes[1],
        "c": hashes[3],
    }
    assert ledger.unknown({hashes[0], "f" * 64}) == {"f" * 64}


def test_an_entry_that_was_altered_is_not_read(file: Path, ledger: Ledger) -> None:
    first, second = decide(ledger, "one"), decide(ledger, "two", holdout="other")
    raw(file, "UPDATE primum_ledger SET payload = replace(payload, 'HOLD', 'PROMOTE') WHERE position = 1")
    with closing(Ledger.open(file, whole=False)) as reading:
        with pytest.raises(Tampered, match=r"entry 1: its content was changed.*primum ledger verify"):
            reading.last(hash=first)
        assert reading.entries(holdout="other")[0].hash == second  # what is read is whole


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM primum_ledger WHERE position = 1",
        "DELETE FROM primum_ledger WHERE position = 2",
        "UPDATE primum_ledger_head SET hash = 'x'",
        "UPDATE primum_ledger_head SET version = '9'",
    ],
)
def test_a_quick_look_finds_what_is_missing(file: Path, ledger: Ledger, statement: str) -> None:
    for _ in range(2):
        reserve(ledger)
    raw(file, statement)
    with pytest.raises(Tampered, match="restore it from a backup"):
        Ledger.open(file, whole=False)


def test_a_process_follows_the_whole_chain_and_then_what_comes_after(
    file: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = verification.rows_after
    monkeypatch.setattr(
        verification, "rows_after", lambda connection, after: seen.append(after) or real(connection, after)
    )
    reserve(ledger)
    decide(ledger, "one")
    Ledger.open(file)
    assert seen == [0, 0, 1]  # an empty chain, then one entry, then the one that came after it
    monkeypatch.setattr(verification, "WHOLE_EVERY", -1.0)
    Ledger.open(file)
    assert seen[-1] == 0


def test_a_broken_chain_stops_a_write_at_the_next_reading_of_the_whole(
    file: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for holdout in ("h", "i", "j"):
        reserve(ledger, holdout=holdout)
    raw(file, "UPDATE primum_ledger SET holdout = 'elsewhere' WHERE position = 1")  # a look that is hidden
    monkeypatch.setattr(verification, "WHOLE_EVERY", -1.0)
    with pytest.raises(Tampered, match="entry 1: its content was changed"):
        reserve(ledger)
    assert len(verification._followed.get(str(ledger._url), ())) == 0
    raw(file, "UPDATE primum_ledger SET holdout = 'h' WHERE position = 1")
    assert reserve(ledger).number == 2


def test_indexes_come_to_a_ledger_that_has_none(file: Path, ledger: Ledger) -> None:
    reserve(ledger)
    raw(file, *(f"DROP INDEX {name}" for name in indexes(file)))
    assert indexes(file) == set()
    ledger_module._indexed.clear()  # as another process
    assert Ledger.open(file, whole=False).looks_used("h") == 1
    assert indexes(file) == {"primum_ledger_by_site", "primum_ledger_by_holdout"}
