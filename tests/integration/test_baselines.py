"""The classical comparators on small synthetic records, with small forests so that the suite stays fast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from primum.baselines import best_classical, fit_baselines, predict_baselines
from primum.config import TaskConfig
from primum.errors import BadInput
from primum.records import BaselineFit


def make_task(*features: Any, classes: tuple[str, ...] = ("no", "yes"), **more: Any) -> TaskConfig:
    data = {
        "name": "demo",
        "source": {"path": "x.csv"},
        "label": {"column": "y", "classes": list(classes)},
        "features": list(features),
        "prompt": {"question": "?"},
    }
    return TaskConfig.model_validate(data | more)


TASK = make_task("age", "empty", {"column": "sex", "kind": "category"})
NOTES = make_task({"column": "note", "kind": "text"})


def make_records(n: int, seed: int) -> pd.DataFrame:
    """Age decides the label, with some noise; `empty` is never recorded."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, n)
    label = np.where(age + rng.normal(0, 3, n) > 60, "yes", "no")
    note = np.where(label == "yes", "severe pain today", "feels well today")
    sex = pd.Series(rng.choice(["m", "f"], n), dtype="str")
    age[rng.random(n) < 0.1] = np.nan
    sex[rng.random(n) < 0.1] = None
    ids = [f"{seed}-{i:03d}" for i in range(n)]
    return pd.DataFrame(
        {"record_id": ids, "label": label, "age": age, "empty": np.nan, "sex": sex, "note": note}
    )


TRAIN, VALIDATION, TEST = make_records(120, 0), make_records(60, 1), make_records(40, 2)


@pytest.fixture(scope="module", autouse=True)
def small_forests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("primum.baselines.TREES", 12)
        yield


@pytest.fixture(scope="module")
def fits(small_forests: None) -> tuple[BaselineFit, ...]:
    return fit_baselines(TRAIN, VALIDATION, TASK, 7)


def test_every_comparator_is_fitted_and_learns(fits: tuple[BaselineFit, ...]) -> None:
    assert [f.name for f in fits] == ["majority", "lasso", "random_forest"]
    scores = {f.name: f.validation["macro_f1"] for f in fits}
    assert scores["lasso"] > 0.8
    assert scores["random_forest"] > 0.75
    assert scores["majority"] < 0.5
    assert set(fits[0].validation) == {"macro_f1", "accuracy", "balanced_accuracy", "log_loss"}


def test_predictions_are_normalised_finite_and_named(fits: tuple[BaselineFit, ...]) -> None:
    found = predict_baselines(fits, TRAIN, TEST, TASK, 7)
    for name, predictions in found.items():
        assert predictions.system == name
        assert predictions.labels == TASK.labels
        assert predictions.record_ids == tuple(TEST["record_id"])
        log_probs = np.array(predictions.log_probs)
        assert np.isfinite(log_probs).all()
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1)
        assert predictions.predicted == tuple(TASK.labels[k] for k in log_probs.argmax(axis=1))


def test_majority_predicts_the_training_prevalence() -> None:
    train = TRAIN.assign(label=["no"] * 30 + ["yes"] * 90)
    fit = fit_baselines(train, VALIDATION, TASK, 7)[:1]
    found = predict_baselines(fit, train, TEST, TASK, 7)["majority"]
    assert found.log_probs[0] == pytest.approx((math.log(0.25), math.log(0.75)))
    assert set(found.predicted) == {"yes"}


def test_validation_metrics_are_those_of_the_predictions(fits: tuple[BaselineFit, ...]) -> None:
    found = predict_baselines(fits, TRAIN, VALIDATION, TASK, 7)
    for fit in fits:
        right = np.mean(np.array(found[fit.name].predicted) == VALIDATION["label"].to_numpy())
        assert fit.validation["accuracy"] == pytest.approx(right)


def test_refit_is_identical_whatever_the_order(fits: tuple[BaselineFit, ...]) -> None:
    shuffled = TRAIN.sample(frac=1, random_state=1)
    assert fit_baselines(shuffled, VALIDATION, TASK, 7) == fits
    first = predict_baselines(fits, TRAIN, TEST, TASK, 7)
    stored = [BaselineFit.model_validate_json(fit.model_dump_json()) for fit in fits]
    assert predict_baselines(stored, shuffled, TEST, TASK, 7) == first


def test_unlabelled_and_unseen_values(fits: tuple[BaselineFit, ...]) -> None:
    records = TEST.drop(columns="label").assign(sex="other", empty=3.0, age=np.nan)
    found = predict_baselines(fits, TRAIN, records, TASK, 7)
    assert all(len(p.predicted) == len(TEST) for p in found.values())


def test_nothing_is_learned_from_validation_or_test() -> None:
    """Records far away change neither the fit nor the others' predictions."""
    far = TEST.assign(age=1e6)
    fits = fit_baselines(TRAIN, VALIDATION, TASK, 7)
    alone = predict_baselines(fits, TRAIN, TEST, TASK, 7)["lasso"]
    both = pd.concat([TEST, far.assign(record_id="far-" + far["record_id"])])
    together = predict_baselines(fits, TRAIN, both, TASK, 7)["lasso"]
    np.testing.assert_allclose(np.array(together.log_probs[: len(TEST)]), np.array(alone.log_probs))


def test_free_text_only() -> None:
    fits = fit_baselines(TRAIN, VALIDATION, NOTES, 7)
    assert [f.name for f in fits] == ["majority", "tfidf"]
    assert fits[1].validation["accuracy"] == 1
    records = TEST.assign(note=None)
    assert len(predict_baselines(fits, TRAIN, records, NOTES, 7)["tfidf"].predicted) == len(TEST)
    assert best_classical(fits, "macro_f1") == "tfidf"


def test_text_and_columns() -> None:
    task = make_task("age", {"column": "note", "kind": "text"})
    fits = fit_baselines(TRAIN, VALIDATION, task, 7)
    assert [f.name for f in fits] == ["majority", "lasso", "tfidf", "random_forest"]


def test_three_classes_one_of_them_not_in_training() -> None:
    task = make_task("age", classes=("no", "yes", "maybe", "never"))

    def third(records: pd.DataFrame) -> pd.DataFrame:
        return records.assign(label=records["label"].where(records["age"] < 70, "maybe"))

    train = third(TRAIN)
    fits = fit_baselines(train, third(VALIDATION), task, 7)
    for predictions in predict_baselines(fits, train, TEST, task, 7).values():
        assert np.exp(np.array(predictions.log_probs))[:, 3].max() < 1e-5
        assert "never" not in predictions.predicted


def test_settings_are_chosen_by_the_primary_metric() -> None:
    noise = np.random.default_rng(3).normal(0, 8, len(TRAIN))
    rare = TRAIN.assign(label=np.where(TRAIN["age"] + noise > 72, "yes", "no"))
    judged = VALIDATION.assign(label=np.where(VALIDATION["age"] + noise[:60] > 72, "yes", "no"))
    chosen = {
        m: fit_baselines(rare, judged, make_task("age", primary_metric=m), 7)[1].validation
        for m in ("accuracy", "balanced_accuracy")
    }
    for metric in chosen:
        assert chosen[metric][metric] == max(values[metric] for values in chosen.values())
    assert chosen["accuracy"] != chosen["balanced_accuracy"]


def fit_with(name: str, value: float) -> BaselineFit:
    return BaselineFit.model_validate({"name": name, "parameters": {}, "validation": {"macro_f1": value}})


def test_best_classical() -> None:
    fits = [fit_with("majority", 0.9), fit_with("random_forest", 0.8), fit_with("lasso", 0.8)]
    assert best_classical(fits, "macro_f1") == "lasso"
    assert best_classical([*fits, fit_with("tfidf", 0.81)], "macro_f1") == "tfidf"
    with pytest.raises(BadInput, match="no classical comparator"):
        best_classical(fits[:1], "macro_f1")


def test_parts_without_labels_are_refused() -> None:
    with pytest.raises(BadInput, match="the validation part needs records"):
        fit_baselines(TRAIN, VALIDATION.head(0), TASK, 7)
    with pytest.raises(BadInput, match="the train part needs records, each with a label"):
        fit_baselines(TRAIN.assign(label=None), VALIDATION, TASK, 7)
