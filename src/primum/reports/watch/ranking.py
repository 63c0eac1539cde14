"""Which site comes first, which finding is named first: by what it may do to a patient, then by its size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from primum.records.watch import DriftReport, Finding, FindingKind, WatchStatus

STATUSES: tuple[WatchStatus, ...] = ("failed", "alarm", "too few", "quiet")
"""Worst first: of a failed site nothing is known."""

_WEIGHTS: dict[FindingKind, int] = {
    "outcome": 8,  # answers that are wrong, or probabilities that are
    "calibration": 8,
    "schema": 4,  # a column that is gone or means something else
    "prevalence": 3,
    "score": 3,
    "missing": 2,
    "text": 1,
    "input": 1,
}
_HARM = {"outcome", "calibration"}
_LARGEST = 5.0
"""A single finding counts for no more than this many times its threshold."""


def worst_first(reports: Sequence[DriftReport]) -> list[DriftReport]:
    """Failed, alarm, too few, quiet; alarms by what was seen of outcomes, then of inputs; then by name."""
    return sorted(reports, key=lambda r: (STATUSES.index(r.status), *_badness(r), r.site))


def _badness(report: DriftReport) -> tuple[float, float]:
    """Smaller is worse: alarms of outcome and calibration first, then all others, each by number and size."""
    alarms = report.alarms
    return -_weight(f for f in alarms if f.kind in _HARM), -_weight(f for f in alarms if f.kind not in _HARM)


def _weight(findings: Iterable[Finding]) -> float:
    return sum(_WEIGHTS[f.kind] * min(severity(f) or 1.0, _LARGEST) for f in findings)


def loudest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Alarms first, the weightiest at the top; then the others by how near they came to their threshold."""
    return sorted(findings, key=lambda f: (not f.alarm, -_WEIGHTS[f.kind] * f.alarm, -(severity(f) or 0.0)))


def severity(finding: Finding) -> float | None:
    """The effect in multiples of the threshold from which it matters; None where it has no size.

    Ratios (observed over expected, allowed up to a threshold above 1) are compared on the log scale, so that
    half as many events as expected weighs like twice as many. A gain (an outcome's loss below 0) has no weight.
    """
    effect, threshold = finding.effect, finding.threshold
    if effect is None or threshold is None or not math.isfinite(effect) or threshold <= 0:
        return None
    if finding.kind == "calibration" and threshold > 1:
        if effect < 0:
            return None
        times = abs(math.log(effect)) / math.log(threshold) if effect > 0 else _LARGEST
    else:
        times = (max(effect, 0.0) if finding.kind == "outcome" else abs(effect)) / threshold
    return max(times, 1.0) if finding.alarm else times


def main_reason(report: DriftReport) -> str:
    """Why the site stands where it stands, in one sentence."""
    if report.status == "failed":
        return report.error or "It could not be looked at."
    if report.alarms:
        return loudest_first(report.alarms)[0].reason
    if report.status == "too few":
        sizes = (
            f"{report.current_records:,} records in the window, {report.reference_records:,} in the reference"
        )
        return "; ".join(note for note in report.notes if "judge" in note) or sizes
    return f"Nothing that matters among {len(report.findings):,} comparisons."
