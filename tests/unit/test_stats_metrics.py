"""Metrics against scikit-learn and by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.errors import BadInput
from primum.records import UNPARSED, Panel, Predictions
from primum.stats import metrics, scores

seeds = st.integers(0, 2**32 - 1)


def labels(seed: int, classes: int, n: int = 60, unparsed: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, classes, n)
    pred = np.where(rng.random(n) < 0.6, gold, rng.integers(0, classes, n))
    return gold, np.where(rng.random(n) < unparsed, -1, pred)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, classes=st.integers(2, 6))
def test_label_metrics_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    gold, pred = labels(seed, classes)
    present = sorted({*gold, *pred} - {-1})

    def value(name: str) -> float | None:
        return metrics.metric_value(name, gold, pred, classes, 1)

    assert value("accuracy") == pytest.approx(sk.accuracy_score(gold, pred))
    assert value("macro_f1") == pytest.approx(
        sk.f1_score(gold, pred, labels=present, average="macro", zero_division=0)
    )
    recalls = sk.recall_score(gold, pred, labels=sorted(set(gold)), average=None, zero_division=0)
    assert value("balanced_accuracy") == pytest.approx(recalls.mean())
    assert value("mcc") == pytest.approx(sk.matthews_corrcoef(gold, pred))
    if classes == 2:
        assert value("recall") == pytest.approx(sk.recall_score(gold == 1, pred == 1))
        assert value("specificity") == pytest.approx(recalls[0])
        assert value("precision") == pytest.approx(sk.precision_score(gold == 1, pred == 1, zero_division=0))
        assert value("balance_gap") == pytest.approx(abs(recalls[0] - recalls[1]))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, classes=st.integers(2, 4))
def test_score_metrics_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    gold = np.r_[np.arange(classes), rng.integers(0, classes, 50)]
    p = np.round(rng.dirichlet(np.ones(classes), gold.size), 1) + 0.05  # many ties
    p /= p.sum(1, keepdims=True)
    one = np.ones((1, gold.size))
    found = {name: float(f(gold, np.log(p), 1, one)[0]) for name, f in scores.SCORE_METRICS.items()}
    if classes == 2:
        assert found["auroc"] == pytest.approx(sk.roc_auc_score(gold, p[:, 1]))
        assert found["auprc"] == pytest.approx(sk.average_precision_score(gold, p[:, 1]))
    else:
        one_vs_rest = [sk.roc_auc_score(gold == k, np.log(p)[:, k]) for k in range(classes)]
        assert found["auroc"] == pytest.approx(np.mean(one_vs_rest))
    assert found["log_loss"] == pytest.approx(sk.log_loss(gold, p))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(gold, p if classes > 2 else p[:, 1]))


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_weights_mean_repeated_records(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = np.r_[0, 1, rng.integers(0, 2, 20)]
    log_probs = np.log(np.round(rng.dirichlet([1, 1], gold.size), 1) * 0.98 + 0.01)
    weights = np.r_[1, 1, rng.integers(0, 4, 20)]
    again = np.repeat(np.arange(gold.size), weights)
    for metric in scores.SCORE_METRICS.values():
        weighted = metric(gold, log_probs, 1, weights[None, :].astype(float))
        assert weighted[0] == pytest.approx(
            metric(gold[again], log_probs[again], 1, np.ones((1, again.size)))[0]
        )


def test_unparsed_is_wrong_and_stays_in_the_denominator() -> None:
    gold, pred = np.array([0, 0, 1, 1]), np.array([0, -1, 1, -1])
    assert metrics.metric_value("accuracy", gold, pred, 2) == 0.5
    assert metrics.metric_value("recall", gold, pred, 2) == 0.5
    assert metrics.metric_value("macro_f1", gold, pred, 2) == pytest.approx(2 / 3)
    log_probs = np.array([[-0.1, -2.35], [np.nan] * 2, [-2.35, -0.1], [np.nan] * 2])
    one = np.ones((1, 4))
    assert (
        scores.SCORE_METRICS["auroc"](gold, log_probs, 1, one)[0] == 0.25
    )  # only the readable pair is in order
    assert scores.SCORE_METRICS["brier"](gold, log_probs, 1, one)[0] > 0.5


def test_undefined_is_nan_for_confusions_and_none_for_panels() -> None:
    all_negative = metrics.confusion(np.zeros(5, int), np.zeros(5, int), 2)
    assert np.isnan(metrics.recall(all_negative, 1))
    assert np.isnan(metrics.balance_gap(all_negative))
    assert metrics.balanced_accuracy(all_negative) == 1
    assert metrics.mcc(all_negative) == 0
    system = Predictions(
        system="adapter",
        labels=("no", "yes"),
        record_ids=("a", "b"),
        log_probs=((-0.1, -2.35), None),
        predicted=("no", UNPARSED),
    )
    panel = Panel(
        labels=("no", "yes"),
        positive="yes",
        record_ids=("a", "b"),
        patient_ids=("p", "q"),
        sites=("s", "s"),
        gold=("no", "no"),
        systems={"adapter": system},
    )
    found = metrics.panel_metrics(panel)["adapter"]
    assert found["recall"] is None
    assert found["auroc"] is None
    assert found["specificity"] == found["accuracy"] == found["parsed"] == 0.5
    assert found["brier"] == pytest.approx((np.exp(-2.35) ** 2 + np.exp(-2.35) ** 2) / 4 + 0.5, abs=0.01)


def test_binary_metrics_of_many_classes_are_none() -> None:
    gold = np.array([0, 1, 2])
    assert metrics.metric_value("recall", gold, gold, 3) is None
    assert metrics.metric_value("balance_gap", gold, np.array([0, 1, 1]), 3) == 1


@pytest.mark.parametrize(
    ("gold", "pred", "words"),
    [
        ([0, 1], [0], "one per record"),
        ([], [], "no records"),
        ([0, 2], [0, 0], "0..1"),
        ([0, -1], [0, 0], "0..1"),
    ],
)
def test_bad_codes_are_refused(gold: list[int], pred: list[int], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        metrics.confusion(np.array(gold, dtype=int), np.array(pred, dtype=int), 2)
