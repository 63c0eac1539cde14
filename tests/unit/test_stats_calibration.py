"""Temperature scaling."""

import numpy as np
import pytest
from scipy.special import log_softmax

from primum.errors import BadInput
from primum.stats.calibration import apply_temperature, fit_temperature


def overconfident(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = log_softmax(rng.normal(0, 2, (n, 3)), axis=1)
    gold = np.array([rng.choice(3, p=np.exp(row)) for row in true])
    return log_softmax(true * temperature, axis=1), gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(temperature: float) -> None:
    log_probs, gold = overconfident(4000, temperature)
    assert fit_temperature(log_probs, gold) == pytest.approx(temperature, rel=0.08)


def test_applied_rows_are_normalised_and_keep_their_order() -> None:
    log_probs, _ = overconfident(50, 2)
    cooled = apply_temperature(log_probs, 2.5)
    assert np.exp(cooled).sum(1) == pytest.approx(np.ones(50))
    assert (cooled.argsort(1) == log_probs.argsort(1)).all()
    assert apply_temperature(log_probs, 1.0) == pytest.approx(log_probs)


def test_a_faultless_validation_part_does_not_make_the_model_sure() -> None:
    gold = np.tile([0, 1], 20)
    log_probs = np.log(np.where(np.eye(2)[gold] == 1, 0.8, 0.2))
    fitted = np.exp(apply_temperature(log_probs, fit_temperature(log_probs, gold)))
    assert fitted.max() == pytest.approx(41 / 42, abs=1e-3)  # rule of succession


@pytest.mark.parametrize(
    ("log_probs", "gold", "words"),
    [
        (np.log([[0.5, 0.4]]), [0], "sum to 1"),
        (np.array([[np.nan, 0.0]]), [0], "row 0"),
        (np.log([[0.5, 0.5]]), [0, 1], "one each"),
        (np.log([[0.5, 0.5]]), [2], "0..1"),
    ],
)
def test_bad_probabilities_are_refused(log_probs: np.ndarray, gold: list[int], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        fit_temperature(log_probs, np.array(gold))


def test_temperature_must_be_positive() -> None:
    with pytest.raises(BadInput, match="greater than 0"):
        apply_temperature(np.zeros((1, 2)), 0)
