"""The gate's checks of probabilities, subgroups and latency."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from test_gate import LABELS, check, good_panel, labelled, panel, statuses, task, verdict

from primum.config import GateConfig
from primum.records import Panel, Predictions


def scored(gold: np.ndarray, probability: np.ndarray, name: str) -> Predictions:
    log_probs = np.log(np.c_[1 - probability, probability])
    return Predictions(
        system=name,
        labels=LABELS,
        record_ids=tuple(str(i) for i in range(gold.size)),
        log_probs=tuple(map(tuple, log_probs.tolist())),
        predicted=tuple(LABELS[int(p >= 0.5)] for p in probability),
    )


def probabilistic(n: int, shift: float, seed: int = 0) -> Panel:
    """A LASSO that knows the truth, and an adapter whose logits are off by `shift`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, n)
    gold = (rng.random(n) < expit(logits)).astype(int)
    plain = panel([LABELS[k] for k in gold], {"base": labelled(gold, 0.5, 1)})
    systems = {
        **plain.systems,
        "adapter": scored(gold, expit(logits + shift), "adapter"),
        "lasso": scored(gold, expit(logits), "lasso"),
    }
    return plain.model_copy(update={"systems": systems})


def test_calibrated_probabilities_pass() -> None:
    found = check(verdict(probabilistic(600, 0.0)), "calibration")
    assert found.status == "pass"
    assert found.statistics["oe_yes"] == pytest.approx(1, abs=0.1)
    assert found.statistics["brier_delta"] == 0


def test_probabilities_that_promise_too_much_fail() -> None:
    found = check(verdict(probabilistic(600, 1.5)), "calibration")
    assert found.status == "fail"
    assert "expected" in found.reason
    assert found.statistics["oe_yes_upper"] < 0.8


def test_a_breach_that_may_be_chance_holds_with_a_number() -> None:
    found = check(verdict(probabilistic(40, 0.9, seed=3)), "calibration")
    assert found.status == "hold"
    assert "may be chance" in found.reason
    assert found.labels_needed


def test_too_few_events_hold() -> None:
    gold = ["yes"] * 4 + ["no"] * 96
    found = check(verdict(panel(gold, {"adapter": gold, "lasso": gold})), "calibration")
    assert (found.status, found.labels_needed) == ("hold", 150)
    assert "the holdout has 4" in found.reason


def test_probability_checks_without_their_comparator_hold() -> None:
    whole = probabilistic(100, 0.0)
    rest = {name: system for name, system in whole.systems.items() if name != "lasso"}
    assert check(verdict(whole.model_copy(update={"systems": rest})), "calibration").status == "hold"


def test_net_benefit_passes_for_a_useful_model_and_fails_for_a_harmful_one() -> None:
    asked = task(decision_thresholds=(0.3, 0.5))
    useful = check(verdict(probabilistic(800, 0.0), task=asked), "net_benefit")
    assert useful.status == "pass"
    assert useful.statistics["0.3_vs_all"] > 0
    harmful = check(verdict(probabilistic(800, 4.0), task=task(decision_thresholds=(0.8,))), "net_benefit")
    assert harmful.status == "fail"
    assert "treating none" in harmful.reason
    unsure = check(verdict(probabilistic(30, 2.0), task=task(decision_thresholds=(0.8,))), "net_benefit")
    assert unsure.status == "hold"


def test_net_benefit_needs_two_classes() -> None:
    labels = ("a", "b", "c")
    gold = [labels[i % 3] for i in range(60)]
    asked = task(labels, decision_thresholds=(0.5,))
    found = check(verdict(panel(gold, {"adapter": gold}, labels), task=asked), "net_benefit")
    assert found.status == "hold"
    assert "two classes" in found.reason


def test_calibration_of_several_classes_judges_each() -> None:
    labels = ("a", "b", "c")
    gold = [labels[i % 3] for i in range(300)]
    found = check(verdict(panel(gold, {"adapter": gold, "lasso": gold}, labels)), "calibration")
    assert found.status == "pass"
    assert {"oe_a", "oe_b", "oe_c"} <= set(found.statistics)


@pytest.mark.parametrize(("milliseconds", "status"), [(50.0, "pass"), (250.0, "fail")])
def test_latency_budget(milliseconds: float, status: str) -> None:
    whole = good_panel(100)
    times = (1.0,) * 94 + (milliseconds,) * 6
    adapter = whole.systems["adapter"].model_copy(update={"latency_ms": times})
    timed = whole.model_copy(update={"systems": {**whole.systems, "adapter": adapter}})
    assert check(verdict(timed, task=task(latency_p95_ms=100)), "latency").status == status
    assert check(verdict(whole, task=task(latency_p95_ms=100)), "latency").status == "hold"


def grouped(harm: bool, **more: Any) -> Panel:
    """600 patients; the adapter is better than its base, but among the women only where `harm` is False."""
    whole = good_panel(600)
    gold = np.array([LABELS.index(name) for name in whole.gold])
    women = np.arange(600) % 3 == 0
    adapter, base = np.array(whole.systems["adapter"].predicted), np.array(labelled(gold, 0.8, 7))
    if harm:
        adapter[women], base[women] = np.array(labelled(gold, 0.6, 8))[women], np.array(whole.gold)[women]
    rare = np.where(np.arange(600) < 15, "rare", "common")
    plain = panel(list(whole.gold), {"adapter": list(adapter), "base": list(base)})
    subgroups = {"sex": tuple(np.where(women, "female", "male").tolist()), "type": tuple(rare.tolist())}
    return plain.model_copy(update={"subgroups": subgroups, **more})


def test_subgroups_are_judged_one_by_one_and_small_ones_named() -> None:
    found = check(verdict(grouped(harm=False)), "subgroups")
    assert found.status == "pass"
    assert "Not assessed: type=rare." in found.reason
    assert found.statistics["sex=female|patients"] == 200
    assert found.statistics["type=rare|status"] == "not assessed"


def test_harm_in_one_subgroup_fails_though_the_whole_gains() -> None:
    found = check(verdict(grouped(harm=True)), "subgroups")
    assert found.status == "fail"
    assert "sex=female -0." in found.reason
    assert "sex=male" not in found.reason
    assert found.statistics["sex=male|status"] == "pass"


def test_sites_are_subgroups_and_none_assessable_is_said() -> None:
    sites = tuple(f"s{i % 40}" for i in range(600))
    found = verdict(grouped(harm=False, sites=sites, subgroups={}))
    held = check(found, "subgroups")
    assert held.status == "hold"
    assert "site=s0" in held.reason
    off = verdict(
        grouped(harm=False, sites=sites, subgroups={}),
        config=GateConfig(resamples=500, subgroups={"required": False}),
    )
    assert statuses(off)["subgroups"] == "not assessed"


def test_a_subgroup_that_is_large_enough_but_unclear_holds() -> None:
    whole = good_panel(100, adapter=0.8, base=0.8)
    split = whole.model_copy(update={"subgroups": {"half": tuple("ab"[i < 50] for i in range(100))}})
    config = GateConfig(resamples=500, subgroups={"min_events": 15})
    found = check(verdict(split, config=config), "subgroups")
    assert found.status == "hold"
    assert found.labels_needed
