"""`primum gate`: anyone's predictions from file to verdict, folder and ledger."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from test_reports_sample import HOSTILE, Page

from primum import cli
from primum.config import GateConfig
from primum.gate import judge_panel, judge_table, read_panel
from primum.ledger import Ledger
from primum.standalone import gate_config

GATE = """\
resamples: 200
leakage: {required: false}
not_worse_than_classical: {required: false}
calibration: {required: false}
"""
Gate = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def gate(drawing_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The command without its figures, which take most of its time."""
    monkeypatch.setattr("primum.reports.gate_page.draw", lambda facts: ())
    return drawing_gate


@pytest.fixture
def drawing_gate(home: Path, tmp_path: Path) -> Gate:
    """Run the command with a light gate file."""
    config = tmp_path / "gate.yaml"
    config.write_text(GATE)

    def run(table: Path, *options: str) -> int:
        return cli.main(["gate", str(table), "--config", str(config), *options])

    return run


def table(tmp_path: Path, name: str = "preds.csv", *, wrong: int = 3, seed: int = 0, n: int = 80) -> Path:
    """Columns lora and zero: lora is wrong in `wrong` records, zero in every third."""
    gold = np.random.default_rng(seed).permutation(["no", "yes"] * (n // 2))
    other = {"no": "yes", "yes": "no"}
    rows = [
        f"r{i},{g},{other[g] if i % 3 == 0 else g},{other[g] if i < wrong else g}" for i, g in enumerate(gold)
    ]
    file = tmp_path / name
    file.write_text("\n".join(["id,gold,zero,lora_pred", *rows]) + "\n", encoding="utf-8")
    return file


NAMED = ("--candidate", "lora", "--base", "zero")


def verdict(folder: Path) -> dict:
    return json.loads((folder / "verdict.json").read_text())


def test_verdict_tests_results_and_one_page_lie_beside_the_table(
    gate: Gate, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = table(tmp_path)
    assert gate(file, *NAMED) == 0
    out = tmp_path / "preds-gate"
    assert {p.name for p in out.iterdir()} == {
        "verdict.json",
        "stat_tests.json",
        "results.csv",
        "report.html",
        "tripod.md",
        "change_control.md",
    }
    assert not list(tmp_path.glob(".*"))
    expected = judge_table(
        file,
        config=gate_config(tmp_path / "gate.yaml"),
        roles={"adapter": "lora", "base": "zero"},
    )
    assert verdict(out)["outcome"] == expected.outcome == "PROMOTE"
    assert verdict(out)["evidence"]["checks"] == expected.model_dump(mode="json")["evidence"]["checks"]
    said = capsys.readouterr().out
    for words in ("PROMOTE", "beats base", "not assessed", "No --holdout was named", "first of 4 planned"):
        assert words in said
    assert not (home / ".primum" / "ledger.sqlite").exists()


def test_every_metric_has_its_interval(gate: Gate, tmp_path: Path) -> None:
    gate(table(tmp_path), *NAMED)
    rows = list(csv.DictReader((tmp_path / "preds-gate" / "results.csv").open(newline="")))
    found = {(r["system"], r["metric"]): r for r in rows}
    ours = found["adapter", "accuracy"]
    assert float(ours["value"]) == pytest.approx(77 / 80)
    assert 0.88 < float(ours["lower"]) < 77 / 80 < float(ours["upper"]) <= 1
    assert {"base", "adapter", "majority"} == {system for system, _ in found}
    assert {"macro_f1", "balanced_accuracy", "recall", "specificity", "mcc", "f1 of yes"} <= {
        metric for _, metric in found
    }
    assert found["majority", "precision of no"]["value"] in ("", "0.5")  # undefined where it never says no


def test_the_page_is_static_and_escapes_what_the_table_says(drawing_gate: Gate, tmp_path: Path) -> None:
    evil = HOSTILE.replace(",", "").replace('"', "'")[:40]
    file = tmp_path / "evil.csv"
    file.write_text(table(tmp_path).read_text().replace("yes", evil))
    assert drawing_gate(file, *NAMED, "--threshold", "0.2") == 0
    text = (tmp_path / "evil-gate" / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("figure") == 3  # differences, scores, confusion: there are no probabilities
    assert evil in page.words
    assert not [value for name, value in page.attributes if name in ("src", "href") and "http" in value]
    for words in ("What this cannot say", "Every metric with its interval", "'lora' is the candidate"):
        assert words in page.words
    assert "r17" not in text


def test_a_named_holdout_spends_a_look_and_keeps_the_decision(
    gate: Gate, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(table(tmp_path), *NAMED, "--holdout", "sepsis") == 0
    with closing(Ledger.open(home / ".primum" / "ledger.sqlite")) as ledger:
        look, decision = ledger.entries()
    assert (look.kind, decision.kind, look.holdout) == ("look", "decision", "sepsis")
    kept = verdict(tmp_path / "preds-gate")
    assert decision.payload["verdict"] == kept
    assert kept["evidence"]["look"]["entry_hash"] == look.hash
    assert "Look 1 of 4 at holdout 'sepsis'" in " ".join(capsys.readouterr().out.split())


def test_the_same_question_spends_nothing_and_another_candidate_the_next_look(
    gate: Gate, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = table(tmp_path), table(tmp_path, "other.csv", wrong=6)
    for file in (first, first, second):
        assert gate(file, *NAMED, "--holdout", "h") == 0
    assert capsys.readouterr().out.count("no look was spent") == 1
    assert verdict(tmp_path / "other-gate")["evidence"]["look"]["number"] == 2
    with closing(Ledger.open(home / ".primum" / "ledger.sqlite")) as ledger:
        assert ledger.looks_used("h") == 2


def test_an_exhausted_holdout_stays_closed(drawing_gate: Gate, tmp_path: Path) -> None:
    one = tmp_path / "one.yaml"
    one.write_text(GATE + "planned_looks: 1\n")
    for effect in ("0.05", "0.1"):
        options = (*NAMED, "--holdout", "h", "--effect", effect, "--config", str(one))
        assert drawing_gate(table(tmp_path), *options) == 0
    out = tmp_path / "preds-gate"
    assert verdict(out)["outcome"] == "HOLD"
    assert "exhausted" in verdict(out)["reasons"][0]
    assert verdict(out)["evidence"]["metrics"] == {}
    assert not (out / "results.csv").exists()
    assert "<svg" not in (out / "report.html").read_text()


def test_records_have_one_holdout_and_a_holdout_one_set_of_records(
    gate: Gate, tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, others = table(tmp_path), table(tmp_path, "others.csv", seed=1)
    assert gate(first, *NAMED, "--holdout", "h") == 0
    capfd.readouterr()
    assert gate(first, *NAMED, "--holdout", "fresh") == 2
    assert "these records are the holdout 'h'" in capfd.readouterr().err
    assert gate(others, *NAMED, "--holdout", "h") == 2
    assert "opened with other records" in capfd.readouterr().err
    with closing(Ledger.open(home / ".primum" / "ledger.sqlite")) as ledger:
        assert len(ledger.entries()) == 2


def test_the_records_of_a_pipelines_holdout_have_no_second_name(
    gate: Gate, tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, split, other = table(tmp_path), "a" * 32 + ".dir", "b" * 32 + ".dir"
    records = read_panel(file, None, {"adapter": "lora", "base": "zero"}).records_hash()
    with closing(Ledger.open(home / ".primum" / "ledger.sqlite")) as ledger:
        ledger.reserve(
            task="sepsis", site="all", holdout=split, candidate="c", planned_looks=4, alpha=0.05,
            now=datetime.now(UTC), run="finetune-1", records=records,
        )  # fmt: skip
        for name in ("fresh", other):
            assert gate(file, *NAMED, "--holdout", name) == 2
            assert f"these records are the holdout '{split}'" in capfd.readouterr().err
        assert gate(table(tmp_path, "others.csv", seed=1), *NAMED, "--holdout", other) == 2
        assert "no look at the split version" in capfd.readouterr().err
        assert gate(file, *NAMED, "--holdout", split) == 0
        assert ledger.looks_used(split, task="sepsis") == 2
        assert len(ledger.entries()) == 3


def test_bad_input_is_one_line_and_spends_no_look(
    gate: Gate,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = table(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "bad.yaml").write_text("beats_bas: {required: false}")
    cases = [
        (("--base", "zero"), "column 'adapter' is missing; it holds the candidate's labels"),
        (("--candidate", "lra"), "the table has zero, lora"),
        ((*NAMED, "--classical", "svm"), "no column 'svm'"),
        ((*NAMED, "--positive", "maybe"), "'maybe' is not a gold label"),
        ((*NAMED, "--effect", "0"), "`effect_of_interest`"),
        ((*NAMED, "--threshold", "1.5"), "a decision threshold is a probability"),
        ((*NAMED, "--output", str(tmp_path / "full")), "is no report of Primum's"),
        ((*NAMED, "--config", str(tmp_path / "bad.yaml")), "nearest known one is `beats_base`"),
    ]
    for options, words in cases:
        assert gate(good, "--holdout", "h", *options) == 2, options
        error = capfd.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert gate(good, *NAMED, "--holdout", " ") == 2
    assert gate(tmp_path / "absent.csv") == 2
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    assert gate(Path()) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert not (home / ".primum" / "ledger.sqlite").exists()
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_labels_in_two_ways_and_a_system_twice_are_refused(
    gate: Gate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "case.csv"
    file.write_text(table(tmp_path).read_text().replace("r5,no", "r5,No").replace("r6,no", "r6,No"))
    assert gate(file, *NAMED) == 2
    assert "written in two ways" in capfd.readouterr().err
    file.write_text(table(tmp_path).read_text().replace("zero,lora_pred", "lora,lora_pred"))
    assert gate(file, "--candidate", "lora") == 2
    assert "is a second 'adapter'" in capfd.readouterr().err


def test_a_tampered_ledger_is_refused(gate: Gate, home: Path, tmp_path: Path) -> None:
    import sqlite3

    assert gate(table(tmp_path), *NAMED, "--holdout", "h") == 0
    with closing(sqlite3.connect(home / ".primum" / "ledger.sqlite")) as connection:
        connection.execute("DROP TRIGGER primum_ledger_no_delete")
        connection.execute("DELETE FROM primum_ledger WHERE position = 2")
        connection.commit()
    assert gate(table(tmp_path, wrong=4), *NAMED, "--holdout", "h") == 1


def test_the_defaults_hold_and_name_what_the_table_lacks(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("primum.reports.gate_page.draw", lambda facts: ())
    assert cli.main(["gate", str(table(tmp_path)), *NAMED, "--output", str(tmp_path / "o")]) == 0
    assert verdict(tmp_path / "o")["outcome"] == "HOLD"
    said = " ".join(capsys.readouterr().out.split())
    assert "lacks what leakage, not_worse_than_classical, calibration must see" in said
    assert "`leakage: {required: false}`" in said


def test_judging_needs_no_model_and_no_pipeline(tmp_path: Path, project: Path) -> None:
    code = (
        "import sys\nfrom primum import cli, standalone\n"
        "standalone.write_gate = lambda out, facts: out\n"  # the page needs matplotlib, judging does not
        f"assert cli.main(['gate', {str(table(tmp_path, n=20))!r}, '--candidate', 'lora']) == 0\n"
        "print('HEAVY', [m for m in ('torch', 'transformers', 'peft', 'zenml', 'dvc') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in done.stdout


def test_the_published_table_as_the_documentation_tells_it(
    gate: Gate, shared_data: Path, tmp_path: Path
) -> None:
    file = shared_data / "lung-colon-stats" / "paired_preds_reconstruction_A.csv"
    if not file.exists():
        pytest.skip("lung-colon-stats is absent")
    assert gate(file, "--candidate", "lora", "--output", str(tmp_path / "o")) == 0
    found = verdict(tmp_path / "o")
    base = next(c for c in found["evidence"]["checks"] if c["name"] == "beats_base")
    assert found["outcome"] == "PROMOTE"
    assert base["statistics"]["delta"] == pytest.approx(0.218888, abs=1e-6)
    assert base["statistics"]["mcnemar_p"] == pytest.approx(0.001544, abs=1e-6)


def test_a_panel_in_memory_is_judged_alike(tmp_path: Path) -> None:
    roles = {"adapter": "lora", "base": "zero"}
    config = GateConfig(resamples=200)
    panel = read_panel(table(tmp_path), roles=roles)
    assert judge_panel(panel, config=config) == judge_table(
        tmp_path / "preds.csv", config=config, roles=roles
    )
