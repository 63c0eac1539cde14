from datetime import UTC, datetime, timedelta

import pytest

from primum.config import RetrainConfig
from primum.records import DriftReport, Finding
from primum.schedule import Decided, SiteFacts, plan

NOW = datetime(1994, 6, 30, tzinfo=UTC)
CONFIG = RetrainConfig()


def finding(kind: str) -> Finding:
    return Finding(kind=kind, column="x", method="m", alarm=True, reason=f"{kind} moved")


def report(*kinds: str, status: str = "quiet", error: str | None = None) -> DriftReport:
    return DriftReport(
        task="t", site="s", champion="t@all v1", reference="r", reference_scope="site", since=None, until="u",
        reference_records=100, current_records=100, outcome_records=100,
        status="alarm" if kinds else status, findings=tuple(map(finding, kinds)), error=error,
    )  # fmt: skip


def facts(*kinds: str, **changes: object) -> SiteFacts:
    sound = {"report": report(*kinds), "own": True, "champion_from": NOW - timedelta(days=30), "new_labels": 10,
             "labels_missing": 0}  # fmt: skip
    return SiteFacts.model_validate({**sound, **changes})


def test_nothing_is_due_where_nothing_was_seen() -> None:
    found = plan(facts(), CONFIG, NOW)
    assert (found.action, found.reasons) == ("none", ("nothing is due",))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"new_labels": 500}, "labels: 500"),
        ({"champion_from": NOW - timedelta(days=365)}, "age: the champion's records ended 365 days ago"),
        ({"failing": ("beats_majority",)}, "performance: the live champion fails beats_majority"),
        ({"report": report("input")}, "drift: input moved"),
    ],
)
def test_each_reason_alone_makes_a_site_due(changes: dict[str, object], word: str) -> None:
    found = plan(facts(**changes), CONFIG, NOW)
    assert found.action == "retrain"
    assert found.reasons[0].startswith(word)
    assert len(found.reasons) == 1


def test_one_label_or_day_less_is_not_due() -> None:
    found = plan(facts(new_labels=499, champion_from=NOW - timedelta(days=364)), CONFIG, NOW)
    assert found.action == "none"


def test_recalibration_comes_first_where_only_the_probabilities_are_off() -> None:
    assert plan(facts("calibration"), CONFIG, NOW).action == "recalibrate"
    assert plan(facts(failing=("calibration",)), CONFIG, NOW).action == "recalibrate"
    assert plan(facts("calibration", "input", "prevalence"), CONFIG, NOW).action == "recalibrate"


def test_drift_without_harm_is_told_and_asks_for_nothing() -> None:
    calm = [finding(kind).model_copy(update={"alarm": False}) for kind in ("calibration", "outcome")]
    moved = report("input")
    known = moved.model_copy(update={"findings": (*moved.findings, *calm)})
    found = plan(facts(report=known), CONFIG, NOW)
    assert found.action == "none"
    assert found.reasons[0].startswith("drift: input moved; the watched outcomes show no harm")
    unknown = moved.model_copy(
        update={"findings": (*moved.findings, calm[0])}
    )  # too few to see discrimination
    assert plan(facts(report=unknown), CONFIG, NOW).action == "retrain"


def test_lost_discrimination_asks_for_training() -> None:
    assert plan(facts("calibration", "outcome"), CONFIG, NOW).action == "retrain"
    assert plan(facts("calibration", failing=("beats_majority",)), CONFIG, NOW).action == "retrain"


def test_a_refused_recalibration_is_not_offered_again() -> None:
    refused = Decided(at=NOW - timedelta(days=60), outcome="REJECT", recalibration=True)
    assert plan(facts("calibration", decided=refused), CONFIG, NOW).action == "retrain"
    promoted = refused.model_copy(update={"outcome": "PROMOTE"})
    assert plan(facts("calibration", decided=promoted), CONFIG, NOW).action == "recalibrate"


def test_a_decision_rests() -> None:
    decided = Decided(at=NOW - timedelta(days=27), outcome="HOLD", recalibration=False)
    found = plan(facts("input", decided=decided), CONFIG, NOW)
    assert found.action == "none"
    assert "rests until 1994-07-01" in found.reasons[0]
    older = decided.model_copy(update={"at": NOW - timedelta(days=28)})
    assert plan(facts("input", decided=older), CONFIG, NOW).action == "retrain"


def test_a_site_too_small_to_judge_stays_and_says_what_is_missing() -> None:
    found = plan(facts("input", labels_missing=12), CONFIG, NOW)
    assert (found.action, found.labels_needed) == ("stay", 12)
    assert "12 more labelled patient(s)" in found.reasons[-1]
    assert plan(facts("input", labels_missing=12, looks_left=1), CONFIG, NOW).action == "retrain"


def test_lasting_drift_spends_one_look_on_a_training_and_then_waits_for_a_holdout() -> None:
    before = NOW - timedelta(days=100)
    for outcome in ("REJECT", "HOLD"):
        refused = Decided(at=before, outcome=outcome, recalibration=False)
        for drift in (("outcome",), ("calibration",)):
            found = plan(facts(*drift, decided=refused, labels_missing=60, looks_left=2), CONFIG, NOW)
            assert (found.action, found.labels_needed) == ("stay", 60)
            assert "refused as of 1994-03-22" in found.reasons[-2]
        assert plan(facts("outcome", decided=refused, looks_left=2), CONFIG, NOW).action == "retrain"
    for other in (("REJECT", True), ("PROMOTE", False)):
        decided = Decided(at=before, outcome=other[0], recalibration=other[1])
        found = plan(facts("outcome", decided=decided, labels_missing=60, looks_left=2), CONFIG, NOW)
        assert found.action == "retrain"


def test_what_cannot_be_watched_or_is_broken_is_not_learned_from() -> None:
    failed = plan(facts(report=report(status="failed", error="the bundle was altered")), CONFIG, NOW)
    assert (failed.action, failed.reasons) == ("blocked", ("the bundle was altered",))
    broken = plan(facts("schema", "calibration", new_labels=9999), CONFIG, NOW)
    assert broken.action == "blocked"
    assert broken.reasons[0] == "schema moved"
