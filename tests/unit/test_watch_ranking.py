"""Which site comes first, and why."""

from __future__ import annotations

import pytest
from test_watch_sample import finding, report, sites

from primum.records.watch import DriftReport
from primum.reports.watch import worst_first
from primum.reports.watch.ranking import main_reason, severity


def alarming(site: str, *findings: tuple[str, float, float]) -> DriftReport:
    made = tuple(finding(k, f"c{i}", e, alarm=True, threshold=t) for i, (k, e, t) in enumerate(findings))
    return report(site, "alarm").model_copy(update={"findings": made})


def test_failed_stands_before_alarm_too_few_and_quiet_whatever_the_order_they_came_in() -> None:
    ordered = worst_first(sites(40))
    statuses = [r.status for r in ordered]
    assert list(dict.fromkeys(statuses)) == ["failed", "alarm", "too few", "quiet"]
    assert worst_first(list(reversed(ordered))) == ordered
    assert worst_first([]) == []


def test_one_alarm_of_outcomes_outweighs_many_of_inputs() -> None:
    outcome = alarming("z-outcome", ("outcome", 0.06, 0.05))
    inputs = alarming("a-inputs", *[("input", 2.0, 0.2)] * 12)
    assert [r.site for r in worst_first([inputs, outcome])] == ["z-outcome", "a-inputs"]


def test_more_and_larger_alarms_of_a_kind_come_first_and_one_huge_one_does_not_drown_all() -> None:
    small = alarming("a", ("calibration", 1.3, 1.25))
    large = alarming("b", ("calibration", 2.0, 1.25))
    two = alarming("c", ("calibration", 2.0, 1.25), ("outcome", 0.1, 0.05))
    huge = alarming("d", ("input", 1e9, 0.2))
    wide = alarming("e", *[("input", 0.3, 0.2)] * 9)
    assert [r.site for r in worst_first([small, large, two, huge, wide])] == ["c", "b", "a", "e", "d"]


def test_half_as_many_events_weighs_like_twice_as_many() -> None:
    low, high = (finding("calibration", "O/E", e, alarm=True, threshold=1.25) for e in (0.5, 2.0))
    assert severity(low) == pytest.approx(severity(high))
    assert severity(low) == pytest.approx(3.106, abs=0.001)
    none = finding("calibration", "O/E", 0.0, alarm=True, threshold=1.25)  # no event at all
    assert severity(none) == 5.0


def test_a_size_is_a_multiple_of_its_threshold_and_an_alarm_is_never_below_it() -> None:
    assert severity(finding("input", "age", -0.4, alarm=True)) == pytest.approx(2)
    assert severity(finding("input", "age", 0.1, alarm=False)) == pytest.approx(0.5)
    assert severity(finding("calibration", "slope", 0.2, alarm=True, threshold=0.3)) == 1.0
    gain = finding("outcome", "AUROC", -0.2, alarm=False, threshold=0.05)  # better than it was
    assert severity(gain) == 0.0
    nothing = finding("schema", "age", 0.1, alarm=True)
    assert severity(nothing.model_copy(update={"effect": None})) is None
    assert severity(nothing.model_copy(update={"effect": float("nan")})) is None
    assert severity(nothing.model_copy(update={"threshold": None})) is None


def test_the_main_reason_is_the_error_the_weightiest_alarm_or_what_is_missing() -> None:
    assert "altered" in main_reason(report("a", "failed"))
    both = alarming("a", ("input", 3.0, 0.2), ("calibration", 1.6, 1.25))
    assert main_reason(both) == both.findings[1].reason
    assert main_reason(report("a", "too few")) == "too few to judge: 12 records in the window, 30 are needed."
    noted = report("a", "too few").model_copy(
        update={"notes": ("the 12 records are of 9 patients", "too few to judge: 9 patients")}
    )
    assert main_reason(noted) == "too few to judge: 9 patients"
    silent = report("a", "too few").model_copy(update={"notes": ()})
    assert main_reason(silent) == "12 records in the window, 1,834 in the reference"
    assert main_reason(report("a", "quiet")) == "Nothing that matters among 11 comparisons."
    unsaid = report("a", "failed").model_copy(update={"error": None})
    assert main_reason(unsaid) == "It could not be looked at."
