from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.config import TaskConfig
from primum.errors import BadInput
from primum.split import PARTS, Assignment, apportion, assign, leakage


def task_of(
    features: list[Any] | None = None, classes: tuple[str, ...] = ("no", "yes"), **split: Any
) -> TaskConfig:
    return TaskConfig.model_validate(
        {
            "name": "toy",
            "source": {"path": "toy.csv"},
            "label": {"column": "y", "classes": list(classes)},
            "features": features or ["x"],
            "prompt": {"question": "Is it?"},
            "split": split,
        }
    )


def cohort(n: int, seed: int = 0, classes: tuple[str, ...] = ("no", "yes"), sites: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "record_id": [f"r{i:06d}" for i in rng.permutation(n)],
            "patient_id": [f"p{i}" for i in range(n)],
            "site": rng.choice([f"site{i}" for i in range(sites)], n),
            "time": None,
            "label": rng.choice(
                classes, n, p=np.arange(1, len(classes) + 1) / np.arange(1, len(classes) + 1).sum()
            ),
            "x": rng.normal(size=n),
        }
    )


def by_id(records: pd.DataFrame, part: np.ndarray) -> dict[str, str]:
    return dict(zip(records["record_id"], part, strict=True))


def outcome(records: pd.DataFrame, task: TaskConfig, seed: int) -> Assignment | str:
    try:
        return assign(records, task, seed)
    except BadInput as problem:
        return str(problem)


def test_shares_are_those_of_the_config_and_every_stratum_has_them() -> None:
    records, task = cohort(1000, sites=4), task_of()
    part = assign(records, task, 1).part
    assert pd.Series(part).value_counts().to_dict() == {"train": 500, "validation": 150, "test": 350}
    table = pd.crosstab([records["label"], records["site"]], part)
    share = table.div(table.sum(axis=1), axis=0)
    for name, wanted in {"train": 0.5, "validation": 0.15, "test": 0.35}.items():
        assert (abs(share[name] - wanted) * table.sum(axis=1) <= 2).all()


def test_the_seed_decides_and_nothing_else() -> None:
    records, task = cohort(300), task_of()
    first, again, other = (assign(records, task, seed).part for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.3


@settings(max_examples=8, deadline=None)
@given(st.integers(60, 200), st.integers(0, 2**32), st.integers(1, 5), st.floats(0, 0.6), st.data())
def test_order_of_rows_never_matters_and_groups_are_never_torn(
    n: int, seed: int, sites: int, copies: float, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    records = cohort(n, seed, sites=sites)
    records["patient_id"] = [f"p{i}" for i in rng.integers(0, max(40, n // 2), n)]
    records["x"] = np.where(rng.random(n) < copies, rng.integers(0, 20, n), records["x"])
    task = task_of(min_per_class=1, min_test=10)
    shuffled = records.iloc[rng.permutation(n)].reset_index(drop=True)
    found, again = outcome(records, task, seed), outcome(shuffled, task, seed)
    if isinstance(found, str) or isinstance(again, str):
        assert found == again
        return
    assert by_id(records, found.part) == by_id(shuffled, again.part)
    assert (found.duplicate_groups, found.notes) == (again.duplicate_groups, again.notes)
    for column in ("patient_id", "x"):
        assert pd.Series(found.part).groupby(records[column].to_numpy()).nunique().max() == 1
    held = found.part == "test"
    assert leakage(records[~held], records[held], task).model_dump() == {
        "patients": 0, "identical_rows": 0, "near_duplicates": 0,
    }  # fmt: skip


def test_copies_stay_together_and_are_counted() -> None:
    records, task = cohort(300), task_of()
    records.loc[records.index[10:14], "x"] = 0.0
    records.loc[records.index[12], "x"] = -0.0
    records.loc[records.index[20:22], "x"] = np.nan
    found = assign(records, task, 3)
    assert found.duplicate_groups == 2
    assert len(set(found.part[10:14])) == len(set(found.part[20:22])) == 1


def test_a_patients_rare_label_decides_the_stratum() -> None:
    records = cohort(900)
    records["label"] = np.where(np.arange(900) % 30 == 0, "yes", "no")
    records["patient_id"] = [f"p{i // 3}" for i in range(900)]  # 300 patients, 30 of them with one "yes"
    part = assign(records, task_of(min_per_class=1), 5).part
    yes = pd.Series(part[records["label"] == "yes"]).value_counts()[list(PARTS)]
    assert (yes - [15, 4.5, 10.5]).abs().max() <= 0.5


def test_a_group_that_holds_most_records_is_kept_whole_and_reported() -> None:
    records = cohort(400)
    records.loc[records.index[:160], "x"] = 1.0
    found = assign(records, task_of(), 1)
    assert len(set(found.part[:160])) == 1
    assert "160 of 400 records (40%)" in found.notes[0]
    assert "50% / 15% / 35%" in found.notes[0]
    assert (
        pd.Series(found.part).value_counts()["train"] == 200
    )  # what is left fills the parts to their shares


def test_a_low_information_table_is_split_by_whole_rows() -> None:
    records = cohort(600)
    records["x"] = np.random.default_rng(1).integers(0, 12, 600).astype(float)
    part = assign(records, task_of(), 1).part
    assert pd.Series(part).groupby(records["x"].to_numpy()).nunique().max() == 1
    assert abs((part == "train").mean() - 0.5) < 0.08


def test_one_group_of_everything_is_refused_with_the_reason() -> None:
    records = cohort(300).assign(x=1.0)
    with pytest.raises(
        BadInput, match=r"holdout would hold 0 of 300 patients and needs 30.*300 of 300 records"
    ):
        assign(records, task_of(), 1)


def test_too_few_patients_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        BadInput, match="holdout would hold 21 of 60 patients and needs 30; bring 86 patients"
    ):
        assign(cohort(60), task_of(), 1)


def test_a_small_class_is_refused_with_the_numbers() -> None:
    records = cohort(300)
    records["label"] = ["yes"] * 12 + ["no"] * 288
    with pytest.raises(
        BadInput, match=r"class 'yes' is too small: of its 12 records train \d, validation \d, test \d"
    ):
        assign(records, task_of(), 1)
    with pytest.raises(BadInput, match=r"needs 5; bring 34 of them, or raise split.validation"):
        assign(records, task_of(), 1)


def test_a_class_without_records_is_refused() -> None:
    with pytest.raises(BadInput, match="class 'maybe' is too small: of its 0 records"):
        assign(cohort(300), task_of(classes=("no", "maybe", "yes")), 1)


def test_isotonic_calibration_of_few_records_is_refused_before_anything_is_trained() -> None:
    task = task_of().model_copy(update={"calibration": "isotonic"})
    with pytest.raises(BadInput, match=r"isotonic .* needs 1,000 validation records, these are \d+; use"):
        assign(cohort(300), task, 1)


def test_a_record_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="record ids"):
        assign(pd.concat([cohort(300)] * 2), task_of(), 1)


def test_leakage_is_found_in_a_torn_split() -> None:
    records = cohort(200)
    records["note"] = [f"patient {i} " + " ".join(f"w{i}n{j}" for j in range(20)) for i in range(200)]
    task = task_of(["x", {"column": "note", "kind": "text"}])
    training, holdout = records[:100], records[100:].copy()
    clean = leakage(training, holdout, task)
    assert (clean.patients, clean.identical_rows, clean.near_duplicates) == (0, 0, 0)
    holdout.iloc[0, holdout.columns.get_loc("patient_id")] = training["patient_id"].iloc[3]
    for column in ("x", "note"):
        holdout.iloc[1, holdout.columns.get_loc(column)] = training[column].iloc[5]
    half = training["note"].iloc[7].split()[:14]
    holdout.iloc[2, holdout.columns.get_loc("note")] = " ".join([*half, "but", "then", "it", "changed"])
    torn = leakage(training, holdout, task)
    assert (torn.patients, torn.identical_rows, torn.near_duplicates) == (1, 1, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=3, max_size=3), st.lists(st.floats(-3, 3), min_size=2, max_size=2))
def test_apportion_sums_up_and_is_near(quota: list[float], carry: list[float]) -> None:
    wanted = np.array(quota) + np.array([*carry, -sum(carry)])
    total = max(0, round(sum(quota)))
    seats = apportion(wanted, total)
    assert seats.sum() == total
    assert (seats >= 0).all()
    if (wanted >= 0).all() and abs(wanted.sum() - total) < 1e-6:
        assert (abs(seats - wanted) < 1 + 1e-6).all()


def test_parts_are_in_the_order_of_the_contract() -> None:
    assert PARTS == ("train", "validation", "test")
