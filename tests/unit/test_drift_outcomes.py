"""What is found in the champion's answers: unread ones, prevalence, calibration, losses, performance, estimate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from drift_samples import records, scored, task

from primum.config import DriftConfig, Label
from primum.drift import Scored, performance
from primum.drift.outcomes import calibration, losses, prevalence, unparsed
from primum.drift.performance import estimate_of
from primum.drift.scored import answers
from primum.errors import BadInput
from primum.records import Performance, Predictions

CONFIG = DriftConfig()


def said(n: int, seed: int, **how):
    return answers(scored(records(n, seed), seed, **how), task())


def test_right_probabilities_are_quiet_and_wrong_ones_alarm_in_the_large():
    fine, off = (calibration(said(800, 1, bias=bias), CONFIG).comparisons for bias in (0.0, 1.5))
    assert [c.column for c in fine] == ["observed/expected", "slope"]
    assert all(c.p > 0.01 for c in fine)
    assert off[0].p < 1e-6
    assert off[0].effect > CONFIG.max_observed_expected


def test_events_that_never_came_are_judged_though_there_are_none():
    none = said(200, 1)
    none.gold[:] = 0
    (found,) = calibration(none, CONFIG).comparisons
    assert found.p < 1e-6
    assert "0 events where" in found.reason


def test_too_few_outcomes_or_events_are_said_with_how_many_more():
    assert calibration(said(20, 1), CONFIG).notes == ("calibration not judged: 20 outcomes, 10 more needed",)
    rare = said(40, 1, bias=-9.0)
    rare.gold[:] = 0
    rare.gold[:4] = 1
    assert "4 outcomes with the event, 6 more needed" in calibration(rare, CONFIG).notes[0]
    assert "labelled validation records" in losses(said(20, 1), said(200, 2), CONFIG, 100, 0).notes[0]


def test_unread_answers_are_counted_and_never_dropped():
    before, now = said(300, 1), said(300, 2, unread=60)
    found = unparsed(before, now, CONFIG)
    assert found.effect == pytest.approx(0.2)
    assert found.p < 1e-6
    assert "(60 unread answer(s) left out)" in calibration(now, CONFIG).comparisons[0].reason
    lost = losses(before, now, CONFIG, 100, 0).comparisons[0]
    assert (lost.column, lost.method) == ("AUROC", "DeLong")
    assert lost.effect > losses(before, said(300, 2), CONFIG, 100, 0).comparisons[0].effect
    made = performance(scored(records(300, 2), 2, unread=60), task(), resamples=100, seed=0)
    assert made.records == 300
    assert made.accuracy.value < 0.75


def test_a_patient_with_many_records_counts_once():
    frame = records(300, 1).assign(patient_id="one")
    notes = calibration(answers(scored(frame, 1), task()), CONFIG).notes
    assert notes == ("calibration not judged: 1 outcomes, 29 more needed",)


def test_prevalence():
    before, now = np.repeat([0, 1, -1], [700, 300, 50]), np.repeat([0, 1, -1], [100, 100, 9])
    (found,) = prevalence(before, now, CONFIG, task()).comparisons
    assert found.effect == pytest.approx(0.2)
    assert "'yes' in 50.0% of 200 outcomes, 30.0% of the reference" in found.reason
    assert not prevalence(np.zeros(100, dtype=int), np.zeros(100, dtype=int), CONFIG, task()).comparisons


def three() -> tuple[Scored, object]:
    labels = Label(column="y", classes={"a": ("a",), "b": ("b",), "c": ("c",)})
    frame, rng = records(300, 1), np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 300)
    gold = np.array(["a", "b", "c"])[[rng.choice(3, p=row) for row in p]]
    predictions = Predictions(
        system="c",
        labels=("a", "b", "c"),
        record_ids=tuple(frame["record_id"]),
        log_probs=tuple(map(tuple, np.log(p).tolist())),
        predicted=tuple(np.array(["a", "b", "c"])[p.argmax(1)].tolist()),
    )
    return Scored(frame.assign(label=gold), predictions), task(label=labels)


def test_more_than_two_classes():
    sides, asked = three()
    coded = answers(sides, asked)
    (found,) = calibration(coded, CONFIG).comparisons
    assert "right answers" in found.reason
    assert found.p > 0.001
    (lost,) = losses(coded, coded, CONFIG, 200, 0).comparisons
    assert (lost.column, lost.effect, lost.p) == ("macro-F1", 0, pytest.approx(1, abs=0.3))
    made = performance(sides, asked, resamples=100, seed=0)
    assert made.events is None
    assert made.slope is None
    assert estimate_of(coded, True).accuracy == pytest.approx(made.accuracy.value, abs=0.08)


def test_performance_is_whole_and_survives_json():
    made = performance(scored(records(400, 1), 1), task(), resamples=200, seed=0)
    assert made.records == 400
    assert made.observed_expected.low < 1 < made.observed_expected.high
    assert made.slope.low < made.slope.value < made.slope.high
    assert made.auroc.low < made.auroc.value < made.auroc.high
    few = performance(scored(records(2, 1), 1), task(), resamples=100, seed=0)
    assert Performance(**json.loads(few.model_dump_json())) == few


def test_slope_on_groups_is_that_of_all_records():
    from primum.stats.reliability import calibration_line

    coded = said(3000, 4)
    exact = calibration_line(coded.probability, coded.gold == 1, np.ones((1, 3000)))[1][0]
    made = performance(scored(records(3000, 4), 4), task(), resamples=100, seed=0)
    assert made.slope.value == pytest.approx(exact, rel=0.02)


def test_labels_alone_have_no_probabilities():
    given = scored(records(100, 1), 1)
    bare = given.predictions.model_copy(update={"log_probs": (None,) * 100})
    made = performance(Scored(given.records, bare), task(), resamples=100, seed=0)
    assert made.auroc is None
    assert made.accuracy.value > 0.5


def test_the_estimate_says_what_it_assumes():
    found = estimate_of(said(500, 1, unread=5), True)
    made = performance(scored(records(500, 1), 1, unread=5), task(), resamples=100, seed=0)
    assert found.accuracy == pytest.approx(made.accuracy.value, abs=0.06)
    assert found.auroc == pytest.approx(made.auroc.value, abs=0.06)
    assert "5 answer(s) that could not be read count as wrong" in found.assumption
    assert "do not rely on it" in estimate_of(said(50, 1), False).assumption


def test_predictions_of_other_records_or_labels_are_refused():
    given = scored(records(50, 1), 1)
    with pytest.raises(BadInput, match="other records"):
        answers(Scored(given.records.iloc[::-1], given.predictions), task())
    other = given.predictions.model_copy(update={"labels": ("yes", "no")})
    with pytest.raises(BadInput, match="other labels"):
        answers(Scored(given.records, other), task())
    with pytest.raises(BadInput, match="no records"):
        performance(
            Scored(given.records.assign(label=None), given.predictions), task(), resamples=100, seed=0
        )
