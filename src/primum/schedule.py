"""What is due at a site: a pure function of what was seen there, of when, and of what was decided before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from primum.config import RetrainConfig
from primum.records import Action, DriftReport, Frozen, Outcome, SitePlan


class Decided(Frozen):
    """The last decision on a candidate of the site."""

    at: datetime
    """The date that its records ended."""
    outcome: Outcome
    recalibration: bool
    """The candidate was the champion of then, calibrated anew."""


class SiteFacts(Frozen):
    """All that decides what is due at a site."""

    report: DriftReport
    own: bool
    """The site has a champion of its own; else it is served by another site's or the pooled one."""
    champion_from: datetime | None
    """The date that the champion's records ended; None: not known."""
    new_labels: int
    """Patients with a matured label that the champion has not learned from."""
    labels_missing: int
    """Labelled patients that the site lacks for a next holdout, of which a share is kept; 0: it can be judged."""
    looks_left: int = 0
    """At the site's present holdout."""
    failing: tuple[str, ...] = ()
    """Required checks of the gate that the live champion fails on the watched outcomes."""
    decided: Decided | None = None


def plan(facts: SiteFacts, config: RetrainConfig, now: datetime) -> SitePlan:
    """The action that is due at a site at `now`, with every reason in words.

    Nothing is due while a decision rests, nothing that cannot be judged is trained, and after a refused training
    the next one waits for a holdout of its own. Drift whose harm could be
    seen in known outcomes, and is not there, is told and asks for nothing. Recalibration comes
    before retraining where the champion still tells patients apart and only its probabilities are off (Vergouwe
    et al., Stat Med 2017;36:4529: update no more than needed), unless just that was refused since.
    """
    report = facts.report
    if report.status == "failed":
        return _plan(report, "blocked", [report.error or "the site could not be watched"])
    broken = [finding.reason for finding in report.alarms if finding.kind == "schema"]
    if broken:
        return _plan(report, "blocked", [*broken, "mend the delivery first: nothing is learned from it"])
    reasons = list(_reasons(facts, config, now))
    if not reasons:
        calm = "the watched outcomes show no harm: neither lost discrimination nor probabilities that are off"
        said = f"{_drift(report)}; {calm}" if report.alarms else "nothing is due"
        return _plan(report, "none", [said])
    rest = timedelta(days=config.rest_days)
    if facts.decided is not None and now - facts.decided.at < rest:
        until = facts.decided.at + rest
        return _plan(
            report, "none", [f"the decision of {_day(facts.decided.at)} rests until {_day(until)}", *reasons]
        )
    if facts.labels_missing and (_trained_in_vain(facts) or not facts.looks_left):
        needed = (
            f"{facts.labels_missing} more labelled patient(s) are needed for a holdout that no one has seen"
        )
        return _plan(report, "stay", [*reasons, *_same_again(facts), needed], facts.labels_missing)
    return _plan(report, "recalibrate" if _only_calibration(facts) else "retrain", reasons)


def _reasons(facts: SiteFacts, config: RetrainConfig, now: datetime) -> Iterator[str]:
    report = facts.report
    if report.alarms and not _harmless(report):
        yield _drift(report)
    if facts.failing:
        yield f"performance: the live champion fails {', '.join(facts.failing)} on the watched outcomes"
    if facts.new_labels >= config.min_new_labels:
        yield f"labels: {facts.new_labels:,} patients with a known outcome that the champion has not learned from"
    if facts.champion_from is not None:
        age = (now - facts.champion_from).days
        if age >= config.max_age_days:
            yield f"age: the champion's records ended {age} days ago ({_day(facts.champion_from)})"


def _drift(report: DriftReport) -> str:
    more = f" (and {len(report.alarms) - 1} more)" if len(report.alarms) > 1 else ""
    return f"drift: {report.alarms[0].reason}{more}"


def _harmless(report: DriftReport) -> bool:
    """Whether known outcomes were enough to see harm, and show none: other records alone ask for no new model."""
    harm = {"calibration", "outcome"}
    return harm <= {f.kind for f in report.findings} and not harm & {f.kind for f in report.alarms}


def _only_calibration(facts: SiteFacts) -> bool:
    """Whether the probabilities are off and nothing speaks against the champion's way of telling patients apart."""
    kinds = {finding.kind for finding in facts.report.alarms}
    off = "calibration" in kinds or "calibration" in facts.failing
    others = set(facts.failing) - {
        "calibration",
        "net_benefit",
        "balance",
    }  # what a new threshold may mend too
    tried = facts.decided is not None and facts.decided.recalibration and facts.decided.outcome != "PROMOTE"
    return off and "outcome" not in kinds and not others and not tried


def _trained_in_vain(facts: SiteFacts) -> bool:
    """Whether a training was the last that was decided, and refused: lasting drift must not spend look after look.

    Without a next holdout the split is the same too, and the same records make nearly the same candidate.
    """
    last = facts.decided
    return last is not None and last.outcome != "PROMOTE" and not last.recalibration


def _same_again(facts: SiteFacts) -> Iterator[str]:
    if facts.decided is not None and _trained_in_vain(facts):
        when, outcome = _day(facts.decided.at), facts.decided.outcome
        yield f"what was trained here was refused as of {when} ({outcome}); the same records would spend another look"


def _plan(
    report: DriftReport, action: Action, reasons: list[str], labels_needed: int | None = None
) -> SitePlan:
    return SitePlan(site=report.site, action=action, reasons=tuple(reasons), labels_needed=labels_needed)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
