"""Made-up runs of drift and retrain for the tests of their pages; and that the sample is what it claims."""

from __future__ import annotations

import random

from primum.records.watch import (
    DriftReport,
    Estimate,
    Finding,
    HiddenMissing,
    Interval,
    Performance,
    RetrainRun,
    SiteCandidate,
    SiteOutcome,
    SitePlan,
    WatchRun,
    WatchStatus,
)

HOSTILE = '<script>alert("x")</script> & "><img src=http://evil.example/a onerror=x> [bold]n[/bold] \x1b[2J|'
"""A site's name that wants to act: as HTML, as an attribute, as markup of the terminal, as a table's border."""


def interval(value: float, half: float = 0.1) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def finding(kind: str, column: str, effect: float, *, alarm: bool, threshold: float = 0.2) -> Finding:
    names = {
        "calibration": "observed over expected",
        "outcome": "loss",
        "input": "standardised mean difference",
    }
    return Finding.model_validate(
        {
            "kind": kind,
            "column": column,
            "method": "Kolmogorov-Smirnov" if kind == "input" else "permutation test",
            "p_value": 0.00001 if alarm else 0.4,
            "p_adjusted": 0.00012 if alarm else 0.71,
            "effect": effect,
            "effect_name": names.get(kind, "difference of shares"),
            "threshold": threshold,
            "alarm": alarm,
            "reason": f"{column}: {effect:.2f} where {threshold:g} matters, seen in the window's records.",
        }
    )


def performance(auroc: float, ratio: float, records: int) -> Performance:
    return Performance(
        records=records,
        events=records // 8,
        macro_f1=interval(auroc - 0.1, 0.04),
        accuracy=interval(auroc, 0.03),
        auroc=interval(auroc, 0.035),
        observed_expected=Interval(value=ratio, low=ratio * 0.85, high=ratio * 1.18),
        slope=interval(0.93, 0.15),
        brier=0.1123,
    )


def report(
    site: str, status: WatchStatus, *, seed: int = 0, records: int = 412, outcomes: int = 206
) -> DriftReport:
    rng = random.Random(seed)  # noqa: S311
    loud = status == "alarm"
    ratio = rng.choice((0.55, 1.6, 2.4)) if loud else 1.05
    columns = ("age", "systolic pressure", "delay", "atrial fibrillation", "consciousness", "deficit")
    findings = [finding("input", c, rng.uniform(0, 0.18), alarm=False) for c in columns[1:]]
    findings += [
        finding("input", columns[0], 0.31 if loud and seed % 2 else 0.04, alarm=loud and seed % 2 == 1),
        finding("missing", "heart rate", 0.02, alarm=False, threshold=0.1),
        finding("score", "score", 0.05, alarm=False, threshold=0.1),
        finding("prevalence", "label", 0.03, alarm=False, threshold=0.1),
        finding("calibration", "observed over expected", ratio, alarm=loud, threshold=1.25),
        finding("outcome", "AUROC", 0.01, alarm=False, threshold=0.05),
    ]
    judged = status in ("alarm", "quiet")
    return DriftReport(
        task="stroke",
        site=site,
        champion="stroke@all v1",
        reference="9f2b6f0e3c1d4a5b8c7d6e5f4a3b2c1d.dir",
        reference_scope="site" if seed % 3 else "pooled",
        since="1994-01-01T00:00:00+00:00",
        until="1994-04-01T00:00:00+00:00",
        reference_records=1834,
        current_records=records if judged else 12,
        outcome_records=outcomes if judged else 5,
        status=status,
        findings=tuple(findings) if judged else (),
        hidden_missing=(
            HiddenMissing(
                column="chol",
                value="0",
                reference_share=0.0,
                current_share=0.41,
                reason="chol is 0 in 41% of the window and never in the reference: 0 stands for not recorded.",
            ),
        )
        if loud
        else (),
        suggestions=("temperature: 36.9 became 98.4, which is Fahrenheit for Celsius.",) if loud else (),
        performance=performance(0.77, ratio, outcomes) if judged and outcomes else None,
        performance_before=performance(0.79, 1.01, 800) if judged else None,
        estimate=Estimate(
            accuracy=0.81,
            auroc=0.78,
            assumption="the scores are calibrated in the window too; calibration is what alarms here most often.",
        )
        if judged
        else None,
        notes=("too few to judge: 12 records in the window, 30 are needed.",) if status == "too few" else (),
        error="champion's files are altered: bundle 3fa1 does not match its hash"
        if status == "failed"
        else None,
    )


def watch(reports: list[DriftReport]) -> WatchRun:
    return WatchRun(
        task="stroke",
        at="1994-04-01T00:00:00+00:00",
        since="1994-01-01T00:00:00+00:00",
        reports=tuple(reports),
    )


def sites(n: int, *, long: bool = False) -> list[DriftReport]:
    """n sites of all statuses; two fifths quiet."""
    statuses: tuple[WatchStatus, ...] = (
        "quiet",
        "alarm",
        "quiet",
        "too few",
        "alarm",
        "quiet",
        "failed",
        "quiet",
    )
    name = "Universitätsklinikum für Neurologie und Rehabilitation der Stadt Nord-" if long else "site-"
    return [report(f"{name}{i:04d}", statuses[i % len(statuses)], seed=i) for i in range(n)]


def outcome(site: str, verdict: str | None, **more: object) -> SiteOutcome:
    recalibrated = verdict == "PROMOTE"
    return SiteOutcome.model_validate(
        {
            "site": site,
            "action": "recalibrate" if recalibrated else "retrain",
            "reasons": ("O/E 1.60 (1.31 to 1.93) on 206 watched records, beyond 1.25.",),
            "candidates": [
                SiteCandidate(name="recalibrated", macro_f1=0.672, log_loss=0.411, chosen=recalibrated),
                SiteCandidate(name="site", macro_f1=0.655, log_loss=0.452),
                SiteCandidate(
                    name="pooled-then-site", macro_f1=0.69, log_loss=0.431, chosen=not recalibrated
                ),
            ],
            "verdict": verdict,
            "verdict_reasons": ("Not worse than the champion: difference +0.010 (-0.004 to +0.024).",),
            "labels_needed": 612 if verdict == "HOLD" else None,
            "holdout_records": 388,
            "version": f"stroke@{site} v2",
            "champion_before": f"stroke@{site} v1" if verdict != "HOLD" else "stroke@all v1",
            "champion_after": f"stroke@{site} v{2 if verdict == 'PROMOTE' else 1}"
            if verdict != "HOLD"
            else "stroke@all v1",
            "calibration_before": Interval(value=1.62, low=1.3, high=1.99),
            "calibration_after": Interval(value=1.04, low=0.84, high=1.28),
            **more,
        }
    )


def retrain(reports: list[DriftReport]) -> RetrainRun:
    """What becomes of the reports: alarms are due, too few stay, and every way it can end occurs."""
    ends: tuple[tuple[str | None, dict[str, object]], ...] = (
        ("PROMOTE", {}),
        ("HOLD", {}),
        ("REJECT", {}),
        ("HOLD", {"rolled_back": True, "champion_before": "stroke@x v3", "champion_after": "stroke@x v2"}),
        (
            None,
            {
                "error": "GPU memory ended while training (set stack.batch)",
                "candidates": (),
                "calibration_before": None,
                "calibration_after": None,
            },
        ),
    )
    plans, outcomes, alarms = [], [], 0
    for r in reports:
        if r.status == "alarm":
            verdict, more = ends[alarms % len(ends)]
            alarms += 1
            plans.append(SitePlan(site=r.site, action="retrain", reasons=("O/E 1.60, beyond 1.25.",)))
            outcomes.append(outcome(r.site, verdict, **more))
        elif r.status == "too few":
            why = "41 labelled patients are too few for a holdout of its own."
            plans.append(SitePlan(site=r.site, action="stay", reasons=(why,), labels_needed=159))
        elif r.status == "failed":
            plans.append(SitePlan(site=r.site, action="blocked", reasons=("The drift report failed.",)))
        else:
            plans.append(SitePlan(site=r.site, action="none", reasons=("No alarm, 12 new labels.",)))
    return RetrainRun(
        task="stroke",
        at="1994-04-01T00:00:00+00:00",
        cycle="stroke-1994-04-01",
        watch=watch(reports),
        plans=tuple(plans),
        outcomes=tuple(outcomes),
    )


def test_the_sample_has_every_status_and_every_end() -> None:
    run = retrain(sites(80))
    assert {r.status for r in run.watch.reports} == {"alarm", "quiet", "too few", "failed"}
    assert {o.verdict for o in run.outcomes} == {"PROMOTE", "HOLD", "REJECT", None}
    assert any(o.rolled_back for o in run.outcomes)
    assert any(o.error for o in run.outcomes)
    assert {p.action for p in run.plans} >= {"retrain", "stay", "blocked", "none"}
