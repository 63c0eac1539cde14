"""The ledger: looks are counted, entries are chained, tampering is found."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from primum.errors import BadInput, Tampered, Unavailable
from primum.ledger import Ledger, verification

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Ledger:
    return Ledger.open(file)


def reserve(ledger: Ledger, **change: Any) -> Any:
    arguments: dict[str, Any] = {
        "task": "t",
        "site": "all",
        "holdout": "h",
        "candidate": "c",
        "planned_looks": 4,
        "alpha": 0.05,
        "now": NOON,
        "run": "r",
    }
    return ledger.reserve(**{**arguments, **change})


def raw(file: Path, *statements: str) -> None:
    """What someone with the file and no respect for triggers can do."""
    with sqlite3.connect(file) as connection:
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS primum_ledger_no_{verb}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_looks_are_numbered_and_alpha_is_shared_out(ledger: Ledger) -> None:
    looks = [reserve(ledger) for _ in range(5)]
    assert [look.number for look in looks] == [1, 2, 3, 4, 5]
    assert [look.alpha for look in looks] == [0.0125] * 4 + [0]
    assert [look.exhausted for look in looks] == [False] * 4 + [True]
    assert len({look.entry_hash for look in looks}) == 5
    assert ledger.looks_used("h") == 4
    assert [entry.kind for entry in ledger.entries()][-1] == "exhausted"
    assert ledger.verify() == ()


def test_each_task_site_and_holdout_has_looks_of_its_own(ledger: Ledger) -> None:
    reserve(ledger)
    assert reserve(ledger, holdout="h2").number == 1
    assert reserve(ledger, site="north").number == 1
    assert reserve(ledger, task="t2").number == 1
    assert reserve(ledger).number == 2
    assert ledger.looks_used("h") == 4
    assert ledger.looks_used("h", task="t", site="all") == 2


def test_looks_survive_reopening(file: Path, ledger: Ledger) -> None:
    reserve(ledger)
    ledger.close()
    assert reserve(Ledger.open(file)).number == 2
    assert Ledger.open(f"sqlite:///{file}").looks_used("h") == 2


def test_the_first_look_fixes_the_plan(ledger: Ledger) -> None:
    reserve(ledger)
    for change in ({"planned_looks": 10}, {"alpha": 0.2}):
        with pytest.raises(BadInput, match="keep that plan"):
            reserve(ledger, **change)
    assert ledger.looks_used("h") == 1


def test_decisions_are_recorded_in_order_and_chained(ledger: Ledger) -> None:
    look = reserve(ledger)
    payload = {"verdict": "REJECT", "numbers": [0.1, 0.30000000000000004], "nested": {"b": None, "a": True}}
    first = ledger.record("decision", task="t", site="all", payload=payload, now=NOON, holdout="h")
    second = ledger.record("override", task="t", site="all", payload={"by": "Dr X", "why": "y"}, now=NOON)
    entries = ledger.entries()
    assert [entry.hash for entry in entries] == [look.entry_hash, first, second]
    assert [entry.previous for entry in entries[1:]] == [look.entry_hash, first]
    assert entries[1].payload == payload
    assert ledger.entries(kind="decision") == (entries[1],)
    assert ledger.entries(hash=second) == (entries[2],)


def test_holdout_status(ledger: Ledger) -> None:
    for _ in range(3):
        reserve(ledger)
    (status,) = ledger.holdouts()
    assert (status.looks_used, status.planned, status.rotation_due) == (3, 4, False)
    assert status.alpha_left == pytest.approx(0.0125)
    reserve(ledger)
    reserve(ledger)
    (status,) = ledger.holdouts()
    assert (status.looks_used, status.alpha_left, status.rotation_due) == (4, 0, True)


def test_the_database_itself_is_append_only(file: Path, ledger: Ledger) -> None:
    reserve(ledger)
    with sqlite3.connect(file) as connection:
        for statement in ("UPDATE primum_ledger SET task = 'x'", "DELETE FROM primum_ledger"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["UPDATE primum_ledger SET task = 'other' WHERE position = 2"], "entry 2: its"),
        (["UPDATE primum_ledger SET payload = 'broken' WHERE position = 2"], "entry 2: its content cannot"),
        (["UPDATE primum_ledger SET time = '2020' WHERE position = 1"], "entry 1: its content cannot"),
        (["UPDATE primum_ledger SET time = '2030-01-01T00:00:00+00:00' WHERE position = 1"], "entry 2: it"),
        (["DELETE FROM primum_ledger WHERE position = 2"], "entry 2 is missing"),
        (["DELETE FROM primum_ledger WHERE position = 1"], "entry 1 is missing"),
        (["DELETE FROM primum_ledger WHERE position = 3"], "the head names 3 entries"),
        (["DELETE FROM primum_ledger"], "the head names 3 entries"),
        (
            [
                "UPDATE primum_ledger SET position = 99 WHERE position = 1",
                "UPDATE primum_ledger SET position = 1 WHERE position = 2",
                "UPDATE primum_ledger SET position = 2 WHERE position = 99",
            ],
            "entry 1: ",
        ),
        (["UPDATE primum_ledger_head SET version = '0'"], "version 0"),
        (["DELETE FROM primum_ledger_head"], "version none"),
        (["UPDATE primum_ledger_head SET hash = 'x'"], "the head names"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_refused(
    file: Path, ledger: Ledger, statements: list[str], words: str
) -> None:
    for _ in range(3):
        reserve(ledger)
    raw(file, *statements)
    assert any(words in problem for problem in ledger.verify())
    verification._followed.clear()  # as another process, or a minute later
    with pytest.raises(Tampered, match="restore it"):
        Ledger.open(file)
    with pytest.raises(Tampered, match="restore it"):
        reserve(ledger)


def test_an_open_ledger_refuses_to_go_on_from_a_broken_end(file: Path, ledger: Ledger) -> None:
    reserve(ledger)
    raw(file, "DELETE FROM primum_ledger")
    with pytest.raises(Tampered):
        reserve(ledger)


def test_the_clock_may_not_go_back(ledger: Ledger) -> None:
    reserve(ledger)
    assert reserve(ledger, now=NOON - timedelta(minutes=4)).number == 2  # skew between machines
    with pytest.raises(BadInput, match="clock went back"):
        reserve(ledger, now=NOON - timedelta(hours=1))
    with pytest.raises(BadInput, match="zone"):
        reserve(ledger, now=datetime(2026, 1, 2))
    assert ledger.looks_used("h") == 2
    assert ledger.verify() == ()


def test_small_steps_back_keep_order_and_chain(file: Path, ledger: Ledger) -> None:
    for minutes in (0, -4, -8, -3, -7):
        reserve(ledger, now=NOON + timedelta(minutes=minutes), planned_looks=9)
    again = Ledger.open(file)
    assert [entry.position for entry in again.entries()] == [1, 2, 3, 4, 5]
    assert [entry.payload["number"] for entry in again.entries()] == [1, 2, 3, 4, 5]
    assert again.verify() == ()


def test_an_entry_of_a_clock_that_ran_ahead_does_not_close_the_ledger(file: Path, ledger: Ledger) -> None:
    reserve(ledger)
    reserve(ledger, now=NOON + timedelta(days=4000))
    with pytest.raises(BadInput, match="primum ledger note --by NAME --why TEXT"):
        reserve(ledger, now=NOON + timedelta(hours=1))
    where: dict[str, Any] = {"task": "t", "site": "all", "now": NOON + timedelta(hours=1)}
    for unsigned in ({}, {"by": "A. Clerk"}, {"by": "A. Clerk", "why": " "}):
        with pytest.raises(BadInput, match="clock went back"):
            ledger.record("note", payload=unsigned, **where)
    ledger.record("note", payload={"by": "A. Clerk", "why": "the server's battery was dead"}, **where)
    assert reserve(ledger, now=NOON + timedelta(hours=2)).number == 3
    assert Ledger.open(file).verify() == ()


def test_a_rotated_holdout_is_history(ledger: Ledger) -> None:
    for _ in range(4):
        reserve(ledger)
    payload = {"from": "h", "generation": 2, "patients": 40}
    ledger.record("rotation", task="t", site="all", holdout="h2", payload=payload, now=NOON)
    assert reserve(ledger, holdout="h2").number == 1
    old, new = ledger.holdouts()
    assert (old.rotated, old.rotation_due, old.looks_left) == (True, False, 0)
    assert (new.rotated, new.rotation_due, new.looks_left) == (False, False, 3)


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("override", {"by": "Dr X"}, "`why`"),
        ("override", {"by": " ", "why": "y"}, "`by`"),
        ("look", {}, "cannot be recorded"),
        ("gossip", {}, "cannot be recorded"),
        ("note", {"x": float("nan")}, "without NaN"),
        ("note", {"x": object()}, "plain JSON"),
    ],
)
def test_bad_entries_are_refused_and_nothing_is_written(
    ledger: Ledger, kind: Any, payload: Any, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        ledger.record(kind, task="t", site="all", payload=payload, now=NOON)
    assert ledger.entries() == ()


def test_bad_plans_are_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="planned look"):
        reserve(ledger, planned_looks=0)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "ledger.db"
    broken.write_bytes(b"this is no database, however long it may be" * 100)
    with pytest.raises(Unavailable, match="does not answer"):
        Ledger.open(broken)
