"""A recalibrated champion: other probabilities, the same weights, and with a threshold the same decisions."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from primum.calibration import Calibration
from primum.sites.recalibration import _updated
from primum.stats.calibration import Isotonic, Platt


def scores(n: int = 600, shift: float = -1.2) -> tuple[np.ndarray, np.ndarray]:
    """Raw log-probabilities of two classes, and outcomes that come less often than they say."""
    rng = np.random.default_rng(1)
    logit = rng.normal(0, 1.5, n)
    gold = (rng.random(n) < expit(logit + shift)).astype(int)
    return log_softmax(np.c_[np.zeros(n), logit], axis=1), gold


@pytest.mark.parametrize(
    "present",
    [
        Calibration(positive=1, temperature=1.3, threshold=0.6),
        Calibration(positive=1, recalibration=Platt(0.3, 0.8), threshold=0.4),
    ],
)
def test_a_threshold_moves_with_the_probabilities(present: Calibration) -> None:
    log_probs, gold = scores()
    updated = _updated(present, log_probs, gold)
    assert updated is not None
    before, after = present.scale(log_probs), updated.scale(log_probs)
    assert np.array_equal(present.answers(before), updated.answers(after))
    assert abs(np.exp(before[:, 1]).sum() - gold.sum()) > 60
    assert np.exp(after[:, 1]).sum() == pytest.approx(gold.sum(), abs=2)
    assert np.array_equal(before[:, 1].argsort(), after[:, 1].argsort())  # who is at more risk stays so
    assert updated.decides_as(present)
    assert present.decides_as(updated)
    assert not updated.decides_as(present.model_copy(update={"threshold": 0.5}))


def test_decisions_are_called_the_same_only_where_that_is_known() -> None:
    cut = Calibration(positive=1, threshold=0.4)
    assert cut.decides_as(cut.model_copy(update={"recalibration": Platt(0.0, 1.0)}))
    steps = Isotonic(x=(0.0, 1.0), y=(0.0, 1.0))
    for other in (
        Calibration(positive=1),
        Calibration(positive=0, threshold=0.4),
        Calibration(positive=1, threshold=0.4, recalibration=Platt(0.0, -1.0)),
        Calibration(positive=1, threshold=0.4, recalibration=steps),
    ):
        assert not cut.decides_as(other)
        assert not other.decides_as(cut)
    assert not Calibration(positive=1).decides_as(Calibration(positive=1))


def test_without_a_threshold_the_more_probable_class_is_answered() -> None:
    log_probs, gold = scores()
    updated = _updated(Calibration(positive=1), log_probs, gold)
    assert updated is not None
    assert updated.threshold is None


def test_right_probabilities_ask_for_nothing() -> None:
    log_probs, gold = scores(shift=0.0)
    assert _updated(Calibration(positive=1), log_probs, gold) is None
