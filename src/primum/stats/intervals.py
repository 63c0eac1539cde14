"""The interval of one system's metric: bootstrap over patients, as in `resample`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from primum.errors import BadInput
from primum.records import Panel
from primum.stats import reliability
from primum.stats.metrics import (
    BINARY_ONLY,
    COUNT_METRICS,
    Coded,
    CountMetric,
    Floats,
    Ints,
    f1_per_class,
    precision_per_class,
    recall_per_class,
)
from primum.stats.paired import patient_types
from primum.stats.resample import CHUNK, check_level, draws, interval, patient_index
from primum.stats.scores import SCORE_METRICS, ScoreMetric, probabilities


@dataclass(frozen=True)
class MetricInterval:
    """A metric with its two-sided interval; where undefined, None and the whole line."""

    value: float | None
    lower: float
    upper: float
    se: float
    undefined: int
    """Resamples in which the metric was undefined; each widens the interval."""


def count_interval(  # noqa: PLR0913 - a test's design, each part named at the call
    gold: Ints,
    pred: Ints,
    patients: NDArray[Any],
    *,
    classes: int,
    metric: Callable[[Floats], Floats],
    resamples: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> MetricInterval:
    """Interval of a metric of labels: `metric` maps confusions (B, K, K+1) to (B,)."""
    check_level(alpha, resamples)
    types = patient_types(gold, pred, pred, patients, classes)
    shape = (-1, classes, classes + 1)

    def score(weights: Floats) -> Floats:
        return metric((weights @ types.cells_a).reshape(shape))

    value = float(score(types.mass[None, :])[0])
    return _put_together(value, [score(block) for block in draws(types.mass, resamples, rng)], alpha)


def weighted_interval(
    patients: NDArray[Any],
    metric: Callable[[Floats], Floats],
    *,
    resamples: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> MetricInterval:
    """Interval of any metric of records: `metric` maps record weights (b, n) to (b,), NaN where undefined.

    For AUROC, Brier, calibration and the like. At most `resample.CHUNK` weights are held at once.
    """
    check_level(alpha, resamples)
    index, count = patient_index(np.asarray(patients))
    rows = max(1, CHUNK // max(index.size, count))
    parts = []
    for start in range(0, resamples, rows):
        drawn = draw_patients(count, min(rows, resamples - start), rng)
        parts.append(metric(drawn[:, index]))
    value = float(metric(np.ones((1, index.size)))[0])
    return _put_together(value, parts, alpha)


def draw_patients(count: int, rows: int, rng: np.random.Generator) -> Floats:
    """How often each of `count` patients is drawn in each of `rows` resamples: (rows, count)."""
    picks = rng.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
    return np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


@dataclass(frozen=True)
class ShareInterval:
    """Two-sided interval of a share of records, and as how many independent records they count."""

    lower: float
    upper: float
    effective: float


def share_interval(hits: NDArray[np.bool_], patients: NDArray[Any], alpha: float = 0.05) -> ShareInterval:
    """Exact interval of mean(hits) (n,) where the records of one patient are alike: patients (n,).

    Clopper-Pearson at the effective number of records p (1 - p) / var(p), the variance being that of a mean
    over clusters (Korn & Graubard 1998, Survey Methodology 24:193); never more than n, and no more than the
    patients where all records agree, so that few patients prove little. With one record per patient it is
    Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404.
    """
    if not hits.size:
        raise BadInput("no records: a share needs at least one")
    index, count = patient_index(np.asarray(patients))
    n, share = hits.size, float(hits.mean())
    off = np.bincount(index, weights=hits - share, minlength=count)
    variance = float((off**2).sum()) / n**2
    effective = min(float(n), share * (1 - share) / variance) if variance > 0 else float(count)
    good = share * effective
    lower = float(beta.ppf(alpha / 2, good, effective - good + 1)) if good > 0 else 0.0
    upper = float(beta.ppf(1 - alpha / 2, good + 1, effective - good)) if share < 1 else 1.0
    return ShareInterval(lower, upper, effective)


def _put_together(value: float, parts: list[Floats], alpha: float) -> MetricInterval:
    if np.isnan(value):
        return MetricInterval(None, -np.inf, np.inf, np.inf, 0)
    found = interval(np.concatenate(parts), alpha)
    return MetricInterval(value, found.lower, found.upper, found.se, found.undefined)


def panel_intervals(
    panel: Panel, *, resamples: int, rng: np.random.Generator, alpha: float = 0.05
) -> dict[str, dict[str, MetricInterval]]:
    """Every metric of every system with its interval: system -> metric -> interval.

    Metrics of labels as in `metrics.panel_metrics`, and precision, recall and F1 of each class ("f1 of
    LABEL"); of probabilities AUROC, AUPRC, Brier, log-loss, and for the positive class O/E, calibration
    intercept and slope, and ECE. One system's intervals are not a comparison: for that see `paired`.
    """
    coded = Coded(panel)
    return {name: _intervals(panel, coded, name, resamples, rng, alpha) for name in panel.systems}


def _intervals(  # noqa: PLR0913
    panel: Panel, coded: Coded, name: str, resamples: int, rng: np.random.Generator, alpha: float
) -> dict[str, MetricInterval]:
    design: dict[str, Any] = {"resamples": resamples, "rng": rng, "alpha": alpha}
    found = {
        metric: count_interval(
            coded.gold, coded.pred[name], coded.patients, classes=coded.classes, metric=function, **design
        )
        for metric, function in _of_labels(panel, coded).items()
    }
    if name not in coded.with_scores:
        return found
    of_scores = _of_scores(coded, coded.log_probs[name])
    return found | {m: weighted_interval(coded.patients, f, **design) for m, f in of_scores.items()}


def _of_labels(panel: Panel, coded: Coded) -> dict[str, Callable[[Floats], Floats]]:
    def whole(metric: CountMetric) -> Callable[[Floats], Floats]:
        return lambda counts: metric(counts, coded.positive)

    def of_class(metric: Callable[[Floats], Floats], k: int) -> Callable[[Floats], Floats]:
        return lambda counts: metric(counts)[..., k]

    chosen = {m: whole(f) for m, f in COUNT_METRICS.items() if coded.classes == 2 or m not in BINARY_ONLY}
    each = {"precision": precision_per_class, "recall": recall_per_class, "f1": f1_per_class}
    for k, label in enumerate(panel.labels):
        chosen |= {f"{metric} of {label}": of_class(function, k) for metric, function in each.items()}
    return chosen


def _of_scores(coded: Coded, log_probs: Floats) -> dict[str, Callable[[Floats], Floats]]:
    def of(metric: ScoreMetric) -> Callable[[Floats], Floats]:
        return lambda weights: metric(coded.gold, log_probs, coded.positive, weights)

    chosen = {metric: of(function) for metric, function in SCORE_METRICS.items()}
    if coded.classes != 2:
        return chosen
    k = coded.positive % 2
    p, event = probabilities(coded.gold, log_probs)[:, k], coded.gold == k
    return chosen | {
        "observed_expected": lambda w: reliability.observed_expected(p, event, w),
        "calibration_intercept": lambda w: reliability.calibration_line(p, event, w)[0],
        "calibration_slope": lambda w: reliability.calibration_line(p, event, w)[1],
        "ece": lambda w: reliability.expected_calibration_error(p, event, w),
    }
