"""What is found in columns: shifts, missing values, schema, units, hidden codes, repeats, names of sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drift_samples import records, task

from primum.config import DriftConfig, Feature
from primum.drift import renamed
from primum.drift.columns import Column, changed_types, declared_columns, pair_columns
from primum.drift.comparison import Comparison, findings
from primum.drift.hidden import hidden_missing
from primum.drift.inputs import categories, missing
from primum.drift.languages import NONE, language
from primum.drift.repeats import fresh
from primum.drift.scored import one_each
from primum.drift.texts import describe
from primum.drift.units import conversions, unit_suggestion

CONFIG = DriftConfig()
RNG = np.random.default_rng(0)


def column(reference, current, **feature) -> Column:
    made = Feature(**({"column": "x"} | feature))
    kind = float if made.kind == "number" else object
    return Column(made, np.array(reference, dtype=kind), np.array(current, dtype=kind))


def test_a_finding_alarms_only_by_both_the_test_and_the_effect():
    def one(p, effect):
        return Comparison("input", "x", "m", "r", p, effect, "e", 0.2)

    found = findings([one(1e-9, 0.1), one(0.2, 0.9), one(1e-9, 0.3), one(None, 0.3), one(None, 0.1)], 0.01)
    assert [f.alarm for f in found] == [True, True, False, False, False]
    assert found[0].p_adjusted is None
    assert found[1].p_adjusted == pytest.approx(1.5e-9)


def test_a_column_that_vanishes_or_appears_is_schema_and_one_that_thins_out_is_missing():
    full, empty = np.arange(100.0), np.full(100, np.nan)
    thin = np.where(np.arange(100) < 3, full, np.nan)
    assert missing(column(full, full), CONFIG) is None
    assert missing(column(empty, empty), CONFIG) is None
    gone, new, thinned = (missing(column(*c), CONFIG) for c in ((full, empty), (empty, full), (full, thin)))
    assert (gone.kind, new.kind, thinned.kind) == ("schema", "schema", "missing")
    assert "vanished" in gone.reason
    assert "never saw" in new.reason
    assert thinned.effect == pytest.approx(0.97)


def test_new_categories_are_counted_and_undeclared_values_never_named():
    reference = np.array(["a"] * 60 + ["b"] * 40, dtype=object)
    current = np.array(["a"] * 30 + ["Smith"] * 70, dtype=object)
    open_, named = (categories("x", reference, current, CONFIG, words=w) for w in (None, {"Smith": "other"}))
    assert "1 value(s) that the reference lacks, in 70.0% of the window" in open_.reason
    assert "Smith" not in open_.reason
    assert "'other' 70.0% now" in named.reason


def test_missing_and_foreign_columns_are_brought_to_their_kind():
    frame = records(40, 1).drop(columns="lactate").assign(sex=1, temp=lambda f: f["temp"].astype(str))
    frame.loc[:9, "temp"] = "high"
    fitted, misfits = declared_columns(frame, task())
    assert misfits == {"temp": 0.25}
    assert fitted["lactate"].isna().all()
    assert fitted["temp"].dtype == np.float64
    assert set(fitted["sex"]) == {"1"}
    found = changed_types(list(pair_columns(fitted, fitted, task())), misfits, 0.1)
    assert [(c.kind, c.column, c.p) for c in found] == [("schema", "temp", None)]


def test_text_that_became_categories_and_the_other_way_round():
    prose = [f"seen on day {i} and again on day {i + 7}" for i in range(40)]
    short = ["stable", "worse"] * 20
    for sides, words in (
        ((prose, short), "free text in the reference"),
        ((short, prose), "free text in the window"),
    ):
        (found,) = changed_types([column(*sides, kind="text")], {}, 0.1)
        assert words in found.reason
    assert not changed_types([column(prose, prose, kind="text")], {}, 0.1)


@pytest.mark.parametrize(
    ("values", "back", "words"),
    [
        (RNG.normal(37, 0.6, 400), lambda v: v * 1.8 + 32, "(x - 32) / 1.8 would bring it back: Fahrenheit"),
        (RNG.normal(98.6, 1.1, 400), lambda v: (v - 32) / 1.8, "Celsius instead of Fahrenheit"),
        (RNG.normal(78, 14, 400), lambda v: v / 0.45359237, "lb instead of kg"),
        (RNG.normal(171, 9, 400), lambda v: v / 2.54, "in instead of cm"),
        (RNG.normal(171, 9, 400), lambda v: v / 100, "a unit 100 times as large"),
        (RNG.normal(5.6, 0.9, 400), lambda v: v * 18.016, "mg/dL instead of mmol/L (glucose)"),
        (RNG.normal(246, 50, 400), lambda v: v / 38.67, "mmol/L instead of mg/dL (cholesterol)"),
        (RNG.normal(80, 15, 400), lambda v: v / 88.42, "mg/dL instead of umol/L (creatinine)"),
        (RNG.normal(14, 1.5, 400), lambda v: v * 10, "a unit 10 times as small"),
    ],
)
def test_units_are_recognised(values, back, words):
    delivered = back(np.random.default_rng(9).permutation(values)[:150])
    assert words in unit_suggestion(Feature(column="x"), values, delivered)


def test_no_unit_is_suggested_where_none_fits_or_nothing_moved():
    values = RNG.normal(37, 0.6, 400)
    assert unit_suggestion(Feature(column="x"), values, values[:100]) is None
    assert unit_suggestion(Feature(column="x"), values, RNG.normal(300, 200, 100)) is None
    assert unit_suggestion(Feature(column="x"), np.full(50, 3.0), RNG.normal(9, 1, 50)) is None


def test_a_part_in_another_unit_is_seen_and_the_declared_unit_decides():
    values = RNG.normal(37, 0.6, 400)
    mixed = np.r_[values[:120], values[120:180] * 1.8 + 32]
    assert "33% of the window lies outside" in unit_suggestion(Feature(column="t", unit="°C"), values, mixed)
    assert {c.of for c in conversions("kg")} == {"kg", ""}


@pytest.mark.parametrize("code", [0.0, 999.0, -1.0])
@pytest.mark.parametrize("side", ["reference", "current"])
def test_codes_of_missing_values_are_named_on_either_side(code, side):
    clean, coded = RNG.normal(240, 40, 300), RNG.normal(240, 40, 300)
    coded[:30] = code
    sides = (coded, clean) if side == "reference" else (clean, coded)
    (found,) = hidden_missing(column(*sides))
    assert found.value == f"{code:g}"
    assert getattr(found, f"{side}_share") == pytest.approx(0.1)


def test_a_code_beyond_the_range_of_few_values_is_named_and_true_zeros_are_not():
    vessels = RNG.integers(0, 4, 300).astype(float)
    coded = np.where(np.arange(300) < 40, 9.0, vessels)
    assert [h.value for h in hidden_missing(column(vessels, coded))] == ["9"]
    depression = np.where(RNG.random(300) < 0.3, 0.0, RNG.exponential(1.0, 300))
    assert not hidden_missing(column(depression, depression))
    assert not hidden_missing(column([], [0.0, 0.0]))


def test_customary_marks_of_open_categories_are_named():
    found = hidden_missing(column(["a", "b"], ["a", "Unknown"], kind="category"))
    assert [h.value for h in found] == ["Unknown"]


def test_repeats_are_counted_once_and_many_look_like_a_batch_delivered_twice():
    reference, window = records(100, 1), records(60, 2)
    old = reference.iloc[:20].assign(record_id=[f"again{i}" for i in range(20)])
    twice = window.iloc[:10].assign(record_id=[f"twice{i}" for i in range(10)], label=None)
    found = fresh(reference, pd.concat([twice, window, old], ignore_index=True), task())
    assert set(found.records["record_id"]) == set(window["record_id"])
    assert len(found.gone) == 30
    assert "20 of 90" in found.notes[0]
    assert "10 of 90" in found.notes[1]
    assert "delivered twice" in found.suggestions[0]


def test_a_patient_who_comes_back_is_no_repeat():
    reference = records(100, 1)
    later = reference.iloc[:50].assign(record_id=[f"later{i}" for i in range(50)], time="2025-09-01")
    assert fresh(reference, later, task()).records is later


def test_without_patient_ids_rows_are_repeats_only_where_they_tell_records_apart():
    plain = task(keys={}, features=("temp", {"column": "sex", "kind": "category"}))
    reference = records(100, 1)
    again = reference.assign(record_id=[f"again{i}" for i in range(100)], patient_id="other")
    assert len(fresh(reference, again, plain).records) == 0
    few = task(keys={}, features=({"column": "sex", "kind": "category"},))
    assert len(fresh(reference, again, few).records) == 100


def test_one_record_of_each_patient_whatever_the_order():
    frame = records(60, 1).assign(patient_id=[f"p{i % 20}" for i in range(60)])
    mixed = frame.sample(frac=1, random_state=1)
    chosen = [set(f.iloc[one_each(f["record_id"], f["patient_id"])]["record_id"]) for f in (frame, mixed)]
    assert len(chosen[0]) == 20
    assert chosen[0] == chosen[1]


def test_half_of_the_reference_does_not_look_foreign_to_the_vocabulary_of_the_other():
    frame = records(400, 1)
    found = describe(column(frame["note"][:200], frame["note"][200:], kind="text"))
    held, window = found.unknown
    assert abs(held.mean() - window.mean()) < 0.02
    assert describe(column(frame["note"][:5], frame["note"][200:], kind="text")) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the patient was seen on the ward and is well", "English"),
        ("der patient ist ohne beschwerden und hat kein fieber", "German"),
        ("le patient est sans fièvre et ne se plaint pas", "French"),
        ("el paciente no tiene fiebre y se encuentra bien", "Spanish"),
        ("il paziente non ha febbre e sta bene con la terapia", "Italian"),
        ("de patiënt heeft geen koorts en is niet benauwd", "Dutch"),
        ("pacjent nie ma gorączki i jest w dobrym stanie", "Polish"),
        ("sinusrhythmus linkstyp", NONE),
        ("", NONE),
    ],
)
def test_languages(text, name):
    assert language(text.split()) == name


def test_renamed_sites():
    known = {"north": records(100, 1), "south": records(100, 2)}
    assert renamed("north", known["north"], known) is None
    assert "'north' renamed" in renamed("nord", known["north"].iloc[:50], known)
    later = known["south"].iloc[:40].assign(temp=1.0)
    assert "100% of its patients are those of 'south'" in renamed("x", later, known)
    assert "did you mean 'north'" in renamed("North.", records(50, 9), known)
    assert renamed("elsewhere", records(50, 9), known) is None
    assert renamed("elsewhere", records(50, 9), {}) is None


def test_running_numbers_that_every_site_has_are_no_shared_patients():
    known = {
        name: records(100, seed).assign(patient_id=range(100)) for seed, name in enumerate(("north", "south"))
    }
    assert renamed("x", records(100, 9).assign(patient_id=range(100)), known) is None
