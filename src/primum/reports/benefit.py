"""Decision curves: what acting on each system would gain over a range of thresholds.

Net benefit after Vickers & Elkin 2006 (doi 10.1177/0272989X06295361): TP/n - FP/n t/(1 - t), where t is the
probability from which one would act. Treating no one has 0; a curve is worth following where it lies above
both 0 and treating everyone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from primum.records import Panel
from primum.reports import curves
from primum.reports.facts import ADAPTER, BASE
from primum.reports.plots import BLUE, COLOURS, INK, PAPER, PURPLE, Drawn, short
from primum.reports.shown import Shown
from primum.reports.tables import number, title
from primum.stats.decision import benefit_per_record, decision_curve
from primum.stats.intervals import draw_patients
from primum.stats.metrics import Coded
from primum.stats.resample import CHUNK, percentile_interval
from primum.stats.scores import probabilities

GRID = np.arange(1, 100) / 100
"""The thresholds that are drawn, beside those of the task."""
ALPHA, RESAMPLES, SEED = 0.05, 1000, 42
"""The band describes the candidate alone; fixed, so that identical facts give the identical picture."""


@dataclass(frozen=True)
class Curve:
    """Net benefit over thresholds (T,): `model`, and treating `everyone`."""

    thresholds: np.ndarray
    model: np.ndarray
    everyone: np.ndarray


def why_absent(facts: Shown) -> str | None:
    """Why no decision curve can be drawn, as a sentence; None where it can."""
    if facts.exhausted or not facts.panel.gold:
        return "No decision curve: this holdout is exhausted, and its results stay closed."
    if facts.panel.positive is None:
        return (
            f"No decision curve: net benefit is defined for two classes, and there are "
            f"{len(facts.panel.labels)} here."
        )
    if not curves.has_probabilities(facts.panel, ADAPTER):
        return "No decision curve: the candidate gave labels without probabilities that order the records."
    return None


def curve(panel: Panel, system: str, thresholds: np.ndarray = GRID) -> Curve:
    """The decision curve of one system of a two-class panel."""
    probability, event = _judged(panel, system)
    found = decision_curve(probability, event, thresholds)
    return Curve(thresholds, found[:, 0], found[:, 1])


def band(
    panel: Panel, system: str, thresholds: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise percentile interval (T,), (T,) of the net benefit from resampling patients."""
    probability, event = _judged(panel, system)
    patients = Coded(panel).patients
    count = int(patients.max()) + 1
    gain = np.stack([benefit_per_record(probability, event, t) for t in thresholds.tolist()], axis=1)
    of_patient = np.zeros((count, thresholds.size))
    np.add.at(of_patient, patients, gain)
    records = np.bincount(patients, minlength=count)
    rows = max(1, CHUNK // count)
    blocks = []
    for start in range(0, RESAMPLES, rows):
        drawn = draw_patients(count, min(rows, RESAMPLES - start), rng)
        blocks.append(drawn @ of_patient / (drawn @ records)[:, None])
    ends = [percentile_interval(column, ALPHA) for column in np.concatenate(blocks).T]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def _judged(panel: Panel, system: str) -> tuple[np.ndarray, np.ndarray]:
    coded = Coded(panel)
    return probabilities(coded.gold, coded.log_probs[system])[:, coded.positive], coded.gold == coded.positive


def compared(facts: Shown) -> list[str]:
    """Candidate, base, best classical model and champion, as far as they gave probabilities."""
    wanted = (ADAPTER, BASE, facts.classical, "champion")
    return [s for s in wanted if s in facts.panel.systems and curves.has_probabilities(facts.panel, str(s))]


def decision_curves(facts: Shown) -> Drawn | None:
    """Net benefit of the systems, of treating all and of treating none (Vickers & Elkin 2006)."""
    if why_absent(facts):
        return None
    panel, systems = facts.panel, compared(facts)
    grid = np.unique([*GRID, *facts.decision_thresholds])
    found = {system: curve(panel, system, grid) for system in systems}
    figure = Figure(figsize=(4.7, 4.1), layout="constrained", facecolor=PAPER)
    ax = figure.subplots()
    ax.axhline(0, color=INK, linewidth=0.9, linestyle=":", label="treat none")
    ax.plot(grid, found[ADAPTER].everyone, color=INK, linewidth=0.9, linestyle="-.", label="treat all")
    for i, system in enumerate(reversed(systems)):  # the candidate on top
        style = "-" if system == ADAPTER else ("--", (0, (5, 1)), (0, (3, 1, 1, 1)))[i % 3]
        colour = COLOURS.get(system, PURPLE)
        ax.plot(grid, found[system].model, linestyle=style, color=colour, label=short(title(system)))
    low, high = band(panel, ADAPTER, grid, np.random.default_rng(SEED))
    ax.fill_between(grid, low, high, color=BLUE, alpha=0.18, linewidth=0, label="adapter, 95% interval")
    for threshold in facts.decision_thresholds:
        ax.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    top = max(float(found[ADAPTER].everyone[0]), *(float(c.model.max()) for c in found.values()), 0.02)
    ax.set(xlim=(0, 1), ylim=(-0.35 * top, 1.25 * top))
    ax.set_xlabel(f"threshold: act from this probability of {short(str(panel.positive))}")
    ax.set_ylabel("net benefit")
    handles, names = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], names[::-1], loc="upper right")
    return figure, _caption(facts), _words(facts, found)


def _caption(facts: Shown) -> str:
    told = (
        "Net benefit: true positives less false positives, weighted by the threshold's odds, per record; "
        "below 0 it does harm. Band: pointwise 95% interval of the candidate, from resampling patients."
    )
    marks = ", ".join(f"{t:g}" for t in facts.decision_thresholds)
    return told + (
        f" Upright lines: the thresholds that were declared ({marks})."
        if marks
        else " No threshold was declared from which one would act, so none is marked or judged."
    )


def _words(facts: Shown, found: dict[str, Curve]) -> str:
    points = facts.decision_thresholds or (0.1, 0.2, 0.5)
    return "; ".join(
        f"at {t:g}: "
        + ", ".join(
            f"{title(s)} {number(float(np.interp(t, c.thresholds, c.model)))}" for s, c in found.items()
        )
        + f", treat all {number(float(np.interp(t, GRID, found[ADAPTER].everyone[: GRID.size])))}"
        for t in points
    )
