"""Whole drift reports with Evidently itself."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from drift_samples import records, report, scored, task

from primum.drift.evidently_tests import (
    CATEGORY,
    NUMBER,
    Pair,
    category_counts,
    category_test,
    ks_p,
    write_page,
)
from primum.errors import Unavailable
from primum.records import DriftReport

REFERENCE, VALIDATION = records(600, 1), records(300, 2)


def alarms(made: DriftReport) -> set[tuple[str, str]]:
    return {(f.kind, f.column) for f in made.alarms}


def test_a_window_like_the_reference_is_quiet_and_the_report_survives_json():
    window = scored(records(300, 3), 3)
    made = report(
        REFERENCE,
        window.records,
        scored_reference=scored(VALIDATION, 2),
        scored_current=window,
        outcomes=window,
    )
    kinds = {f.kind for f in made.findings}
    assert (made.status, made.notes, made.suggestions) == ("quiet", (), ())
    assert kinds >= {"input", "text", "score", "calibration", "outcome"}
    assert made.outcome_records == 300
    assert made.performance.records == made.performance_before.records == 300
    assert DriftReport(**json.loads(made.model_dump_json())) == made


def test_the_same_input_gives_the_same_report_whatever_the_order():
    window = records(300, 3)
    mixed = window.sample(frac=1, random_state=1)
    assert report(REFERENCE, window) == report(REFERENCE.sample(frac=1, random_state=2), mixed)


def test_fahrenheit_is_seen_and_suggested():
    made = report(REFERENCE, records(200, 3).assign(temp=lambda f: f["temp"] * 1.8 + 32))
    assert alarms(made) == {("input", "temp")}
    assert "Fahrenheit instead of Celsius?" in made.suggestions[0]


def test_shifts_of_every_kind_alarm_and_their_neighbours_do_not():
    window = records(300, 3).assign(
        ward_type="hospice",
        lactate=None,
        note="patient sans fièvre, le ventre est souple et indolore au toucher",
    )
    assert alarms(report(REFERENCE, window)) >= {
        ("input", "ward_type"),
        ("schema", "lactate"),
        ("text", "note: language"),
        ("text", "note: share of unknown words"),
    }


def test_a_biased_champion_alarms_in_score_and_calibration_and_the_estimate_says_so():
    window = scored(records(400, 3), 3, bias=1.5)
    made = report(
        REFERENCE,
        window.records,
        scored_reference=scored(VALIDATION, 2),
        scored_current=window,
        outcomes=window,
    )
    assert {k for k, _ in alarms(made)} == {"score", "calibration"}
    assert "do not rely" in made.estimate.assumption


@pytest.mark.parametrize(("size", "words"), [(0, "holds no records"), (7, "7 patient(s), 23 more needed")])
def test_too_few_is_said_with_how_many_more(size, words):
    made = report(REFERENCE, records(30, 3).iloc[:size])
    assert (made.status, made.findings) == ("too few", ())
    assert words in " ".join(made.notes)


def test_empty_and_constant_columns_on_either_side():
    empty, constant = (
        REFERENCE.assign(temp=np.nan, ward_type=None),
        REFERENCE.assign(temp=37.0, ward_type="icu"),
    )
    again = {"record_id": [f"n{i}" for i in range(600)], "patient_id": [f"q{i}" for i in range(600)]}
    assert report(empty, empty.assign(**again)).status == "quiet"
    assert report(constant, constant.assign(**again)).status == "quiet"
    assert ("schema", "temp") in alarms(report(empty, constant.assign(**again)))
    assert ("input", "temp") in alarms(report(REFERENCE, constant.assign(**again)))


def test_the_same_batch_again_leaves_no_window():
    again = REFERENCE.assign(record_id=[f"again{i}" for i in range(600)])
    made = report(REFERENCE, again)
    assert (made.status, made.current_records) == ("too few", 0)
    assert "delivered twice" in made.suggestions[0]


def test_repeated_records_leave_scores_and_outcomes_too():
    window = pd.concat([records(100, 3), REFERENCE.iloc[:50].assign(record_id=[f"a{i}" for i in range(50)])])
    seen = scored(window, 3)
    made = report(
        REFERENCE, window, scored_reference=scored(VALIDATION, 2), scored_current=seen, outcomes=seen
    )
    assert (made.current_records, made.outcome_records) == (100, 100)


def test_records_of_few_patients_are_not_many_records():
    window = records(300, 3).assign(patient_id=[f"p{i % 10}" for i in range(300)])
    made = report(REFERENCE, window)
    assert made.status == "too few"
    assert "the 300 records of the window are of 10 patients" in " ".join(made.notes)


def test_no_value_of_a_patient_stands_in_the_report():
    window = records(300, 3).assign(
        ward_type="Mrs Miller", note="Mrs Miller is well and has no complaints at all"
    )
    assert "Miller" not in report(REFERENCE, window).model_dump_json()


def test_unknown_kinds_of_value_do_not_end_it():
    window = records(300, 3).assign(temp="high", sex=1, lactate=lambda f: f["lactate"].astype(str))
    assert ("schema", "temp") in alarms(report(REFERENCE, window))


def test_our_direct_calls_give_the_p_of_an_evidently_report(tmp_path):
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    sides = [records(400, 1), records(150, 7).assign(temp=lambda f: f["temp"] + 0.1)]
    definition = DataDefinition(numerical_columns=["temp"], categorical_columns=["ward_type"])
    given = [Dataset.from_pandas(s[["temp", "ward_type"]], data_definition=definition) for s in sides]
    ours = ks_p(sides[0]["temp"].to_numpy(), sides[1]["temp"].to_numpy())
    metrics = [ValueDrift(column="temp", method=NUMBER), ValueDrift(column="ward_type", method=CATEGORY)]
    said = [m["value"] for m in Report(metrics).run(given[1], given[0]).dict()["metrics"]]
    _, counts = category_counts(*(s["ward_type"].to_numpy(dtype=object) for s in sides))
    assert said == pytest.approx([ours, category_test(counts).p])


def test_evidentlys_page_is_written_where_it_is_wanted(tmp_path):
    page = tmp_path / "deep" / "page.html"
    window = records(100, 3).assign(lactate=np.nan)
    report(REFERENCE, window, evidently_html=page)
    assert page.stat().st_size > 1_000_000
    assert [p.name for p in page.parent.iterdir()] == ["page.html"]
    report(REFERENCE, window.iloc[:5], evidently_html=tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(Unavailable, match="cannot be written"):
        write_page([Pair("x", "number", np.arange(9.0), np.arange(9.0))], tmp_path / "page.html", 0.01)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_task_of_one_open_category_with_thousands_of_values():
    asked = task(features=({"column": "code", "kind": "category"},))
    rng = np.random.default_rng(0)
    sides = [records(n, s).assign(code=rng.integers(0, 3000, n).astype(str)) for n, s in ((600, 1), (300, 3))]
    assert report(*sides, task=asked).status == "quiet"
