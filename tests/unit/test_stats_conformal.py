"""Conformal label sets: coverage by simulation, thresholds by hand, and what too few patients must give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from primum.errors import BadInput
from primum.stats.conformal import Conformal, fit_conformal, patients_needed, refer_to_human
from primum.stats.intervals import share_interval


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes, the third rare, and labels drawn from them."""
    p = rng.dirichlet([2.0, 2.0, 0.6], n) * 0.99 + 0.01 / 3
    return np.log(p), (rng.random(n)[:, None] > p.cumsum(1)).sum(1)


def fit(log_probs: np.ndarray, gold: np.ndarray, sites: list[str] | None = None, **more) -> Conformal:
    sites = sites or ["all"] * gold.size
    return fit_conformal(log_probs, gold, sites, list(map(str, range(gold.size))), **more)


def test_every_class_and_site_is_covered_as_promised() -> None:
    rng, hits, count = np.random.default_rng(0), np.zeros((2, 3)), np.zeros((2, 3))
    for _ in range(60):
        log_probs, gold = draw(1300, rng)
        sites = np.where(np.arange(1300) % 2 == 0, "a", "b")
        # In b the model is far too sure of itself: only thresholds of its own can cover there.
        log_probs[sites == "b"] *= 3
        log_probs -= np.log(np.exp(log_probs).sum(1, keepdims=True))
        fitted = fit(log_probs[:300], gold[:300], sites[:300].tolist(), coverage=0.9)
        assert set(fitted.sites) == {"a", "b"}
        sets = fitted.label_sets(log_probs[300:], sites[300:].tolist())
        covered = sets[np.arange(1000), gold[300:]]
        for i, site in enumerate("ab"):
            for k in range(3):
                here = (sites[300:] == site) & (gold[300:] == k)
                hits[i, k] += covered[here].sum()
                count[i, k] += here.sum()
    # At least 0.9, and less than one patient's weight above it (n >= 15 of the rare class).
    assert (hits / count > 0.89).all()
    assert (hits / count < 0.9 + 1 / 15).all()


def test_a_rare_class_is_covered_where_one_threshold_would_never_name_it() -> None:
    rng = np.random.default_rng(1)
    gold = (rng.random(2000) < 0.08).astype(int)
    p = np.clip(rng.normal(0.05 + 0.08 * gold, 0.04), 0.001, 0.4)  # never the more probable class
    log_probs = np.log(np.c_[1 - p, p])
    fitted = fit(log_probs[:1000], gold[:1000])
    sets = fitted.label_sets(log_probs[1000:], ["all"] * 1000)
    covered = sets[np.arange(1000), gold[1000:]]
    assert covered[gold[1000:] == 1].mean() > 0.8
    score = 1 - np.exp(log_probs[np.arange(2000), gold])
    one_for_all = np.sort(score[:1000])[int(np.ceil(1001 * 0.9)) - 1]
    assert (score[1000:][gold[1000:] == 1] <= one_for_all).mean() == 0  # 90% covered, none of the ill
    assert (score[1000:] <= one_for_all).mean() == pytest.approx(0.9, abs=0.03)


def test_thresholds_by_hand() -> None:
    p = np.linspace(0.55, 0.95, 9)
    log_probs = np.log(np.r_[np.c_[p, 1 - p], np.c_[1 - p, p]])
    gold = np.repeat([0, 1], 9)
    fitted = fit(log_probs, gold, coverage=0.8)
    assert fitted.pooled == pytest.approx((1 - p[1], 1 - p[1]))  # the ceil(10 * 0.8) = 8th smallest of 1 - p
    assert fitted.sites == {}  # one site: pooled says the same
    assert fitted.patients == {"all": (9, 9)}
    few = fit(log_probs[:17], gold[:17], coverage=0.9)  # 9 and 8 patients; 9 are needed
    assert few.pooled == (pytest.approx(1 - p[0]), 1.0)
    assert few.label_sets(log_probs[:2], ["all", "all"])[:, 1].all()  # a class too rare is never excluded
    assert [patients_needed(c) for c in (0.8, 0.9, 0.95, 0.99)] == [4, 9, 19, 99]


def test_a_small_site_and_one_never_seen_use_the_pooled_thresholds() -> None:
    log_probs, gold = draw(400, np.random.default_rng(2))
    sites = ["big"] * 390 + ["small"] * 10
    fitted = fit(log_probs, gold, sites)
    assert [fitted.basis(s) for s in ("big", "small", "new")] == [
        "site",
        "pooled",
        "pooled (site never seen)",
    ]
    assert sum(fitted.patients["small"]) == 10
    here, pooled, never = (fitted.label_sets(log_probs[:50], [s] * 50) for s in ("big", "small", "new"))
    assert (pooled == never).all()
    assert fitted.sites["big"] != fitted.pooled
    assert Conformal.model_validate_json(fitted.model_dump_json()) == fitted
    assert here.shape == (50, 3)


def test_a_patient_counts_once_with_its_worst_record() -> None:
    log_probs, gold = draw(60, np.random.default_rng(3))
    gold[:] = 0
    patients = [str(i // 5) for i in range(60)]
    clustered = fit_conformal(log_probs, gold, ["s"] * 60, patients)
    worst = (1 - np.exp(log_probs[:, 0])).reshape(12, 5).max(1)
    assert clustered.pooled[0] == pytest.approx(np.sort(worst)[11])  # ceil(13 * 0.9) = 12 of 12
    assert clustered.patients == {"s": (12, 0, 0)}


def test_unreadable_answers_and_whatever_is_not_the_single_label_are_referred() -> None:
    fitted = Conformal(coverage=0.9, pooled=(0.2, 0.6), patients={"s": (20, 20)})
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.5, 0.5], [0.55, 0.45], [np.nan, np.nan]])
    sets = fitted.label_sets(np.log(p), ["s"] * 5)
    assert sets.tolist() == [[True, False], [False, False], [False, True], [False, True], [True, True]]
    # Alone in its set but not the label that was said: a person decides (row 3).
    assert refer_to_human(sets, np.array([0, 0, 1, 0, -1])).tolist() == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"coverage": 1.0}, "coverage must"),
        ({"sites": ["a"]}, "one each"),
        ({"log_probs": np.zeros((4, 2))}, "sum"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change: dict, words: str) -> None:
    given = {
        "log_probs": np.log(np.full((4, 2), 0.5)),
        "sites": ["a"] * 4,
        "patients": list("abcd"),
        **change,
    }
    with pytest.raises(BadInput, match=words):
        fit_conformal(gold=np.zeros(4, int), **given)


def test_share_interval_is_clopper_pearson_for_single_records_and_wider_for_clusters() -> None:
    hits = np.arange(100) < 93
    found = share_interval(hits, np.arange(100))
    assert (found.lower, found.upper) == pytest.approx((beta.ppf(0.025, 93, 8), beta.ppf(0.975, 94, 7)))
    assert found.effective == pytest.approx(100)
    alike = share_interval(np.repeat(hits, 4), np.repeat(np.arange(100), 4))
    assert (alike.lower, alike.upper) == pytest.approx((found.lower, found.upper))
    all_right = share_interval(np.ones(60, bool), np.repeat(np.arange(12), 5))
    assert all_right.lower == pytest.approx(0.025 ** (1 / 12))  # 12 patients, not 60 records
    assert share_interval(np.zeros(5, bool), np.arange(5)).lower == 0
    with pytest.raises(BadInput, match="no records"):
        share_interval(np.ones(0, bool), np.arange(0))
