"""What validation alone decides about serving: from a model's raw log-probabilities to label and label set.

Evaluation and serving both go through `Calibration`, so that a patient gets what the gate has judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.config import TaskConfig
from primum.errors import BadInput
from primum.records import Frozen
from primum.stats.calibration import (
    Isotonic,
    Platt,
    apply_temperature,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    safe_logit,
)
from primum.stats.conformal import Conformal, fit_conformal
from primum.stats.decision import choose_threshold

EDGE = 1e-6
"""Recalibrated probabilities stay this far from 0 and 1: no patient's outcome is certain."""


class Calibration(Frozen):
    """Everything fitted on validation; the default changes nothing."""

    temperature: float = 1.0
    recalibration: Platt | Isotonic | None = None
    """Of the positive class's probability (two classes)."""
    positive: int | None = None
    """Index of the positive class."""
    threshold: float | None = None
    """Probability from which the positive class is answered; None: the most probable class is."""
    conformal: Conformal | None = None

    @property
    def described(self) -> str:
        """How the probabilities were calibrated, in words."""
        if isinstance(self.recalibration, Platt):
            a, b = self.recalibration.intercept, self.recalibration.slope
            return f"Platt scaling (intercept {a:.3g}, slope {b:.3g})"
        if isinstance(self.recalibration, Isotonic):
            return "isotonic regression"
        return f"temperature {self.temperature:.3g}"

    def scale(self, log_probs: NDArray[Any]) -> NDArray[Any]:
        """Calibrated log-probabilities (n, K) of finite raw ones."""
        scaled = apply_temperature(log_probs, self.temperature)
        if self.recalibration is None or self.positive is None:
            return scaled
        raw = np.exp(scaled[:, self.positive])
        p = np.clip(self.recalibration.apply(raw), EDGE, 1 - EDGE)
        made = np.empty_like(scaled)
        made[:, self.positive], made[:, 1 - self.positive] = np.log(p), np.log1p(-p)
        return made

    def answers(self, log_probs: NDArray[Any]) -> NDArray[Any]:
        """Index (n,) of the label that is answered, of calibrated log-probabilities (n, K)."""
        if self.threshold is None or self.positive is None:
            return np.asarray(log_probs.argmax(axis=1))
        above = np.exp(log_probs[:, self.positive]) >= self.threshold
        return np.where(above, self.positive, 1 - self.positive)

    def decides_as(self, other: Calibration) -> bool:
        """Whether both call the very same patients positive, whatever the model says.

        Temperature and Platt scaling keep the order of patients, so a decision is a cut through the raw log-odds.
        False where that is not known: no threshold, isotonic regression, another positive class.
        """
        mine, theirs = self._cut(), other._cut()
        if mine is None or theirs is None or self.positive != other.positive:
            return False
        return bool(np.isclose(mine, theirs, rtol=1e-9, atol=1e-9))

    def _cut(self) -> float | None:
        """The raw log-odds from which the positive class is answered.

        None where no cut is known, or it lies among probabilities that are clipped: there patients whose raw
        log-odds differ are scored alike.
        """
        line = self.recalibration or Platt(0.0, 1.0)
        if self.threshold is None or self.positive is None or not isinstance(line, Platt) or line.slope <= 0:
            return None
        end, at = safe_logit(np.array([1 - EDGE, self.threshold])).tolist()
        scaled = (at - line.intercept) / line.slope
        return self.temperature * scaled if abs(at) < end and abs(scaled) < end else None


def fit_calibration(  # noqa: PLR0913
    log_probs: NDArray[Any],
    gold: NDArray[Any],
    task: TaskConfig,
    *,
    sites: Sequence[str],
    patients: Sequence[str],
    coverage: float,
) -> Calibration:
    """Fit, in this order, probabilities, threshold and label sets on validation records that could be read.

    log_probs (n, K) raw; gold (n,) indices of the task's labels; sites and patients (n,); coverage of the
    label sets. Raises BadInput where the task asks for what these records cannot give: isotonic regression of
    few, a threshold where all are of one class.
    """
    positive = None if task.positive is None else task.labels.index(task.positive)
    if task.calibration == "temperature" or positive is None:
        fitted = Calibration(temperature=float(fit_temperature(log_probs, gold)), positive=positive)
    else:
        fit = fit_platt if task.calibration == "platt" else fit_isotonic
        raw = np.exp(apply_temperature(log_probs, 1.0)[:, positive])
        try:
            recalibration = fit(raw, gold == positive)
        except BadInput as error:
            raise BadInput(f"task.calibration: {error}; use temperature") from None
        fitted = Calibration(recalibration=recalibration, positive=positive)
    return choose_answers(fitted, log_probs, gold, task, sites=sites, patients=patients, coverage=coverage)


def choose_answers(  # noqa: PLR0913
    fitted: Calibration,
    log_probs: NDArray[Any],
    gold: NDArray[Any],
    task: TaskConfig,
    *,
    sites: Sequence[str],
    patients: Sequence[str],
    coverage: float,
) -> Calibration:
    """`fitted` with the threshold and label sets that its probabilities ask for; arguments as `fit_calibration`."""
    scaled = fitted.scale(log_probs)
    point, positive, threshold = task.operating_point, fitted.positive, None
    if point is not None and positive is not None:
        threshold = choose_threshold(np.exp(scaled[:, positive]), gold == positive, point.rule, point.value)
    conformal = fit_conformal(scaled, gold, sites, patients, coverage)
    return fitted.model_copy(update={"threshold": threshold, "conformal": conformal})
