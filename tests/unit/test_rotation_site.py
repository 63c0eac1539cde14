"""A site's next holdout: fresh patients only, and none whose outcome may have been watched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_rotation import cohort, task_of

from primum.errors import BadInput
from primum.rotation import kept_to_judge, labels_missing, rotate_site


def parts(records: pd.DataFrame, seen: pd.DataFrame, share: float = 0.5) -> pd.Series:
    drawn = rotate_site(records, seen, task_of(), 42, share)
    return pd.Series(drawn.part, index=records["record_id"])


def test_the_holdout_is_every_fresh_patient_that_was_kept_to_judge() -> None:
    seen, fresh = cohort(200), cohort(200, start=1000)
    everyone = pd.concat([seen, fresh], ignore_index=True)
    part = parts(everyone, seen)
    kept = kept_to_judge(fresh["patient_id"], "toy", 0.5)
    assert set(part.index[part == "test"]) == set(fresh["record_id"][kept])
    assert 70 < kept.sum() < 130


def test_validation_is_what_was_watched_lately() -> None:
    seen, fresh = cohort(200), cohort(200, start=1000)
    part = parts(pd.concat([seen, fresh], ignore_index=True), seen)
    watched = fresh["record_id"][~kept_to_judge(fresh["patient_id"], "toy", 0.5)]
    validation = set(part.index[part == "validation"])
    assert validation <= set(watched)
    # 15 of 65 parts of what is not in the holdout, so the other watched ones train
    assert len(validation) == pytest.approx(0.15 / 0.65 * (200 + len(watched)), abs=2)


def test_few_watched_patients_are_joined_by_older_ones() -> None:
    seen, fresh = cohort(300), cohort(110, start=1000)
    part = parts(pd.concat([seen, fresh], ignore_index=True), seen, share=0.8)
    watched = set(fresh["record_id"][~kept_to_judge(fresh["patient_id"], "toy", 0.8)])
    validation = set(part.index[part == "validation"])
    assert len(watched) < 50
    assert watched < validation
    assert len(validation) == pytest.approx(0.15 / 0.65 * (300 + len(watched)), abs=2)


def test_a_patient_tied_to_a_watched_one_does_not_judge() -> None:
    seen, fresh = cohort(200), cohort(200, start=1000)
    kept = kept_to_judge(fresh["patient_id"], "toy", 0.5)
    judged, watched = fresh.index[kept][0], fresh.index[~kept][0]
    fresh.loc[judged, ["x", "label"]] = fresh.loc[watched, ["x", "label"]]  # an equal feature row
    part = parts(pd.concat([seen, fresh], ignore_index=True), seen)
    assert part[fresh.loc[judged, "record_id"]] != "test"


def test_the_side_of_a_patient_does_not_depend_on_who_else_is_asked() -> None:
    many = pd.Series([f"p{i}" for i in range(5000)])
    kept = kept_to_judge(many, "toy", 0.3)
    assert np.array_equal(kept[100:200], kept_to_judge(many[100:200], "toy", 0.3))
    assert kept.mean() == pytest.approx(0.3, abs=0.03)
    assert not np.array_equal(kept, kept_to_judge(many, "other task", 0.3))
    assert kept_to_judge(many, "toy", 0.6)[kept].all()  # a larger share keeps who was kept


def test_too_few_fresh_patients_are_refused_with_the_number() -> None:
    seen, fresh = cohort(200), cohort(30, start=1000)
    everyone = pd.concat([seen, fresh], ignore_index=True)
    with pytest.raises(BadInput, match="more labelled patient"):
        parts(everyone, seen)


def test_labels_missing_counts_patients_and_classes() -> None:
    task = task_of(min_test=30, min_per_class=5)
    some = cohort(40)
    assert labels_missing(some, task) == 0
    assert labels_missing(some.head(22), task) == 8
    none = some.assign(label="no")
    assert labels_missing(none, task) == 5
