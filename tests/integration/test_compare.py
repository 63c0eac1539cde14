"""The compare pipeline as a user runs it, with ZenML and DVC; the models are the linear one that ships for tests."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import run
from primum.comparing.ground import divide
from primum.config import load_run
from primum.errors import BadInput
from primum.ledger import Ledger
from primum.workspace import find_workspace

WORDS = (
    "--pipeline", "compare", "--set", "stack.backend=fake", "--set", "compare.seeds=[1, 2]",
    "--set", "model.recipe.ranks=[4]", "--set", "compare.resamples=200",
)  # fmt: skip


def outputs() -> list[Path]:
    return sorted((Path(os.environ["PRIMUM_HOME"]) / "outputs" / "compare").iterdir())


def looks() -> int:
    """Openings of any holdout, those of other files that share this home included."""
    with closing(Ledger.open(find_workspace().ledger)) as ledger:
        return len(list(ledger.entries(kind="look")))


def test_models_are_compared_on_validation_and_a_second_call_repeats_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = looks()
    assert run.main([*WORDS]) == 0
    told = capfd.readouterr()
    assert "breast_cancer: 85 records of validation" in told.out
    assert "Traceback" not in told.out + told.err
    (folder,) = outputs()
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "compare.html", "compare.json", "results.csv", "pairs.csv", "answers_breast_cancer.csv", "figures",
    }  # fmt: skip
    found = json.loads((folder / "compare.json").read_text())
    (table,) = found["tables"]
    kinds = {row["system"]: (row["kind"], row["seeds"]) for row in table["rows"]}
    assert kinds["primum-base"] == ("fine-tuned", 2)
    assert kinds["primum-base (base)"] == ("base", 1)
    assert kinds["majority"][0] == "majority"
    assert {"lasso", "random_forest"} <= set(kinds)
    with (folder / "answers_breast_cancer.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert {a["record_id"] for a in answers} == set(table["ground"]["record_ids"])
    right = np.mean([a["primum-base seed 1"] == a["label"] for a in answers])
    assert right > 0.7
    page = (folder / "compare.html").read_text()
    assert table["summary"].split(".")[0] in page
    assert not any(record in page for record in table["ground"]["record_ids"])

    assert looks() == before

    assert run.main([*WORDS]) == 0
    again = capfd.readouterr()
    assert "epoch" not in again.out + again.err
    assert json.loads((outputs()[-1] / "compare.json").read_text())["tables"] == found["tables"]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (
            "compare.models=[primum-base, primum-bose]",
            "unknown model 'primum-bose'; did you mean 'primum-base'?",
        ),
        ("compare.tasks=[hart]", "unknown task 'hart'; did you mean 'heart'?"),
        ("compare.seeds=[1, 1]", "`compare`: seeds: one stands twice"),
    ],
)
def test_a_name_that_is_unknown_is_refused_before_anything_starts(
    key: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--pipeline", "compare", "--set", key]) == 2
    told = capfd.readouterr().err.strip()
    assert why in told
    assert "\n" not in told


def test_the_plan_names_every_cell(capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main([*WORDS, "--dry-run"]) == 0
    told = capfd.readouterr().out
    assert "2 cell(s)" in told
    assert "breast_cancer primum-base seed 2" in told


def test_records_are_divided_by_patient_whatever_their_order() -> None:
    task = load_run(find_workspace().configs).task
    rng = np.random.default_rng(1)
    records = pd.DataFrame(
        rng.normal(size=(120, len(task.features))), columns=[f.column for f in task.features]
    )
    records["record_id"] = [f"r{number:03d}" for number in range(120)]
    records["patient_id"] = [f"p{number // 3}" for number in range(120)]
    records["site"], records["label"] = "all", rng.choice(list(task.labels), size=120)
    tuned = divide(records, task, 0.25, 1)
    sides = pd.Series(tuned).groupby(records["patient_id"]).nunique()
    assert (sides == 1).all()
    assert 0.15 < tuned.mean() < 0.35
    mixed = records.sample(frac=1, random_state=2)
    assert set(mixed.loc[divide(mixed, task, 0.25, 1), "record_id"]) == set(records.loc[tuned, "record_id"])
    with pytest.raises(BadInput, match="no record is left to learn from"):
        divide(records[records["label"] == task.labels[0]], task, 0.25, 1)
