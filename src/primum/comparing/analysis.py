"""From what the cells said to a table: each system's figures, and every difference with its interval.

Several seeds of a model are pooled: every record counts once a seed, and patients, not rows, are resampled, so
that seeds add precision about the training's chance and none about the patients.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from primum.config import CompareConfig
from primum.records import UNPARSED, Predictions
from primum.records.compared import CellResult, Ground, Pair, SystemKind, SystemRow, TaskTable
from primum.records.watch import Interval
from primum.stats.intervals import MetricInterval, count_interval
from primum.stats.metrics import BINARY_ONLY, COUNT_METRICS, Ints, metric_value
from primum.stats.multiple import holm
from primum.stats.paired import BootstrapResult, mcnemar_exact, paired_bootstrap
from primum.stats.power import labels_needed

METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "precision", "recall", "specificity", "balance_gap")
BASE = " (base)"
"""What the bare base of a model is called by."""
POWER = 0.8


@dataclass(frozen=True)
class System:
    """A system's answers as codes: seed -> (n,) positions of labels, -1 where they could not be read."""

    name: str
    kind: SystemKind
    said: Mapping[int, Ints]
    cells: tuple[CellResult, ...] = ()


def table(ground: Ground, results: Sequence[CellResult], config: CompareConfig, seed: int) -> TaskTable:
    """Everything that is said of one task. The same input gives the same table."""
    gold, patients = _codes(ground, ground.gold), np.array(ground.patients)
    found = systems(ground, results)
    rows = [_row(system, ground, gold, patients, config, seed) for system in found]
    pairs = _pairs([s for s in found if s.said], ground, gold, patients, config, seed)
    rows.sort(key=lambda row: -_value(row, ground.metric))
    return TaskTable(
        ground=ground, rows=tuple(rows), pairs=pairs, summary=summary(ground, rows, pairs, config)
    )


def systems(ground: Ground, results: Sequence[CellResult]) -> list[System]:
    """The fine-tuned models, their bases, and the classical models of the task."""
    found = []
    for model in dict.fromkeys(result.cell.model for result in results):
        cells = tuple(result for result in results if result.cell.model == model)
        tuned = {c.cell.seed: _answers(ground, c.adapter) for c in cells if c.adapter is not None}
        found.append(System(model, "fine-tuned", tuned, cells))
        whole = [c for c in cells if c.base is not None][:1]  # no seed plays a part in it
        if whole and whole[0].base is not None:
            found.append(System(model + BASE, "base", {0: _answers(ground, whole[0].base)}, tuple(whole)))
    for name, predictions in ground.classical.items():
        kind: SystemKind = "majority" if name == "majority" else "classical"
        found.append(System(name, kind, {0: _answers(ground, predictions)}))
    return found


def _row(  # noqa: PLR0913
    system: System, ground: Ground, gold: Ints, patients: np.ndarray, config: CompareConfig, seed: int
) -> SystemRow:
    failed = tuple(f"seed {c.cell.seed}: {c.error}" for c in system.cells if c.error is not None)
    if not system.said:
        return SystemRow(system=system.name, kind=system.kind, seeds=0, failed=failed)
    classes, positive = len(ground.labels), _positive(ground)
    times, said = len(system.said), np.concatenate(list(system.said.values()))
    metrics = {}
    for name in METRICS:
        if classes > 2 and name in BINARY_ONLY:
            continue
        found = count_interval(
            np.tile(gold, times),
            said,
            np.tile(patients, times),
            classes=classes,
            metric=lambda counts, name=name: COUNT_METRICS[name](counts, positive),  # type: ignore[misc]
            resamples=config.resamples,
            rng=_generator(seed, ground.task, system.name, name),
            alpha=config.alpha,
        )
        metrics[name] = _interval(found)
    each = [
        metric_value(ground.metric, gold, pred, classes, positive) or 0.0 for pred in system.said.values()
    ]
    written = [
        share
        for c in system.cells
        if (share := c.base_unread if system.kind == "base" else c.adapter_unread) is not None
    ]
    done = [c for c in system.cells if c.cost is not None]
    return SystemRow(
        system=system.name,
        kind=system.kind,
        seeds=times,
        failed=failed,
        metrics=metrics,
        least=min(each),
        most=max(each),
        unread=float((said < 0).mean()),
        unread_written=float(np.mean(written)) if written else None,
        cost=done[0].cost if done and system.kind == "fine-tuned" else None,
    )


def _pairs(  # noqa: PLR0913
    found: Sequence[System],
    ground: Ground,
    gold: Ints,
    patients: np.ndarray,
    config: CompareConfig,
    seed: int,
) -> tuple[Pair, ...]:
    """All pairs of fine-tuned and classical models, and each fine-tuned model with its own base."""
    compared = [system for system in found if system.kind != "base"]
    bases = {system.name: system for system in found if system.kind == "base"}
    wanted = [
        *itertools.combinations(compared, 2),
        *((s, bases[s.name + BASE]) for s in compared if s.name + BASE in bases),
    ]
    if not wanted:
        return ()
    # The least p of B resamples is 2/(B + 1): of few, no difference could outlast Holm's correction.
    resamples = max(config.resamples, math.ceil(4 * len(wanted) / config.alpha))
    enough = config.model_copy(update={"resamples": resamples})
    drawn = [_compare(a, b, ground, gold, patients, enough, seed) for a, b in wanted]
    adjusted = holm([difference.p for difference, _, _ in drawn])
    return tuple(
        Pair(
            first=a.name,
            second=b.name,
            difference=Interval(value=d.delta, low=_end(d.lower), high=_end(d.upper)),
            p=d.p,
            p_adjusted=float(p),
            won=won,
            lost=lost,
            labels_needed=None if p <= config.alpha else _labels(d, ground.effect, config.alpha / len(drawn)),
        )
        for (a, b), (d, won, lost), p in zip(wanted, drawn, adjusted, strict=True)
    )


def _compare(  # noqa: PLR0913
    a: System, b: System, ground: Ground, gold: Ints, patients: np.ndarray, config: CompareConfig, seed: int
) -> tuple[BootstrapResult, int, int]:
    """First minus second on the seeds that both have; a system without seeds is the same for each."""
    seeds = sorted(set(a.said) & set(b.said)) if a.kind == b.kind == "fine-tuned" else []
    ours = [a.said[s] for s in seeds] or list(a.said.values())
    theirs = [b.said[s] for s in seeds] or list(b.said.values())
    times = max(len(ours), len(theirs))
    if seeds == [] and a.kind == b.kind == "fine-tuned":  # no seed in common: each pair of seeds counts
        ours, theirs = ([x for x in ours for _ in theirs], [y for _ in ours for y in theirs])
        times = len(ours)
    left = np.concatenate(ours if len(ours) == times else ours * times)
    right = np.concatenate(theirs if len(theirs) == times else theirs * times)
    truth, people = np.tile(gold, times), np.tile(patients, times)
    difference = paired_bootstrap(
        truth,
        left,
        right,
        people,
        classes=len(ground.labels),
        metric=ground.metric,
        resamples=config.resamples,
        rng=_generator(seed, ground.task, a.name, b.name),
        alpha=config.alpha,
        positive=_positive(ground),
    )
    pairs = mcnemar_exact(left == truth, right == truth, patients=people)
    return difference, pairs.b, pairs.c


def summary(ground: Ground, rows: Sequence[SystemRow], pairs: Sequence[Pair], config: CompareConfig) -> str:
    """Who is shown better than the plain models, in words; what is missing where nobody is."""
    tuned = [row for row in rows if row.kind == "fine-tuned" and row.seeds]
    plain = [row for row in rows if row.kind in ("classical", "majority")]
    if not tuned:
        return "No model could be compared."
    shown = [
        row.system for row in tuned if all(_beats(row.system, other.system, pairs, config) for other in plain)
    ]
    best = tuned[0]
    value, n = _value(best, ground.metric), len(set(ground.patients))
    if shown:
        return f"Shown better than every classical model on these {n} patients: {', '.join(shown)}."
    strongest = max(plain, key=lambda row: _value(row, ground.metric))
    said = (
        f"No fine-tuned model is shown better than every classical model. The best, {best.system}, reaches "
        f"{value:.3f}, {strongest.system} {_value(strongest, ground.metric):.3f}, on the same {n} patients."
    )
    needed = [p.labels_needed for p in pairs if {p.first, p.second} == {best.system, strongest.system}]
    more = (
        f" A difference of {ground.effect:g} would need about {needed[0]:,} more."
        if needed and needed[0]
        else ""
    )
    return said + more


def _beats(ours: str, theirs: str, pairs: Sequence[Pair], config: CompareConfig) -> bool:
    for pair in pairs:
        if {pair.first, pair.second} == {ours, theirs} and pair.difference.value is not None:
            sign = 1 if pair.first == ours else -1
            return pair.p_adjusted <= config.alpha and sign * pair.difference.value > 0
    return False


def _labels(found: BootstrapResult, effect: float, alpha: float) -> int | None:
    """More patients until the effect that matters would be shown, at the level of the strictest pair; None where the
    two are alike on every patient, which foretells nothing."""
    known = np.isfinite(found.se) and found.se > 0
    return labels_needed(found.patients, found.se, effect, alpha, POWER) if known else None


def _answers(ground: Ground, said: Predictions) -> Ints:
    if said.record_ids != ground.record_ids:
        raise ValueError(f"'{said.system}' was scored on other records than those that are compared")
    return _codes(ground, said.predicted)


def _codes(ground: Ground, labels: Sequence[str]) -> Ints:
    index = {**{label: code for code, label in enumerate(ground.labels)}, UNPARSED: -1}
    return np.array([index[label] for label in labels], dtype=np.int64)


def _positive(ground: Ground) -> int:
    return -1 if ground.positive is None else ground.labels.index(ground.positive)


def _value(row: SystemRow, metric: str) -> float:
    """The metric of a row, for ordering; a system without any comes last."""
    found = row.metrics.get(metric)
    return -1.0 if found is None or found.value is None else found.value


def _interval(found: MetricInterval) -> Interval:
    return Interval(value=found.value, low=_end(found.lower), high=_end(found.upper))


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _generator(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("|".join(names).encode())])
