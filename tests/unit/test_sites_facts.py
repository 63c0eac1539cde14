from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from primum.failures import why_one
from primum.records import Outcome
from primum.schedule import Decided
from primum.sites.champions import Keys
from primum.sites.facts import _new_labels

PATIENTS = pd.Series(["a", "a", "b", "c"])
SEEN = np.array([True, True, True, False])


@pytest.mark.parametrize(("outcome", "count"), [(None, 3), ("PROMOTE", 3), ("HOLD", 1), ("REJECT", 1)])
def test_labels_of_a_refused_candidate_do_not_ask_for_the_same_one_again(
    outcome: Outcome | None, count: int
) -> None:
    at = datetime(2021, 1, 1, tzinfo=UTC)
    decided = None if outcome is None else Decided(at=at, outcome=outcome, recalibration=False)
    assert _new_labels(PATIENTS, SEEN, decided) == count


def test_keys_hold_records_and_all_records_of_their_patients() -> None:
    known = pd.DataFrame({"record_id": ["r1", "r1"], "patient_id": ["p1", "p1"]})
    asked = pd.DataFrame({"record_id": ["r1", "r2", "r3"], "patient_id": ["x", "p1", "p2"]})
    assert Keys([known]).hold(asked).tolist() == [True, True, False]
    assert not Keys([]).hold(asked).any()
    assert Keys([known]).hold(asked.iloc[:0]).tolist() == []


def test_a_signal_that_is_meant_for_the_whole_run_is_no_failure_of_one_site() -> None:
    stopped = type("RunStoppedException", (Exception,), {})
    with pytest.raises(stopped):
        why_one(stopped("a TERM signal"))
    assert "a patient" not in why_one(ZeroDivisionError("a patient"))
