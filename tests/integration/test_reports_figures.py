"""Decision curves and subgroups: what is drawn is what was judged, and what was not judged is loud."""

from __future__ import annotations

import numpy as np
import pytest
from test_reports_sample import Page, sample, sample_panel

from primum.records import CheckResult, Predictions
from primum.reports import benefit, figures, forest, html, subgroups, tables
from primum.reports.facts import RunFacts
from primum.reports.figures import Drawing
from primum.stats.decision import net_benefit
from primum.stats.metrics import Coded
from primum.stats.scores import probabilities

AGES = ("below 40", "40 and above", "not recorded")


def with_subgroups(facts: RunFacts, statuses: dict[str, str]) -> RunFacts:
    """The facts with three age groups; `statuses` are what the gate found of them."""
    n = len(facts.panel.gold)
    groups = tuple(AGES[0] if i < 28 else AGES[1] if i < 56 else AGES[2] for i in range(n))
    found: dict[str, float | str] = {}
    for name, status in statuses.items():
        found |= {f"age={name}|status": status}
        if status != "not assessed":
            found |= {f"age={name}|delta": -0.11, f"age={name}|lower": -0.2, f"age={name}|upper": 0.012}
    check = CheckResult(name="subgroups", required=True, status="fail", reason="Told.", statistics=found)
    evidence = facts.verdict.evidence
    checks = (*(c for c in evidence.checks if c.name != "subgroups"), check)
    verdict = facts.verdict.model_copy(update={"evidence": evidence.model_copy(update={"checks": checks})})
    panel = facts.panel.model_copy(update={"subgroups": {"age": groups}})
    return facts.model_copy(update={"panel": panel, "verdict": verdict})


def with_thresholds(facts: RunFacts, *thresholds: float) -> RunFacts:
    task = facts.config.task.model_copy(update={"decision_thresholds": thresholds})
    return facts.model_copy(update={"config": facts.config.model_copy(update={"task": task})})


def drawn(facts: RunFacts, name: str) -> Drawing:
    """One figure alone: drawing all of them takes the time of the others."""
    drawers = {"decision": benefit.decision_curves, "differences": forest.differences}
    (drawing,) = figures.drawn(facts, {name: (name, drawers[name])})
    return drawing


def test_the_curve_is_the_net_benefit_and_its_band_holds_it() -> None:
    panel = sample_panel(("no", "yes"), 80)
    grid = np.array([0.1, 0.3, 0.5])
    curve = benefit.curve(panel, "adapter", grid)
    coded = Coded(panel)
    p = probabilities(coded.gold, coded.log_probs["adapter"])[:, coded.positive]
    event, one = coded.gold == coded.positive, np.ones((1, 80))
    assert curve.model == pytest.approx([net_benefit(p, event, t, one)[0] for t in grid])
    share = event.mean()
    assert curve.everyone == pytest.approx([share - (1 - share) * t / (1 - t) for t in grid])
    low, high = benefit.band(panel, "adapter", grid, np.random.default_rng(0))
    assert (low < curve.model).all()
    assert (curve.model < high).all()


def test_the_band_resamples_patients_and_not_records() -> None:
    """Every record thrice: the same patients give the same band, records taken for patients a narrower one."""
    panel, grid = sample_panel(("no", "yes"), 60), np.array([0.3])

    def widened(patients: tuple[str, ...]) -> float:
        thrice = {
            name: Predictions(
                system=name,
                labels=p.labels,
                record_ids=tuple(f"{i}{k}" for k in range(3) for i in p.record_ids),
                log_probs=p.log_probs * 3,
                predicted=p.predicted * 3,
            )
            for name, p in panel.systems.items()
        }
        ids = thrice["adapter"].record_ids
        update = {"record_ids": ids, "patient_ids": patients, "gold": panel.gold * 3, "sites": ("x",) * 180}
        copied = panel.model_copy(update={**update, "systems": thrice})
        low, high = benefit.band(copied, "adapter", grid, np.random.default_rng(1))
        return float(high[0] - low[0])

    low, high = benefit.band(panel, "adapter", grid, np.random.default_rng(1))
    assert widened(panel.patient_ids * 3) == pytest.approx(float(high[0] - low[0]))
    assert widened(tuple(map(str, range(180)))) < 0.85 * float(high[0] - low[0])


def test_curves_of_candidate_base_best_classical_and_champion_with_treat_all_and_none() -> None:
    facts = with_thresholds(sample(), 0.25)
    systems = {**facts.panel.systems, "champion": facts.panel.systems["random_forest"]}
    facts = facts.model_copy(update={"panel": facts.panel.model_copy(update={"systems": systems})})
    drawing = drawn(facts, "decision")
    for label in ("Adapter", "Base model", "LASSO", "Champion", "treat all", "treat none", "95% interval"):
        assert label in drawing.svg
    assert "Random forest" not in drawing.svg  # not the classical model that was best on validation
    assert "(0.25)" in drawing.caption
    value = benefit.curve(facts.panel, "adapter", np.array([0.25])).model[0]
    assert f"at 0.25: Adapter {value:.3f}" in drawing.alt
    assert "no threshold was declared" in drawn(sample(), "decision").caption.lower()


def test_what_cannot_have_a_curve_is_said_and_not_drawn() -> None:
    many = sample(labels=("a", "b", "c"))
    n, labels = 60, ("benign", "malignant")
    facts = sample(labels=labels)
    plain = facts.panel.systems["adapter"].model_copy(update={"log_probs": (None,) * n})
    systems = {**facts.panel.systems, "adapter": plain}
    silent = facts.model_copy(update={"panel": facts.panel.model_copy(update={"systems": systems})})
    for without, words in (
        (many, "defined for two classes, and there are 3"),
        (silent, "labels without probabilities"),
        (sample("HOLD", looks=5), "this holdout is exhausted"),
    ):
        assert words in str(benefit.why_absent(without))
        assert benefit.decision_curves(without) is None
        assert words in Page(html.render(without, ())).words
    assert benefit.why_absent(facts) is None


def test_every_subgroup_is_drawn_and_listed_with_n_and_events() -> None:
    facts = with_subgroups(sample(), {AGES[0]: "pass", AGES[1]: "fail", AGES[2]: "not assessed"})
    found = {row.name: row for row in subgroups.rows(facts)}
    assert set(found) == {f"age={age}" for age in AGES}
    ill = facts.panel.gold[:28].count("malignant")
    first = found["age=below 40"]
    assert (first.records, first.patients, first.events, first.status) == (28, 14, ill, "pass")
    drawing = drawn(facts, "differences")
    assert f"n 28, events {ill}" in drawing.svg
    assert drawing.svg.count("NOT ASSESSED") == 1
    assert drawing.svg.count("FAILED") == 1
    assert "<pattern" in drawing.svg  # hatched
    assert "age: not recorded, n 4" in drawing.alt
    page = Page(html.render(facts, (drawing,)))
    assert ("class", "not") in page.attributes
    assert ("class", "fail") in page.attributes
    assert all(f"age: {age}" in page.words for age in AGES)


def test_a_check_that_could_not_be_judged_leaves_every_subgroup_not_assessed() -> None:
    facts = with_subgroups(sample(), {})
    assert [row.status for row in subgroups.rows(facts)] == ["not assessed"] * 3
    drawing = drawn(facts, "differences")
    assert drawing.svg.count("NOT ASSESSED") == 3
    page = Page(html.render(facts, ()))
    assert page.words[page.words.index("Subgroups", 600) :].count("NOT ASSESSED") == 3
    assert subgroups.rows(facts.model_copy(update={"verdict": sample("HOLD", looks=5).verdict})) == ()


def test_of_too_many_subgroups_the_worst_are_drawn_and_all_are_listed() -> None:
    facts = sample()
    groups = tuple(f"ward {i:02d}" for i in range(60))
    panel = facts.panel.model_copy(update={"sites": groups})
    passed = {f"site={name}|status": "pass" for name in groups[:59]}
    check = CheckResult(name="subgroups", required=True, status="pass", reason="Told.", statistics=passed)
    evidence = facts.verdict.evidence.model_copy(update={"checks": (check,)})
    verdict = facts.verdict.model_copy(update={"evidence": evidence})
    facts = facts.model_copy(update={"panel": panel, "verdict": verdict})
    drawing = drawn(facts, "differences")
    assert f"{60 - forest.MOST_GROUPS} more subgroups" in drawing.caption
    assert "ward 59" in drawing.svg  # not assessed: never left out for one that passed
    page = Page(html.render(facts, ()))
    assert all(name in page.words for name in groups)


def test_the_results_table_shows_each_value_with_its_interval() -> None:
    facts = sample()
    page = Page(html.render(facts, ()))
    part = page.words[page.words.index("Results on the holdout") : page.words.index("Checks of the gate")]
    assert part.count(" to ") >= 5 * (len(tables.METRICS) - 1)
