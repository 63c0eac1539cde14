"""The gate: verdicts, precedence, reasons."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from primum.config import GateConfig, Label, PromptConfig, Source, TaskConfig
from primum.errors import BadInput
from primum.gate import judge
from primum.records import UNPARSED, CheckResult, LeakageReport, Look, Panel, Predictions, Verdict

PUBLISHED = Path(__file__).parents[3] / "shared/data/lung-colon-stats/paired_preds_reconstruction_A.csv"
LABELS = ("no", "yes")
CLEAN = LeakageReport(patients=0, identical_rows=0, near_duplicates=0)


def task(labels: tuple[str, ...] = LABELS, **more: Any) -> TaskConfig:
    return TaskConfig(
        name="t",
        source=Source(path="t.csv"),
        label=Label(column="y", classes={name: (name,) for name in labels}),
        features=("x",),
        prompt=PromptConfig(question="?"),
        **more,
    )


def look(number: int = 1) -> Look:
    return Look(holdout="h", number=number, planned=4, alpha=0.0125 if number <= 4 else 0, entry_hash="e")


def system(name: str, predicted: list[str], labels: tuple[str, ...] = LABELS) -> Predictions:
    off = np.log(0.1 / (len(labels) - 1))
    rows = tuple(
        None if p == UNPARSED else tuple(float(np.log(0.9)) if p == k else float(off) for k in labels)
        for p in predicted
    )
    ids = tuple(str(i) for i in range(len(predicted)))
    return Predictions(system=name, labels=labels, record_ids=ids, log_probs=rows, predicted=tuple(predicted))


def panel(
    gold: list[str], systems: dict[str, list[str]], labels: tuple[str, ...] = LABELS, patients: Any = None
) -> Panel:
    n = len(gold)
    return Panel(
        labels=labels,
        positive=labels[-1] if len(labels) == 2 else None,
        record_ids=tuple(str(i) for i in range(n)),
        patient_ids=tuple(str(p) for p in (patients if patients is not None else range(n))),
        sites=("s",) * n,
        gold=tuple(gold),
        systems={name: system(name, predicted, labels) for name, predicted in systems.items()},
    )


def verdict(of: Panel, **change: Any) -> Verdict:
    arguments: dict[str, Any] = {
        "task": task(of.labels),
        "site": "all",
        "candidate": "c",
        "look": look(),
        "config": GateConfig(resamples=1000),
        "best_classical": "lasso",
        "leakage": CLEAN,
        "inputs": {"split": "s"},
        "seed": 42,
    }
    return judge(of, **{**arguments, **change})


def check(found: Verdict, name: str) -> CheckResult:
    return next(c for c in found.evidence.checks if c.name == name)


def statuses(found: Verdict) -> dict[str, str]:
    return {c.name: c.status for c in found.evidence.checks}


def labelled(gold: np.ndarray, accuracy: float, seed: int) -> list[str]:
    """Predictions that are wrong on exactly the stated share of each class."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(gold.size, dtype=bool)
    for k in (0, 1):
        rows = np.flatnonzero(gold == k)
        wrong[rng.choice(rows, round(rows.size * (1 - accuracy)), replace=False)] = True
    return [LABELS[k] for k in np.where(wrong, 1 - gold, gold)]


def good_panel(n: int = 600, adapter: float = 0.96, **more: float) -> Panel:
    gold = np.tile([0, 0, 0, 1, 1], n // 5)
    systems = {
        "adapter": labelled(gold, adapter, 1),
        "base": labelled(gold, more.get("base", 0.6), 2),
        "majority": ["no"] * n,
        "lasso": labelled(gold, more.get("lasso", 0.9), 3),
    }
    return panel([LABELS[k] for k in gold], systems)


def test_a_good_candidate_is_promoted_with_its_numbers() -> None:
    found = verdict(good_panel())
    assert found.outcome == "PROMOTE"
    assert {name for name, status in statuses(found).items() if status != "pass"} == {
        "coverage",
        "privacy",
    }  # not asked
    assert len(found.reasons) == len(found.evidence.checks) - 2
    base = check(found, "beats_base")
    assert "98.75% interval" in base.reason
    assert "600 patients" in base.reason
    assert base.statistics["delta"] == pytest.approx(
        found.evidence.metrics["adapter"]["macro_f1"] - found.evidence.metrics["base"]["macro_f1"]
    )
    assert "Nothing in production" in check(found, "not_worse_than_champion").reason
    assert found.evidence.inputs.keys() == {"split", "gate_config", "panel"}


def test_same_seed_same_verdict_and_checks_do_not_disturb_each_other() -> None:
    few = good_panel(100)
    assert verdict(few) == verdict(few)
    more = few.model_copy(update={"systems": {**few.systems, "champion": few.systems["base"]}})
    assert check(verdict(more), "beats_base") == check(verdict(few), "beats_base")


def test_a_candidate_like_its_base_is_rejected_not_promoted_on_ties() -> None:
    gold = good_panel()
    tied = gold.model_copy(update={"systems": {**gold.systems, "base": gold.systems["adapter"]}})
    found = verdict(tied)
    assert (found.outcome, check(found, "beats_base").status) == ("REJECT", "fail")
    assert check(found, "beats_base").statistics["mcnemar_p"] == 1


def test_too_small_a_holdout_holds_and_says_how_many_labels() -> None:
    found = verdict(good_panel(60, adapter=0.8, base=0.75, lasso=0.5))
    assert (found.outcome, check(found, "beats_base").status) == ("HOLD", "hold")
    base = check(found, "beats_base")
    assert base.labels_needed
    assert f"About {base.labels_needed} more labelled patients" in base.reason
    low, high = base.statistics["labels_needed_low"], base.statistics["labels_needed_high"]
    assert low <= base.labels_needed <= high
    assert found.labels_needed >= base.labels_needed


def test_worse_than_the_classical_model_is_rejected_with_the_advice() -> None:
    found = verdict(good_panel(adapter=0.8, lasso=0.95))
    classical = check(found, "not_worse_than_classical")
    assert (found.outcome, classical.status) == ("REJECT", "fail")
    assert "Use the classical model (the LASSO logistic regression)" in classical.reason


def with_discordance(n: int, wins: int, losses: int) -> tuple[list[str], list[str], list[str]]:
    """Gold, a system, and a rival that it beats on `wins` records and loses to on `losses`."""
    gold = np.tile([0, 1], n // 2)
    ours, theirs = gold.copy(), gold.copy()
    theirs[:wins] = 1 - gold[:wins]
    ours[wins : wins + losses] = 1 - gold[wins : wins + losses]
    ours[n // 2 : n // 2 + n // 10] = theirs[n // 2 : n // 2 + n // 10] = 1 - gold[n // 2 : n // 2 + n // 10]
    return tuple([LABELS[k] for k in codes] for codes in (gold, ours, theirs))


def test_what_a_large_enough_holdout_does_not_show_is_a_failure() -> None:
    gold, adapter, base = with_discordance(1000, 95, 65)
    found = check(verdict(panel(gold, {"adapter": adapter, "base": base})), "beats_base")
    assert found.status == "fail"
    assert "was detectable" in found.reason
    gold, adapter, lasso = with_discordance(1000, 65, 95)
    config = GateConfig(resamples=2000, not_worse_than_classical={"margin": 0.05})
    found = check(
        verdict(panel(gold, {"adapter": adapter, "lasso": lasso}), config=config), "not_worse_than_classical"
    )
    assert found.status == "fail"
    assert "large enough" in found.reason


def test_equality_on_few_patients_is_not_shown() -> None:
    few = good_panel(60)
    same = few.model_copy(update={"systems": {**few.systems, "lasso": few.systems["adapter"]}})
    assert check(verdict(same), "not_worse_than_classical").status == "hold"
    many = good_panel(600)
    same = many.model_copy(update={"systems": {**many.systems, "lasso": many.systems["adapter"]}})
    assert check(verdict(same), "not_worse_than_classical").status == "pass"


@pytest.mark.parametrize("rival", ["champion", "anchor"])
def test_champion_and_anchor_are_compared_when_present(rival: str) -> None:
    first = good_panel()
    better = first.model_copy(update={"systems": {**first.systems, rival: system(rival, list(first.gold))}})
    found = verdict(better)
    assert (found.outcome, check(found, f"not_worse_than_{rival}").status) == ("REJECT", "fail")


def test_superiority_over_the_champion_can_be_asked() -> None:
    first = good_panel()
    same = first.model_copy(update={"systems": {**first.systems, "champion": first.systems["adapter"]}})
    config = {"resamples": 2000, "not_worse_than_champion": {"superiority": True}}
    assert verdict(same).outcome == "PROMOTE"
    assert check(verdict(same, config=GateConfig(**config)), "not_worse_than_champion").status == "fail"


def test_retained_placenta_as_published() -> None:
    """Recall 83.3%, specificity 17.4%, accuracy 57.6% of 59 with 36 positive."""
    gold = ["yes"] * 36 + ["no"] * 23
    adapter = ["yes"] * 30 + ["no"] * 6 + ["no"] * 4 + ["yes"] * 19
    found = verdict(panel(gold, {"adapter": adapter, "majority": ["yes"] * 59, "base": ["yes"] * 59}))
    metrics = found.evidence.metrics["adapter"]
    assert [round(metrics[m] or 0, 3) for m in ("recall", "specificity", "accuracy")] == [0.833, 0.174, 0.576]
    assert found.outcome == "REJECT"
    assert statuses(found)["balance"] == statuses(found)["beats_majority"] == "fail"


def test_always_yes_fails_everything_but_parsed() -> None:
    gold = np.array([1] * 36 + [0] * 23)
    names = [LABELS[k] for k in gold]
    others = {name: labelled(gold, 0.8, i) for i, name in enumerate(("base", "lasso", "champion", "anchor"))}
    always = panel(names, {"adapter": ["yes"] * 59, "majority": ["yes"] * 59, **others})
    sure = always.systems["adapter"].model_copy(
        update={
            "log_probs": ((np.log(0.001), np.log(0.999)),) * 59,
            "latency_ms": (9.0,) * 59,
            "label_sets": (("yes",),) * 59,
        }
    )
    always = always.model_copy(
        update={
            "systems": {**always.systems, "adapter": sure},
            "subgroups": {"all": ("everyone",) * 59},
        }
    )
    asked = task(decision_thresholds=(0.9,), latency_p95_ms=1)
    found = verdict(always, task=asked)
    failed = {name for name, status in statuses(found).items() if status == "fail"}
    assert failed == set(statuses(found)) - {"parsed", "leakage", "privacy"}
    assert found.outcome == "REJECT"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data/lung-colon-stats is absent")
def test_published_lung_colon_beats_its_base() -> None:
    rows = list(csv.DictReader(PUBLISHED.open(encoding="utf-8")))
    labels = ("Lung_Cancer", "Colon_Cancer")
    systems = {name: [r[c] for r in rows] for name, c in (("adapter", "lora_pred"), ("base", "base_pred"))}
    found = verdict(panel([r["gold"] for r in rows], systems, labels))
    base = check(found, "beats_base")
    assert base.status == "pass"
    assert base.statistics["delta"] == pytest.approx(0.218888, abs=1e-6)
    assert base.statistics["mcnemar_p"] == pytest.approx(0.001544, abs=1e-6)
    assert "20 patients won and 4 lost" in base.reason


def test_an_exhausted_holdout_is_not_looked_at() -> None:
    found = verdict(good_panel(), look=look(5))
    assert found.outcome == "HOLD"
    assert "exhausted" in found.reasons[0]
    assert found.evidence.metrics == {}
    judged = {"leakage", "parsed", "net_benefit", "latency"}  # the last two: nothing is asked by this task
    assert {c.name for c in found.evidence.checks if c.status == "pass"} == judged


def test_leakage_is_rejected_even_when_exhausted() -> None:
    leaked = LeakageReport(patients=2, identical_rows=0, near_duplicates=0)
    for number in (1, 5):
        found = verdict(good_panel(), look=look(number), leakage=leaked)
        assert found.outcome == "REJECT"
        assert found.reasons[0].startswith("leakage: Training and holdout share 2 patients")


def test_a_failure_outweighs_a_hold() -> None:
    small = good_panel(60, adapter=0.8, base=0.75, lasso=0.5)
    found = verdict(small, leakage=LeakageReport(patients=0, identical_rows=1, near_duplicates=0))
    assert found.outcome == "REJECT"
    assert found.reasons[0].startswith("leakage")
    assert any(reason.startswith("beats_base: Cannot tell") for reason in found.reasons)


def test_unparsed_answers_are_counted_and_rejected() -> None:
    whole = good_panel()
    predicted = [UNPARSED] * 12 + list(whole.systems["adapter"].predicted[12:])
    found = verdict(
        whole.model_copy(update={"systems": {**whole.systems, "adapter": system("adapter", predicted)}})
    )
    assert check(found, "parsed").status == "fail"
    assert "588 of 600" in check(found, "parsed").reason


@pytest.mark.parametrize("missing", ["base", "majority", "lasso", "adapter"])
def test_missing_data_holds_and_is_named(missing: str) -> None:
    whole = good_panel()
    rest = {name: s for name, s in whole.systems.items() if name != missing}
    found = verdict(whole.model_copy(update={"systems": rest}))
    assert found.outcome == "HOLD"
    assert f"'{missing}'" in found.reasons[0]


def test_leakage_not_checked_holds() -> None:
    assert verdict(good_panel(), leakage=None).outcome == "HOLD"


def test_nothing_required_is_never_promoted() -> None:
    off = {name: {"required": False} for name, value in GateConfig() if hasattr(value, "required")}
    found = verdict(good_panel(), config=GateConfig(resamples=500, **off))
    assert found.outcome == "HOLD"
    assert "requires no check" in found.reasons[0]


def test_a_check_that_is_not_required_decides_nothing() -> None:
    found = verdict(good_panel(), leakage=None, config=GateConfig(resamples=500, leakage={"required": False}))
    assert found.outcome == "PROMOTE"
    assert check(found, "leakage").status == "not assessed"


def test_fewer_than_ten_patients_hold() -> None:
    few = good_panel(20)
    clustered = few.model_copy(update={"patient_ids": tuple(str(i // 4) for i in range(20))})
    found = verdict(clustered)
    assert found.outcome == "HOLD"
    assert "5 patients" in found.reasons[0]


def test_few_records_of_a_class_leave_balance_on_hold() -> None:
    gold = ["yes"] * 5 + ["no"] * 95
    found = verdict(panel(gold, {"adapter": gold, "majority": ["no"] * 100}))
    held = check(found, "balance")
    assert (held.status, held.labels_needed) == ("hold", 100)
    assert "5 records of class 'yes'" in held.reason


def test_a_one_sided_look_that_may_be_chance_holds() -> None:
    gold = ["yes"] * 12 + ["no"] * 12
    adapter = ["yes"] * 7 + ["no"] * 5 + ["no"] * 11 + ["yes"]
    found = check(verdict(panel(gold, {"adapter": adapter})), "balance")
    assert found.status == "hold"
    assert "may be chance" in found.reason


def test_more_than_two_classes() -> None:
    labels = ("a", "b", "c")
    gold = [labels[i % 3] for i in range(300)]
    base = [labels[(i * 7) % 3] if i % 2 else labels[(i + 1) % 3] for i in range(300)]
    systems = {"adapter": gold, "base": base, "majority": ["a"] * 300, "lasso": gold}
    found = verdict(panel(gold, systems, labels))
    assert statuses(found)["balance"] == statuses(found)["beats_majority"] == "pass"
    assert "over 3 classes" in check(found, "balance").reason
    assert found.evidence.metrics["adapter"]["recall"] is None


def test_patients_with_many_records_are_the_unit() -> None:
    n = 60
    gold = np.tile([0, 0, 0, 1, 1], n // 5)
    adapter, base = labelled(gold, 0.9, 1), labelled(gold, 0.7, 2)
    single = panel([LABELS[k] for k in gold], {"adapter": adapter, "base": base})
    copies = panel(
        [LABELS[k] for k in np.repeat(gold, 4)],
        {"adapter": list(np.repeat(adapter, 4)), "base": list(np.repeat(base, 4))},
        patients=np.repeat(np.arange(n), 4),
    )
    once, again = (check(verdict(p), "beats_base").statistics for p in (single, copies))
    assert again["mcnemar_p"] == once["mcnemar_p"]
    assert again["standard_error"] == pytest.approx(once["standard_error"], rel=0.1)


def test_undeclared_gold_label_is_refused() -> None:
    with pytest.raises(BadInput, match="does not declare"):
        verdict(panel(["yes", "maybe"], {"adapter": ["yes", "yes"]}))
