"""What `primum predict` writes of label sets, and how they come to be: fitted on validation, served alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_scoring import RAW, Stumbling, make_task

from primum.backends.base import Recipe
from primum.backends.fake import FakeBackend
from primum.bundle import Bundle, BundleCard
from primum.calibration import Calibration
from primum.config import ModelConfig, TaskConfig
from primum.errors import BadInput
from primum.prompts import Renderer, fit_renderer
from primum.records import UNPARSED, Predictions, RegisteredVersion
from primum.scoring import score_records
from primum.selection import calibrate
from primum.served import REFER, summary, table
from primum.stats.conformal import Conformal

LABELS = ("well", "ill")
VERSION = RegisteredVersion(
    task="toy", site="all", number=3, stage="production", anchor=False, outcome="PROMOTE",
    bundle_sha256="b" * 64, adapter_sha256="a" * 64, ledger_entry="e", reasons=(),
)  # fmt: skip


def bundle(conformal: Conformal | None) -> Bundle:
    card = BundleCard(
        task="toy",
        site="all",
        base_id="fake:toy",
        base_hash="b" * 64,
        renderer=Renderer(
            question="Ill?", numbers="raw", features=(), verbalizers={"well": "no", "ill": "yes"}
        ),
        labels=LABELS,
        positive="ill",
        conformal=conformal,
        split_version="s.dir",
        recipe=Recipe(),
        rank=2,
        seed=3,
        adapter_sha256="a" * 64,
        code_version="0",
        git_revision="none",
    )
    return Bundle(path="x", sha256="b" * 64, card=card)


def served(**more: Any) -> Predictions:
    return Predictions(
        system="toy",
        labels=LABELS,
        record_ids=("1", "2", "3", "4", "5"),
        log_probs=(*((float(np.log(1 - p)), float(np.log(p))) for p in (0.1, 0.45, 0.3, 0.2)), None),
        predicted=("well", "well", "well", "well", UNPARSED),
        **more,
    )


def test_each_row_tells_its_set_who_decides_and_whose_thresholds() -> None:
    conformal = Conformal(
        coverage=0.9, pooled=(0.4, 0.6), sites={"b": (0.3, 0.3)}, patients={"a": (1, 2), "b": (50, 60)}
    )
    sets = (("well",), ("well", "ill"), (), ("ill",), LABELS)
    made = table(served(label_sets=sets), VERSION, bundle(conformal), ["a", "b", "a", "b", "new"])
    assert made["label_set"].tolist() == ["well", "well|ill", "", "ill", "well|ill"]
    assert made["refer"].tolist() == ["", REFER, REFER, REFER, REFER]  # the 4th: alone, but not the label
    assert made["set_basis"].tolist() == ["pooled", "site", "pooled", "site", "pooled (site never seen)"]
    assert made.columns[-1] == "adapter"
    assert summary(made) == (
        "5 records, 4 (80.0%) referred to a human; 1 of a site never seen: pooled thresholds"
    )


def test_the_probability_is_that_of_the_label_that_is_answered() -> None:
    low = served().model_copy(
        update={"predicted": ("ill", "well", "ill", "well", UNPARSED)}
    )  # a low threshold
    made = table(low, VERSION, bundle(None), ["a"] * 5)
    assert made["probability"].tolist()[:4] == pytest.approx([0.1, 0.55, 0.3, 0.8])
    assert np.isnan(made["probability"].iloc[4])


def test_a_version_without_label_sets_says_so() -> None:
    made = table(served(), VERSION, bundle(None), ["a"] * 5)
    assert not {"label_set", "refer", "set_basis"} & set(made.columns)
    assert "before there were label sets" in summary(made)


@pytest.fixture(scope="module")
def validation() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "record_id": [str(i) for i in range(120)],
            "patient_id": [f"p{i // 2}" for i in range(120)],
            "site": np.where(np.arange(120) < 80, "a", "b"),
            "label": np.repeat(rng.permutation(["well", "ill"] * 30), 2),
            "age": rng.normal(60, 10, 120),
            "sex": rng.choice(["1", "2"], 120),
            "note": ["same"] * 120,
        }
    )


def test_sets_fitted_on_validation_are_those_that_are_served(validation: pd.DataFrame) -> None:
    renderer = fit_renderer(make_task(), ModelConfig(name="m"), validation)
    fitted = calibrate(FakeBackend(), renderer, validation, make_task(), 0.8)
    conformal = fitted.conformal
    assert fitted.threshold is None
    assert conformal is not None
    assert conformal.patients.keys() == {"a", "b"}
    assert sum(map(sum, conformal.patients.values())) == 60  # patients, not records
    made = score_records(FakeBackend(), renderer, validation, system="s", calibration=fitted)
    covered = [label in held for label, held in zip(validation["label"], made.label_sets, strict=True)]
    assert np.mean(covered) >= 0.8  # on what it was fitted on, this cannot fail
    assert len(made.label_sets) == 120
    none = score_records(FakeBackend(), renderer, validation[:0], system="s", calibration=fitted)
    assert none.label_sets == ()


def test_what_cannot_be_read_gets_every_label_and_no_part_in_the_fit(validation: pd.DataFrame) -> None:
    renderer = fit_renderer(make_task(), RAW, validation)
    fitted = calibrate(Stumbling(), renderer, validation, make_task(), 0.8)
    assert fitted.conformal is not None
    made = score_records(Stumbling(), renderer, validation, system="s", calibration=fitted)
    assert {made.label_sets[i] for i in range(1, 120, 2)} == {LABELS}

    class Mute(FakeBackend):
        def score(self, prompts: Any, labels: Any, progress: Any = None) -> np.ndarray:
            return np.full((len(prompts), len(labels)), -np.inf)

    assert calibrate(Mute(), renderer, validation, make_task(), 0.8) == Calibration()


def task_with(**changes: Any) -> TaskConfig:
    return TaskConfig.model_validate(make_task().model_dump() | changes)


@pytest.mark.parametrize(
    ("point", "rises"), [({"rule": "youden"}, True), ({"rule": "sensitivity", "value": 1}, False)]
)
def test_the_threshold_chosen_on_validation_is_the_one_that_is_served(
    validation: pd.DataFrame, point: dict[str, Any], rises: bool
) -> None:
    task = task_with(operating_point=point)
    renderer = fit_renderer(task, ModelConfig(name="m"), validation)
    fitted = calibrate(FakeBackend(), renderer, validation, task, 0.8)
    threshold = fitted.threshold
    assert threshold is not None

    def served(by: Calibration) -> Predictions:
        return score_records(FakeBackend(), renderer, validation, system="s", calibration=by)

    positive = LABELS.index("ill")
    made, plain = served(fitted), served(fitted.model_copy(update={"threshold": None}))
    assert made.log_probs == plain.log_probs
    chances = [float(np.exp(row[positive])) for row in made.log_probs if row is not None]
    assert [p >= threshold for p in chances] == [label == "ill" for label in made.predicted]
    ill = (validation["label"] == "ill").to_numpy()

    def shares(labels: Predictions) -> tuple[float, float]:
        said = np.array(labels.predicted) == "ill"
        return float(said[ill].mean()), float((~said)[~ill].mean())

    if rises:
        assert sum(shares(made)) >= sum(shares(plain))
    else:
        assert shares(made)[0] == 1


def test_a_threshold_needs_two_classes_and_its_value() -> None:
    with pytest.raises(ValueError, match="two classes"):
        task_with(
            operating_point={"rule": "youden"},
            label={"column": "y", "classes": ["a", "b", "c"]},
            prompt={"question": "?"},
        )
    with pytest.raises(ValueError, match="needs a value"):
        task_with(operating_point={"rule": "cost"})
    with pytest.raises(ValueError, match="takes no value"):
        task_with(operating_point={"rule": "youden", "value": 1})


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_recalibration_is_fitted_on_validation_kept_in_the_bundle_and_served(
    validation: pd.DataFrame, method: str
) -> None:
    many = pd.concat([validation] * 9, ignore_index=True)  # isotonic regression refuses fewer than 1,000
    many["record_id"] = [str(i) for i in range(len(many))]
    task = task_with(calibration=method)
    renderer = fit_renderer(task, ModelConfig(name="m"), many)
    fitted = calibrate(FakeBackend(), renderer, many, task, 0.8)
    assert fitted.temperature == 1
    raw = score_records(FakeBackend(), renderer, many, system="s")
    made = score_records(FakeBackend(), renderer, many, system="s", calibration=fitted)
    positive = LABELS.index("ill")

    def chances(predictions: Predictions) -> np.ndarray:
        return np.array([np.exp(row[positive]) for row in predictions.log_probs if row is not None])

    ill = (many["label"] == "ill").to_numpy()
    assert chances(made).mean() == pytest.approx(ill.mean(), abs=0.01)
    assert ((chances(made) - ill) ** 2).mean() < ((chances(raw) - ill) ** 2).mean()
    assert Calibration.model_validate_json(fitted.model_dump_json()) == fitted


def test_few_records_are_not_enough_for_isotonic_regression(validation: pd.DataFrame) -> None:
    task = task_with(calibration="isotonic")
    renderer = fit_renderer(task, ModelConfig(name="m"), validation)
    with pytest.raises(BadInput, match="needs at least 1000 validation records"):
        calibrate(FakeBackend(), renderer, validation, task, 0.8)
