"""`primum ledger show`: every entry on one line, every holdout with what is left of it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from primum import cli
from primum.ledger import Ledger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path / ".primum" / "ledger.sqlite"


def reserve(ledger: Ledger, holdout: str, planned: int) -> None:
    ledger.reserve(
        task="sepsis",
        site="all",
        holdout=holdout,
        candidate="c",
        planned_looks=planned,
        alpha=0.05,
        now=NOON,
        run="r",
    )


def test_an_empty_ledger_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "show"]) == 0
    assert capsys.readouterr().out == "no entries yet: no holdout was opened, nothing was decided\n"


def test_entries_and_what_is_left_of_each_holdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Ledger.open(file)) as ledger:
        for holdout, planned in (("old", 1), ("old", 1), ("new", 4)):
            reserve(ledger, holdout, planned)
        where = {"task": "sepsis", "site": "all", "now": NOON}
        ledger.record("decision", holdout="new", payload={"verdict": {"outcome": "REJECT"}}, **where)
        ledger.record("override", payload={"by": "A. Physician", "why": "pilot ward"}, **where)
        hashes = [entry.hash[:12] for entry in ledger.entries()]
    assert cli.main(["ledger", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [h for line, h in zip(lines, hashes, strict=False) if h in line] == hashes
    assert lines[0].endswith("1 of 1 at old, alpha 0.05")
    assert " exhausted " in lines[1]
    assert lines[3].endswith("REJECT on new")
    assert lines[4].endswith("by A. Physician: pilot ward")
    old, new = (next(line for line in lines[5:] if name in line.split()) for name in ("old", "new"))
    assert "1 of 1" in old
    assert "due: no look is left" in old
    assert "1 of 4" in new
    assert "0.0375" in new
    assert "not due" in new


def test_a_last_look_and_a_finished_rotation_are_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Ledger.open(file)) as ledger:
        reserve(ledger, "first", 1)
        payload = {"from": "first", "generation": 2, "patients": 77}
        ledger.record("rotation", task="sepsis", site="all", holdout="second", payload=payload, now=NOON)
        reserve(ledger, "second", 2)
    assert cli.main(["ledger", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("generation 2: second, 77 new patients, follows first")
    table = lines[3:]
    assert "done: a next holdout was made" in next(line for line in table if " first " in line)
    assert "soon: one look is left" in next(line for line in table if " second " in line)
    assert "wait for the next holdout" not in "".join(lines)  # these are names given to `primum gate`


def test_no_note_can_print_a_line_of_its_own(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "note", "--by", "A", "--why", "x\n2026 look       sepsis@all\x1b[2J"]) == 0
    capsys.readouterr()
    assert cli.main(["ledger", "show"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "\x1b" not in out


def test_a_note_is_signed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "note", "--by", "A. Clerk", "--why", "moved to another server"]) == 0
    assert cli.main(["ledger", "note", "--by", " ", "--why", "x"]) == 2
    assert cli.main(["ledger", "show"]) == 0
    out = capsys.readouterr().out
    assert out.count(" note ") == 1
    assert out.splitlines()[1].endswith("by A. Clerk: moved to another server")
