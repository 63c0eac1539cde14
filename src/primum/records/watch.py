"""What was seen at a site, what is due there, and what came of it."""

from __future__ import annotations

from typing import Literal

from primum.records.frozen import Frozen
from primum.records.judged import Outcome

FindingKind = Literal["schema", "input", "missing", "text", "score", "prevalence", "calibration", "outcome"]
WatchStatus = Literal["alarm", "quiet", "too few", "failed"]


class Interval(Frozen):
    """A value with its 95% interval; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Finding(Frozen):
    """One comparison of the window with the reference."""

    kind: FindingKind
    column: str
    """The feature's column, or what was compared: `label`, `score`, `AUROC` ..."""
    method: str
    """The test, by its usual name."""
    p_value: float | None = None
    p_adjusted: float | None = None
    """Over all tests of the report (Benjamini & Hochberg, J R Stat Soc B 1995;57:289)."""
    effect: float | None = None
    effect_name: str = ""
    threshold: float | None = None
    """The effect from which it matters."""
    alarm: bool = False
    """Both: p_adjusted below the level, and the effect at or above the threshold."""
    reason: str
    """One sentence in plain words with the numbers; never a patient's value."""


class HiddenMissing(Frozen):
    """A constant that stands for "not recorded" in a column."""

    column: str
    value: str
    reference_share: float
    current_share: float
    reason: str


class Performance(Frozen):
    """How a system did on records with known outcomes."""

    records: int
    events: int | None = None
    """Records of the positive class (two classes)."""
    macro_f1: Interval
    accuracy: Interval
    auroc: Interval | None = None
    observed_expected: Interval | None = None
    """Calibration in the large: events over the sum of predicted probabilities."""
    slope: Interval | None = None
    """Calibration slope (Cox 1958): 1 is right, below 1 the probabilities are too extreme."""
    brier: float | None = None


class Estimate(Frozen):
    """What the calibrated scores themselves say of the performance where outcomes are not known yet."""

    accuracy: float | None
    auroc: float | None
    assumption: str
    """Under what it holds, in words."""


class DriftReport(Frozen):
    """One site's current window against the training split of the champion that serves there."""

    task: str
    site: str
    champion: str
    """Name of the version that serves the site; empty where none does."""
    reference: str
    """Split version that the reference was taken from."""
    reference_scope: Literal["site", "pooled"]
    """The site's own records of that split, or all of them where the site has too few there."""
    since: str | None
    """First moment of the window (ISO 8601); None: everything that the champion did not learn from."""
    until: str
    reference_records: int
    current_records: int
    outcome_records: int
    """Watched records, also of before the window, whose outcome became known within `drift.outcome_days`."""
    status: WatchStatus
    findings: tuple[Finding, ...] = ()
    """Alarms first, then by adjusted p-value."""
    hidden_missing: tuple[HiddenMissing, ...] = ()
    suggestions: tuple[str, ...] = ()
    """What a person may want to check, such as a unit that seems to have changed."""
    performance: Performance | None = None
    """On the outcome records."""
    performance_before: Performance | None = None
    """On the champion's validation part: the site's own records there where they are enough, else all."""
    estimate: Estimate | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    """Why it failed; such a site is judged by nothing and not quiet."""

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that alarm."""
        return tuple(finding for finding in self.findings if finding.alarm)


Action = Literal["none", "recalibrate", "retrain", "stay", "blocked"]
"""stay: too few labels for a holdout of the site's own. blocked: what was seen forbids to learn from it."""


class SitePlan(Frozen):
    """What is due at a site, and why."""

    site: str
    action: Action
    reasons: tuple[str, ...]
    """Each in words, with the numbers."""
    labels_needed: int | None = None
    """How many more labelled patients the site needs before anything can be judged there."""


class SiteCandidate(Frozen):
    """A candidate of a site and what validation says of it."""

    name: Literal["recalibrated", "site", "pooled", "pooled-then-site"]
    macro_f1: float | None
    log_loss: float | None
    chosen: bool = False


class SiteOutcome(Frozen):
    """What came of a site in one run of the retrain pipeline."""

    site: str
    action: Action
    reasons: tuple[str, ...]
    candidates: tuple[SiteCandidate, ...] = ()
    verdict: Outcome | None = None
    verdict_reasons: tuple[str, ...] = ()
    labels_needed: int | None = None
    holdout_records: int | None = None
    version: str | None = None
    """The registry version that the candidate became."""
    champion_before: str | None = None
    champion_after: str | None = None
    rolled_back: bool = False
    """The live champion failed its own gate and an earlier version (or the pooled one) serves again."""
    calibration_before: Interval | None = None
    """Observed over expected of the champion on the holdout."""
    calibration_after: Interval | None = None
    """The same of the candidate."""
    error: str | None = None
    """Why the site failed; the other sites are whole, and the same command continues."""


class WatchRun(Frozen):
    """All sites of one run of the drift pipeline."""

    task: str
    at: str
    """The date that the run stands on (ISO 8601)."""
    since: str | None
    reports: tuple[DriftReport, ...]


class RetrainRun(Frozen):
    """All sites of one run of the retrain pipeline."""

    task: str
    at: str
    cycle: str
    """Its name: the same command after an interruption continues it."""
    watch: WatchRun
    plans: tuple[SitePlan, ...]
    outcomes: tuple[SiteOutcome, ...]
    """Of the sites with something due."""
