"""The gate's check of memory: pass, fail, hold, and what was trained with canaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_gate import check, good_panel, look, verdict

from primum.config import GateConfig
from primum.records import CheckResult, Evaluation, PrivacyAudit, Signals, Verdict

REQUIRED = GateConfig(resamples=500, privacy={"required": True})


def signals(n: int, shift: float, seed: int, each: int = 1) -> Signals:
    rng = np.random.default_rng(seed)
    base = rng.normal(-1, 0.3, n)
    return Signals(
        patients=tuple(i // each for i in range(n)),
        base=tuple(base.tolist()),
        adapter=tuple((base / 3 + rng.normal(shift, 1, n) - 3).tolist()),
    )


def judged(n: int, shift: float, **more: Any) -> Verdict:
    audit = PrivacyAudit(members=signals(n, shift, 1), others=signals(n, 0, 2))
    return verdict(good_panel(), audit=audit, **{"config": REQUIRED, **more})


def privacy(found: Verdict) -> CheckResult:
    return check(found, "privacy")


def test_what_cannot_be_told_apart_passes_with_its_numbers() -> None:
    found = judged(600, 0.0)
    assert (found.outcome, privacy(found).status) == ("PROMOTE", "pass")
    numbers = privacy(found).statistics
    for attack in ("loss", "loss_difference"):
        assert numbers[f"{attack}|lower"] < numbers[f"{attack}|auroc"] < numbers[f"{attack}|upper"] <= 0.6
        assert 0 <= numbers[f"{attack}|tpr_at_0.01_lower"] <= numbers[f"{attack}|tpr_at_0.01"] < 0.1
        assert f"{attack}|tpr_at_0.1" in numbers
    assert "600 training against 600 holdout records" in privacy(found).reason
    assert "98.75% intervals, both together" in privacy(found).reason
    assert "At 1% false alarms" in privacy(found).reason
    assert found.evidence.inputs["privacy_audit"]


def test_memory_is_rejected_where_it_is_required_and_told_where_not() -> None:
    found = judged(300, 1.5)
    assert (found.outcome, privacy(found).status) == ("REJECT", "fail")
    assert "The adapter remembers its training records" in found.reasons[0]
    told = judged(300, 1.5, config=GateConfig(resamples=500))
    assert (told.outcome, privacy(told).status, privacy(told).required) == ("PROMOTE", "fail", False)


def test_memory_that_only_the_base_reveals_is_found() -> None:
    """Hard and easy records differ more than memory does: the loss alone is blind, against the base's it is not."""
    rng = np.random.default_rng(0)
    hard = {k: rng.normal(-5, 4, 300) for k in ("members", "others")}
    audit = PrivacyAudit(
        **{
            k: Signals(
                patients=tuple(range(300)),
                base=tuple(base.tolist()),
                adapter=tuple((base + (1 if k == "members" else 0) + rng.normal(0, 0.3, 300)).tolist()),
            )
            for k, base in hard.items()
        }
    )
    numbers = privacy(verdict(good_panel(), audit=audit, config=REQUIRED))
    assert numbers.status == "fail"
    assert numbers.statistics["loss|lower"] < 0.6 < numbers.statistics["loss_difference|lower"]


def test_too_few_records_hold_and_say_how_many_more() -> None:
    found = judged(60, 0.0)
    assert (found.outcome, privacy(found).status) == ("HOLD", "hold")
    assert privacy(found).labels_needed == found.labels_needed
    assert (found.labels_needed or 0) >= 214 - 60  # 214 of each show no memory to lie below 0.6
    assert f"About {found.labels_needed} more labelled patients are needed" in privacy(found).reason
    assert "9 patients can be compared, and 10 are needed" in privacy(judged(9, 0.0)).reason


def test_without_an_audit_it_is_not_assessed_or_holds_by_name() -> None:
    assert privacy(verdict(good_panel())).status == "not assessed"
    found = verdict(good_panel(), config=REQUIRED)
    assert found.outcome == "HOLD"
    assert (
        "privacy: Cannot be judged: what the candidate says of its training records is not known."
        in found.reasons
    )
    apart = verdict(good_panel(), config=REQUIRED, audit=PrivacyAudit(unlike="newer patients"))
    assert (apart.outcome, privacy(apart).reason) == ("HOLD", "Cannot be judged: newer patients.")
    spent = judged(600, 0.0, look=look(5))
    assert (spent.outcome, privacy(spent).status) == ("HOLD", "hold")


def test_answers_that_cannot_be_read_give_nothing_away() -> None:
    mute = Signals(patients=tuple(range(400)), base=(None,) * 400, adapter=(None,) * 400)
    found = privacy(verdict(good_panel(), audit=PrivacyAudit(members=mute, others=mute), config=REQUIRED))
    assert (found.status, found.statistics["loss|auroc"]) == ("pass", 0.5)


@pytest.mark.parametrize("required", [True, False])
def test_an_adapter_with_canaries_is_never_promoted(required: bool) -> None:
    clean = {"members": signals(600, 0, 1), "others": signals(600, 0, 2)}
    config = GateConfig(resamples=500, privacy={"required": required})

    def planted(shift: float) -> Verdict:
        audit = PrivacyAudit(**clean, planted=signals(60, shift, 3), reference=signals(60, 0, 4))
        return verdict(good_panel(), audit=audit, config=config)

    traceless = planted(0.0)
    found = privacy(traceless)
    assert (traceless.outcome, found.status, found.required) == ("HOLD", "hold", True)
    assert "It was trained with 60 made-up records, to be audited and not to be used" in found.reason
    assert found.statistics["exposure_lower"] < 1.44 < found.statistics["exposure_upper"]
    assert found.statistics["epsilon_lower"] == 0.0
    assert "loss|auroc" in found.statistics
    learned = planted(3.0)
    assert (learned.outcome, privacy(learned).status) == ("REJECT", "fail")
    assert privacy(learned).statistics["exposure_lower"] > 2.0
    assert privacy(learned).statistics["epsilon_lower"] > 1.0


def test_evaluations_of_before_are_read() -> None:
    assert Evaluation.model_fields["privacy"].default is None
