"""Every metric with its interval."""

import numpy as np
import pytest
from test_gate_probabilities import probabilistic

from primum.stats.intervals import panel_intervals
from primum.stats.metrics import panel_metrics


def test_every_metric_of_every_system_has_an_interval_around_its_value() -> None:
    panel = probabilistic(150, 0.3)
    found = panel_intervals(panel, resamples=300, rng=np.random.default_rng(0), alpha=0.05)
    values = panel_metrics(panel)
    for system in ("adapter", "lasso"):
        for metric, value in values[system].items():
            if metric == "parsed":
                continue
            interval = found[system][metric]
            assert interval.value == pytest.approx(value)
            assert interval.lower <= value <= interval.upper
            assert interval.lower < interval.upper
        extra = {
            "observed_expected",
            "calibration_intercept",
            "calibration_slope",
            "ece",
            "f1 of yes",
            "recall of no",
        }
        assert extra <= set(found[system])
    assert found["lasso"]["calibration_slope"].value == pytest.approx(1, abs=0.4)
    assert found["lasso"]["auroc"].value > 0.6


def test_a_system_without_probabilities_has_metrics_of_labels_only() -> None:
    panel = probabilistic(60, 0.0)
    labels_only = panel.systems["lasso"].model_copy(update={"log_probs": (None,) * 60})
    bare = panel.model_copy(update={"systems": {"lasso": labels_only}})
    found = panel_intervals(bare, resamples=100, rng=np.random.default_rng(0))["lasso"]
    assert "auroc" not in found
    assert found["accuracy"].value == pytest.approx(panel_metrics(bare)["lasso"]["accuracy"])
    assert panel_metrics(bare)["lasso"]["brier"] is None


def test_a_class_that_is_absent_has_no_interval() -> None:
    panel = probabilistic(60, 0.0)
    one_class = panel.model_copy(update={"gold": ("no",) * 60})
    found = panel_intervals(one_class, resamples=100, rng=np.random.default_rng(0))["adapter"]
    assert found["recall"].value is None
    assert found["auroc"].value is None
    assert (found["recall"].lower, found["recall"].upper) == (-np.inf, np.inf)
