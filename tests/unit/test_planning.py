"""`primum power`: how large a holdout must be, in a table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from primum import cli
from primum.errors import BadInput
from primum.planning import Assumptions, requirements, resolve, share_words, shares, training_patients


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PRIMUM_HOME", str(tmp_path))


def test_the_largest_rule_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["power", "--prevalence", "0.1", "--effect", "0.1", "--margin", "0.1"]) == 0
    said = capsys.readouterr().out
    rules = requirements(Assumptions(prevalence=0.1, effect=0.1, margin=0.1))
    largest = max(rules, key=lambda rule: rule.patients)
    assert largest.patients == 1049  # the calibration slope, as Riley et al. expect
    assert "Plan a holdout of 1,049 patients (about 105 events)" in said
    for rule in rules:
        assert rule.question in said
        assert rule.source in said
        assert f"{rule.patients:,}" in said
    assert "prevalence 0.1;" in said
    assert "AUROC 0.8 (assumed)" in said
    assert "2,998 patients in all" in said  # 1049 / 0.35


def test_more_rules_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--features", "30", "--slope", "-1", "1.2", "--net-benefit", "0.2", "0.8", "0.7"]
    assert cli.main(["power", "--prevalence", "0.2", *options]) == 0
    said = capsys.readouterr().out
    assert "calibration slope" in said
    assert "net benefit at 0.2" in said
    assert said.count("calibration slope") == 1  # as given, instead of that of the AUROC
    assert "Training needs 1,500 patients: 10 events for each of 30 features" in said  # 300 events / 0.2
    assert training_patients(Assumptions()) is None


def test_thresholds_are_given_or_the_tasks_own(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["power", "--threshold", "0.1", "--threshold", "0.3"]) == 0
    said = capsys.readouterr().out
    assert "net benefit at 0.1" in said
    assert "net benefit at 0.3" in said
    configs = shutil.copytree(project / "configs", tmp_path / "configs")
    with (configs / "tasks" / "heart.yaml").open("a") as task:
        task.write("decision_thresholds: [0.15]\n")
    assert resolve(configs, {"task": "heart"}).threshold == (0.15,)
    assert resolve(configs, {"task": "heart", "threshold": [0.4]}).threshold == (0.4,)


def test_alpha_is_shared_over_the_looks() -> None:
    one, four = (requirements(Assumptions(looks=looks))[0].patients for looks in (1, 4))
    assert one < four
    assert Assumptions(looks=4).look_alpha == 0.0125


def test_a_task_gives_its_own_numbers_and_the_shares_tell_what_is_enough(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = resolve(project / "configs", {"task": "breast_cancer", "effect": 0.2})
    assert (known.effect, known.share) == (0.2, 0.35)  # what is given goes first
    assert {"margin", "alpha", "looks", "power"} <= known.known
    few, many = (shares(known, n) for n in (300, 20_000))
    assert "No share is enough" in share_words(known, few)
    enough = next(plan for plan in many if plan.enough)
    assert f"share of {enough.share:g} ({enough.patients:,} patients) is enough" in share_words(known, many)
    assert cli.main(["power", "--task", "breast_cancer", "--patients", "569"]) == 0
    said = capsys.readouterr().out
    assert "What a holdout of 569 patients can show" in said
    assert "0.35 *" in said


@pytest.mark.parametrize(
    "given", [{"prevalence": 0}, {"power": 0.4}, {"auroc": 1.0}, {"looks": 0}, {"features": 0}, {"effect": 2}]
)
def test_numbers_out_of_range_are_refused(project: Path, given: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(given))):
        resolve(project / "configs", given)


def test_bad_requests_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    for options in (
        ["--patients", "20"],
        ["--task", "hart"],
        ["--slope", "0", "0"],
        ["--slope", "nan", "1"],
        ["--net-benefit", "0.1", "8", "0.7"],
        ["--threshold", "1.2"],
    ):
        assert cli.main(["power", *options]) == 2
        said = capfd.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
