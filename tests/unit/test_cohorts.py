"""Synthetic cohorts: margins met exactly, no signal but the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from primum.cohorts import Cohort, make_cohort
from primum.config import TaskConfig, load_run, read_yaml, validate
from primum.errors import BadInput
from primum.ingest import ingest
from primum.workspace import find_workspace

PLACENTA = find_workspace().configs / "cohorts" / "retained_placenta.yaml"


@pytest.fixture(scope="module")
def placenta() -> pd.DataFrame:
    return make_cohort(validate(Cohort, read_yaml(PLACENTA), "file"))


def test_the_published_counts_are_met_exactly(placenta: pd.DataFrame) -> None:
    had = placenta["manual_removal"] == "yes"
    assert (len(placenta), int(had.sum())) == (577, 356)
    by = {c: {g: (int(had[rows].sum()), len(rows)) for g, rows in placenta.groupby(c).groups.items()}
          for c in ("country", "treatment")}  # fmt: skip
    assert by["country"] == {"UK": (250, 361), "Uganda": (90, 190), "Pakistan": (16, 26)}
    assert by["treatment"] == {"oxytocin": (179, 292), "placebo": (177, 285)}
    missing = placenta.isna().sum()
    wanted = {"age": 13, "hemoglobin": 10, "pulse": 3, "systolic": 4, "gestation": 4, "birth_weight": 3}
    assert {column: int(missing[column]) for column in wanted} == wanted


def test_only_the_country_says_anything(placenta: pd.DataFrame) -> None:
    had = placenta["manual_removal"] == "yes"
    share = placenta["country"].map({"UK": 250 / 361, "Uganda": 90 / 190, "Pakistan": 16 / 26})
    assert roc_auc_score(had, share) == pytest.approx(0.60, abs=0.01)
    for column in ("age", "pulse", "systolic", "hemoglobin", "gestation", "birth_weight"):
        known = placenta[column].notna()
        assert abs(roc_auc_score(had[known], placenta.loc[known, column]) - 0.5) < 0.06


def margins(**changes: Any) -> dict[str, Any]:
    return {
        "records": 400,
        "outcome": {"column": "ill", "values": ["no", "yes"], "events": 100},
        "categories": [{"column": "ward", "groups": {"a": [40, 200], "b": [60, 200]}}],
        "numbers": [{"column": "x", "mean": 10, "sd": 2, "minimum": 5, "maximum": 14, "shift": 1.0}],
        "source": "made up",
        **changes,
    }


def test_numbers_keep_to_their_limits_and_a_shift_is_a_signal() -> None:
    made = make_cohort(Cohort.model_validate(margins(records=400)))
    assert made["x"].between(5, 14).all()
    assert made["x"].mean() == pytest.approx(10, abs=0.4)
    assert roc_auc_score(made["ill"] == "yes", made["x"]) > 0.65
    again = make_cohort(Cohort.model_validate(margins()))
    pd.testing.assert_frame_equal(made, again)
    other = make_cohort(Cohort.model_validate(margins(seed=1)))
    assert not np.array_equal(made["x"], other["x"])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"categories": [{"column": "ward", "groups": {"a": [40, 200], "b": [50, 200]}}]},
         "'ward' adds up to 90 events of 400 records, the cohort to 100 of 400"),
        ({"categories": [{"column": "ward", "groups": {"a": [240, 200], "b": [60, 200]}}]},
         "'a' has 240 events of 200"),
        ({"numbers": [{"column": "x", "mean": 1, "sd": 2, "minimum": 5, "maximum": 14}]},
         "the mean must lie between"),
        ({"numbers": [{"column": "ill", "mean": 6, "sd": 2, "minimum": 5, "maximum": 14}]}, "a column stands twice"),
        ({"outcome": {"column": "ill", "values": ["no", "yes"], "events": 400}}, "400 of 400 records"),
    ],
)  # fmt: skip
def test_margins_that_contradict_one_another_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        validate(Cohort, margins(**changes), "cohort.yaml")


def test_a_task_reads_its_cohort_and_says_that_no_patient_is_in_it(tmp_path: Path) -> None:
    workspace = find_workspace()
    task: TaskConfig = load_run(workspace.configs, overrides={"task": "retained_placenta"}).task
    report = ingest(task, workspace.project, tmp_path, seed=1)
    assert (report.rows, report.label_counts) == (577, {"No": 221, "Yes": 356})
    assert any("no patient's" in note for note in report.notes)
    gone = task.model_copy(update={"source": task.source.model_copy(update={"path": "nowhere.yaml"})})
    with pytest.raises(BadInput, match=r"nowhere\.yaml: no such file"):
        ingest(gone, workspace.project, tmp_path, seed=1)
