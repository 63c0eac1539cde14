"""Classical comparators on the same records and columns as the adapter: an adapter must earn its place.

Majority class; L1 logistic regression (LASSO: Tibshirani, J R Stat Soc B 1996;58:267); random forest
(Breiman, Machine Learning 2001;45:5); and TF-IDF with logistic regression where a task has free text. All are
fitted on the training part, and settings are chosen on validation by the task's primary metric, so the
classical side is tuned as hard as the adapter. A fit is stored as its settings alone, never pickled, and
fitted again when needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from primum.config import Feature, Metric, TaskConfig
from primum.errors import BadInput
from primum.prompts import NOT_RECORDED
from primum.records import BaselineFit, Predictions
from primum.stats.metrics import metric_value

Settings = dict[str, float | int | str]
System = Literal["majority", "lasso", "random_forest", "tfidf"]

CLASSICAL: tuple[System, ...] = ("lasso", "tfidf", "random_forest")
"""The trained comparators, the simplest first: it wins a tie."""
TREES = 200
SMALLEST = 1e-6
"""Probabilities below this are raised to it before the logarithm: a forest's 0 is not certainty."""


def fit_baselines(
    train: pd.DataFrame, validation: pd.DataFrame, task: TaskConfig, seed: int
) -> tuple[BaselineFit, ...]:
    """Choose each comparator's settings: fitted on `train`, judged on `validation` (canonical records).

    The best primary metric wins, then the lower log-loss, then the earlier (simpler) setting. Raises BadInput
    when either part is empty or lacks labels.
    """
    for part, records in (("train", train), ("validation", validation)):
        if records.empty or records["label"].isna().any():
            raise BadInput(f"baselines: the {part} part needs records, each with a label")
    names: list[System] = ["majority", *(name for name in CLASSICAL if _columns(task, name))]
    return tuple(_choose(name, train, validation, task, seed) for name in names)


def predict_baselines(
    fits: Sequence[BaselineFit], train: pd.DataFrame, records: pd.DataFrame, task: TaskConfig, seed: int
) -> dict[str, Predictions]:
    """Fit each comparator again on `train` and apply it to `records`: any part, labelled or not."""
    result: dict[str, Predictions] = {}
    for fit in fits:
        fitted = _fitted(fit.name, fit.parameters, train, task, seed)
        log_probs = _log_probs(fit.name, fitted, records, task)
        result[fit.name] = Predictions(
            system=fit.name,
            labels=task.labels,
            record_ids=tuple(records["record_id"]),
            log_probs=tuple(tuple(row) for row in log_probs.tolist()),
            predicted=tuple(task.labels[k] for k in log_probs.argmax(axis=1)),
        )
    return result


def best_classical(fits: Sequence[BaselineFit], metric: Metric) -> str:
    """Name of the trained comparator with the best `metric` on validation; a tie goes to the simpler one."""
    trained = sorted((f for f in fits if f.name in CLASSICAL), key=lambda f: CLASSICAL.index(f.name))
    if not trained:
        raise BadInput("baselines: no classical comparator was fitted besides the majority class")
    return max(trained, key=lambda f: f.validation[metric]).name  # max keeps the first of equals


def _choose(
    name: System, train: pd.DataFrame, validation: pd.DataFrame, task: TaskConfig, seed: int
) -> BaselineFit:
    fits = []
    for settings in _grid(name):
        log_probs = _log_probs(name, _fitted(name, settings, train, task, seed), validation, task)
        metrics = _metrics(_codes(validation, task), log_probs)
        fits.append(BaselineFit(name=name, parameters=settings, validation=metrics))
    return max(fits, key=lambda f: (f.validation[task.primary_metric], -f.validation["log_loss"]))


def _grid(name: System) -> Iterator[Settings]:
    """The settings that are tried, the simplest first; both class weightings, as the adapter's recipe has."""
    for weight in ("none", "balanced") if name != "majority" else ():
        if name == "random_forest":
            for leaf in (5, 1):
                yield {"trees": TREES, "min_leaf": leaf, "class_weight": weight}
        else:
            grid = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0) if name == "lasso" else (0.1, 1.0, 10.0, 100.0)
            for c in grid:
                yield {"C": c, "class_weight": weight}
    if name == "majority":
        yield {}


def _metrics(gold: np.ndarray, log_probs: np.ndarray) -> dict[str, float]:
    """Metrics of the most probable class. gold: (n,) codes; log_probs: (n, K)."""
    predicted = log_probs.argmax(axis=1)
    values = {m: metric_value(m, gold, predicted, log_probs.shape[1]) or 0.0 for m in get_args(Metric)}
    return {**values, "log_loss": float(-log_probs[np.arange(len(gold)), gold].mean())}


def _fitted(name: System, settings: Settings, train: pd.DataFrame, task: TaskConfig, seed: int) -> Any:
    """The comparator, fitted on `train` in the order of record ids, so that row order plays no part."""
    train = train.sort_values("record_id")
    codes = _codes(train, task)
    if name == "majority":
        return np.bincount(codes, minlength=len(task.labels)) / len(codes)
    pipeline = make_pipeline(_preprocessing(task, name), _model(name, settings, len(task.labels), seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a worse fit loses on validation
        return pipeline.fit(_frame(train, task, name), codes)


def _model(name: System, settings: Settings, classes: int, seed: int) -> BaseEstimator:
    weight = None if settings["class_weight"] == "none" else "balanced"
    if name == "random_forest":
        return RandomForestClassifier(
            n_estimators=int(settings["trees"]),
            min_samples_leaf=int(settings["min_leaf"]),
            class_weight=weight,
            random_state=seed,
        )
    common = {"C": float(settings["C"]), "class_weight": weight, "random_state": seed}
    if name == "tfidf":
        return LogisticRegression(max_iter=1000, **common)
    if classes > 2:
        return LogisticRegression(l1_ratio=1, solver="saga", max_iter=1000, **common)
    # liblinear is fast and exact but penalises the intercept: the scaling makes that penalty small.
    return LogisticRegression(l1_ratio=1, solver="liblinear", intercept_scaling=10, max_iter=1000, **common)


def _columns(task: TaskConfig, name: System) -> list[Feature]:
    """The features that a comparator reads: free text, or everything else."""
    return [f for f in task.features if (f.kind == "text") == (name == "tfidf")]


def _preprocessing(task: TaskConfig, name: System) -> ColumnTransformer:
    """Numbers: median, standardised, missing indicators. Categories: one-hot, missing as one of them."""
    features = _columns(task, name)
    if name == "tfidf":
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
        return ColumnTransformer([(f.column, words, f.column) for f in features])
    number = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )
    category = OneHotEncoder(handle_unknown="ignore")
    numbers = [f.column for f in features if f.kind == "number"]
    categories = [f.column for f in features if f.kind == "category"]
    return ColumnTransformer([("numbers", number, numbers), ("categories", category, categories)])


def _frame(records: pd.DataFrame, task: TaskConfig, name: System) -> pd.DataFrame:
    """The comparator's columns, with words for what is not recorded."""
    columns = {}
    for feature in _columns(task, name):
        values = records[feature.column]
        if feature.kind == "number":
            columns[feature.column] = values.astype(float)
        else:
            blank = "" if feature.kind == "text" else NOT_RECORDED
            columns[feature.column] = values.astype(object).where(values.notna(), blank)
    return pd.DataFrame(columns, index=records.index)


def _codes(records: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """Labels as positions in `task.labels`, (n,)."""
    return np.array([task.labels.index(label) for label in records["label"]], dtype=int)


def _log_probs(name: System, fitted: Any, records: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """Normalised log-probabilities (n, K), as `task.labels`; a class that training lacks gets the least."""
    probabilities = np.zeros((len(records), len(task.labels)))
    if name == "majority":
        probabilities[:] = fitted
    else:
        probabilities[:, fitted.classes_] = fitted.predict_proba(_frame(records, task, name))
    probabilities = np.clip(probabilities, SMALLEST, None)
    return np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
