"""The next holdout: what no earlier split has seen, whatever the order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.config import TaskConfig
from primum.duplicates import comparable, row_keys
from primum.errors import BadInput
from primum.rotation import fresh_records, rotate, too_few
from primum.split import assign, leakage

CLEAN = {"patients": 0, "identical_rows": 0, "near_duplicates": 0}


def task_of(features: list[Any] | None = None, **split: Any) -> TaskConfig:
    return TaskConfig.model_validate(
        {
            "name": "toy",
            "source": {"path": "toy.csv"},
            "label": {"column": "y", "classes": ["no", "yes"]},
            "features": features or ["x"],
            "prompt": {"question": "Is it?"},
            "split": split,
        }
    )


def cohort(n: int, seed: int = 0, start: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng([seed, start])
    return pd.DataFrame(
        {
            "record_id": [f"r{start + i:06d}" for i in range(n)],
            "patient_id": [f"p{start + i}" for i in range(n)],
            "site": rng.choice(["north", "south"], n),
            "time": None,
            "label": rng.choice(["no", "yes"], n, p=[0.6, 0.4]),
            "x": rng.normal(size=n),
        }
    )


def outcome(records: pd.DataFrame, seen: pd.DataFrame | None, task: TaskConfig, seed: int) -> Any:
    try:
        return (assign(records, task, seed) if seen is None else rotate(records, seen, task, seed)).part
    except BadInput as problem:
        return str(problem)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(60, 160), min_size=2, max_size=4),
    st.integers(0, 2**32),
    st.floats(0, 0.5),
    st.floats(0, 0.3),
    st.floats(0, 0.2),
)
def test_no_holdout_ever_holds_a_patient_that_an_earlier_part_held(
    sizes: list[int], seed: int, returning: float, copies: float, withdrawn: float
) -> None:
    """A source that grows again and again: patients come back, rows are copied, others are withdrawn."""
    rng, task = np.random.default_rng(seed), task_of(min_per_class=1, min_test=10)
    source, seen = cohort(0), None
    for size in sizes:
        new = cohort(size, seed, start=1000 * (1 + len(source)))
        if len(source):
            back = rng.random(size) < returning
            new.loc[back, "patient_id"] = rng.choice(source["patient_id"], int(back.sum()))
            copied = rng.random(size) < copies
            new.loc[copied, "x"] = rng.choice(source["x"], int(copied.sum()))
            source = source[rng.random(len(source)) >= withdrawn]
        source = pd.concat([source, new], ignore_index=True)
        shuffled = source.iloc[rng.permutation(len(source))].reset_index(drop=True)
        part, again = outcome(source, seen, task, seed), outcome(shuffled, seen, task, seed)
        if isinstance(part, str) or isinstance(again, str):
            assert part == again
            return
        assert dict(zip(source["record_id"], part, strict=True)) == dict(
            zip(shuffled["record_id"], again, strict=True)
        )
        assert set(part) == {"train", "validation", "test"}
        holdout = source[part == "test"]
        assert leakage(source[part != "test"], holdout, task).model_dump() == CLEAN
        if seen is not None:
            assert not set(holdout["patient_id"]) & set(seen["patient_id"])
            assert not set(holdout["record_id"]) & set(seen["record_id"])
            assert not set(row_keys(comparable(holdout, task))) & set(row_keys(comparable(seen, task)))
        seen = source if seen is None else pd.concat([seen, source]).drop_duplicates(ignore_index=True)


def test_everyone_who_was_seen_trains_and_the_new_ones_fill_the_holdout() -> None:
    old, task = cohort(400), task_of()
    records = pd.concat([old, cohort(100, start=400)], ignore_index=True)
    part = rotate(records, old, task, 1).part
    assert (part[400:] == "test").all()  # the share of 500 would be 175
    assert pd.Series(part[:400]).value_counts().to_dict() == {"train": 308, "validation": 92}


def test_new_patients_beyond_the_holdouts_share_train_too_and_strata_keep_their_shares() -> None:
    old, task = cohort(100), task_of()
    records = pd.concat([old, cohort(900, start=100)], ignore_index=True)
    part = rotate(records, old, task, 1).part
    assert pd.Series(part).value_counts().to_dict() == {"train": 500, "test": 350, "validation": 150}
    assert not (part[:100] == "test").any()
    table = pd.crosstab([records["label"], records["site"]][0][100:], part[100:] == "test")
    share = table[True] / table.sum(axis=1)
    assert (abs(share - 350 / 900) < 0.02).all()


def test_the_seed_decides_who_of_the_new_ones_is_held_out() -> None:
    old, task = cohort(100), task_of()
    records = pd.concat([old, cohort(900, start=100)], ignore_index=True)
    first, again, other = (rotate(records, old, task, seed).part for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.2


def test_a_record_is_seen_by_id_patient_row_or_text_and_by_a_copy_of_a_copy() -> None:
    words = [f"w{i}" for i in range(60)]
    task = task_of(["x", {"column": "note", "kind": "text"}])
    records = cohort(8)
    records["note"] = [f"note {i} " + " ".join(f"n{i}x{j}" for j in range(30)) for i in range(8)]
    seen = records.iloc[[0]].assign(record_id="old", patient_id="old", x=9.0, note=" ".join(words[:30]))
    assert fresh_records(records, seen, task).all()
    records.loc[0, "record_id"] = "old"
    records.loc[1, "patient_id"] = "old"
    records.loc[2, ["x", "note"]] = seen[["x", "note"]].iloc[0].to_numpy()
    records.loc[3, "note"] = " ".join(words[8:45])  # most of it stands in the seen text
    records.loc[4, "note"] = " ".join(words[20:52])  # a copy of that one only
    records.loc[5, "patient_id"] = records.loc[4, "patient_id"]
    assert fresh_records(records, seen, task).tolist() == [False] * 6 + [True] * 2


def test_a_feature_that_the_old_split_had_not_does_not_stop_it() -> None:
    old = cohort(100).drop(columns="x")
    records = cohort(200)
    assert fresh_records(records, old, task_of()).sum() == 100


def test_too_few_new_patients_are_refused_with_what_is_missing() -> None:
    old, task = cohort(300), task_of()
    new = cohort(40, start=300)
    new["label"] = ["yes"] * 3 + ["no"] * 37
    records = pd.concat([old, new], ignore_index=True)
    with pytest.raises(BadInput, match=r"would hold 40 patients .*\(no 37, yes 3\) and needs 30") as problem:
        rotate(records, old, task, 1)
    assert str(problem.value).endswith("2 more labelled patient(s) are needed, among them 2 of class 'yes'")
    with pytest.raises(BadInput, match=r"would hold 12 patients .* 18 more labelled patient"):
        rotate(records.iloc[:312].assign(label=["no", "yes"] * 156), old, task, 1)
    with pytest.raises(BadInput, match="would hold 0 patients"):
        rotate(old, old, task, 1)


def test_what_is_enough_for_a_holdout_is_said_in_the_same_words() -> None:
    task = task_of(min_test=10, min_per_class=2)
    enough = cohort(10).assign(label=["no", "yes"] * 5)
    assert too_few(enough, task) == ""
    assert too_few(enough.head(7), task) == "3 more labelled patient(s) are needed"
    assert too_few(enough.head(0), task).startswith("10 more labelled patient(s) are needed, among them 2 of")


def test_a_record_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="record ids"):
        rotate(pd.concat([cohort(300)] * 2), cohort(10), task_of(), 1)
