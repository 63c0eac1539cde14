"""Declared subgroups: bands, words, missing values, refusals."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from primum.config import TaskConfig
from primum.subgroups import groups_of


def task(**more: Any) -> TaskConfig:
    data = {
        "name": "t",
        "source": {"path": "x.csv"},
        "label": {"column": "y", "classes": ["no", "yes"]},
        "features": [
            "age",
            {"column": "sex", "values": {0: "female", 1: "male"}},
            {"column": "n", "kind": "text"},
        ],
        "prompt": {"question": "Q"},
    }
    return TaskConfig.model_validate({**data, **more})


def test_groups_are_named_as_people_name_them() -> None:
    records = pd.DataFrame({"age": [39.9, 40, 60, float("nan")], "sex": ["0", "1", None, "0"]})
    found = groups_of(records, task(subgroups=["sex", {"column": "age", "bands": [40, 60]}]))
    assert found["age"] == ("below 40", "40 to below 60", "60 and above", "not recorded")
    assert found["sex"] == ("female", "male", "not recorded", "female")


@pytest.mark.parametrize(
    ("subgroup", "message"),
    [
        ("n", "not a number or category"),
        ("gone", "not a number or category"),
        ("age", "numbers, which need them"),
        ({"column": "sex", "bands": [1]}, "bands are for numbers"),
        ({"column": "age", "bands": [2, 1]}, "ascending"),
    ],
)
def test_subgroups_that_cannot_be_formed_are_refused(subgroup: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        task(subgroups=[subgroup])
