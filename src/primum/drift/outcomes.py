"""What the champion says of the window, and how it did there where outcomes are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from primum.config import DriftConfig, TaskConfig
from primum.drift.comparison import Comparison
from primum.drift.inputs import MIN_RECORDED, categories, numbers, share_comparison
from primum.drift.scored import Answers, Ints
from primum.stats.drift import auroc_error, difference_p, events_p, slope_test
from primum.stats.intervals import count_interval
from primum.stats.metrics import macro_f1

STEEPEST = 100.0
"""A slope further from 1 than this factor, or below 0, is shown as this."""


@dataclass(frozen=True)
class Compared:
    """Comparisons, and what could not be compared."""

    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()


def scores(before: Answers, now: Answers, config: DriftConfig, task: TaskConfig) -> Compared:
    """The champion's answers on its validation part and on the window; one record of each patient."""
    before, now = before.one_each(), now.one_each()
    short = too_few(
        "the scores", (before.gold.size, now.gold.size), config, ("validation records", "scored records")
    )
    if short:
        return Compared(notes=short)
    sides = (before, now)
    found = [unparsed(before, now, config)]
    values = [side.probability[side.read] for side in sides]
    if min(v.size for v in values) >= MIN_RECORDED:
        name = "score" if before.positive is not None else "highest probability"
        found.append(numbers(name, values[0], values[1], config, "score"))
        if before.positive is None:
            labels = np.array(task.labels, dtype=object)
            said = [labels[side.predicted[side.predicted >= 0]] for side in sides]
            found.append(
                categories(
                    "predicted class",
                    said[0],
                    said[1],
                    config,
                    "score",
                    {label: label for label in task.labels},
                )
            )
    return Compared(tuple(c for c in found if c is not None))


def unparsed(before: Answers, now: Answers, config: DriftConfig) -> Comparison | None:
    """How often the answer could not be read; None where it always could."""
    counts = [int((~side.read).sum()) for side in (before, now)]
    sizes = (before.gold.size, now.gold.size)
    if not any(counts):
        return None
    shares = [count / size for count, size in zip(counts, sizes, strict=True)]
    words = f"{shares[1]:.1%} of the answers could not be read, {shares[0]:.1%} on the validation records"
    return share_comparison("score", "unparsed", counts, sizes, config.min_missing, words)


def prevalence(reference: Ints, outcomes: Ints, config: DriftConfig, task: TaskConfig) -> Compared:
    """The classes (n,), (m,) of the reference and of the window's outcomes."""
    reference, outcomes = reference[reference >= 0], outcomes[outcomes >= 0]
    what = ("labelled reference records", "outcomes")
    short = too_few("prevalence", (reference.size, outcomes.size), config, what)
    if short:
        return Compared(notes=short)
    if task.positive is None:
        labels = np.array(task.labels, dtype=object)
        mix = categories(
            "label",
            labels[reference],
            labels[outcomes],
            config,
            "prevalence",
            {label: label for label in task.labels},
        )
        return Compared(() if mix is None else (mix,))
    positive = task.labels.index(task.positive)
    hits = [int((side == positive).sum()) for side in (reference, outcomes)]
    sizes = (reference.size, outcomes.size)
    shares = [hit / size for hit, size in zip(hits, sizes, strict=True)]
    words = f"'{task.positive}' in {shares[1]:.1%} of {sizes[1]} outcomes, {shares[0]:.1%} of the reference"
    found = share_comparison("prevalence", "label", hits, sizes, config.min_missing, words)
    return Compared((found,) if 0 < sum(hits) < sum(sizes) else ())


def calibration(now: Answers, config: DriftConfig) -> Compared:
    """Events observed over expected, and the slope, both against 1; answers that could be read alone.

    For more than two classes the event is that the answered label is right.
    """
    read = now.one_each().known()
    left_out = int((~read.read).sum())
    read = read.rows(read.read)
    if read.positive is not None:
        event, p = read.gold == read.positive, read.probability
    else:
        event = read.gold == read.predicted
        p = np.exp(read.log_probs[np.arange(read.gold.size), read.predicted])
    expected, observed, n = float(p.sum()), int(event.sum()), event.size
    have = (max(expected, observed), max(n - expected, n - observed))
    notes = too_few("calibration", (n, n), config, ("", "outcomes")) or too_few_events(have, config)
    if notes:
        return Compared(notes=notes)
    said = f" ({left_out} unread answer(s) left out)" if left_out else ""
    what = "events" if read.positive is not None else "right answers"
    found = [_observed_expected(p, event, what, config, said)]
    if read.positive is not None and not too_few_events((observed, n - observed), config):
        slope = slope_test(p, event)
        if slope is not None:
            found.append(_slope(*slope, n, config, said))
    return Compared(tuple(found))


def _observed_expected(p: Any, event: Any, what: str, config: DriftConfig, said: str) -> Comparison:
    expected, observed = float(p.sum()), int(event.sum())
    ratio = max(observed, 0.5) / max(expected, 0.5)
    words = (
        f"{observed} {what} where {expected:.1f} were predicted in {event.size} outcomes: "
        f"{observed / max(expected, 1e-9):.2f} observed over expected{said}"
    )
    return Comparison(
        "calibration", "observed/expected", "Poisson-binomial", words, events_p(p, event),
        max(ratio, 1 / ratio), "factor off", config.max_observed_expected,
    )  # fmt: skip


def _slope(slope: float, p: float, n: int, config: DriftConfig, said: str) -> Comparison:
    off = STEEPEST if slope <= 0 else min(STEEPEST, max(slope, 1 / slope))
    which = "too extreme" if slope < 1 else "too timid"
    words = f"calibration slope {slope:.2f} in {n} outcomes: the probabilities are {which}{said}"
    return Comparison(
        "calibration", "slope", "likelihood ratio", words, p, off, "factor off", config.max_observed_expected
    )


def losses(before: Answers, now: Answers, config: DriftConfig, resamples: int, seed: int) -> Compared:
    """The loss of AUROC (two classes) or macro-F1 against the champion's validation part."""
    before, now = before.known().one_each(), now.known().one_each()
    sizes = (before.gold.size, now.gold.size)
    short = too_few("discrimination", sizes, config, ("labelled validation records", "outcomes"))
    if short:
        return Compared(notes=short)
    if before.positive is None or not (before.read.any() and now.read.any()):
        rng = np.random.default_rng(seed)
        estimates = [_macro_f1(side, resamples, rng) for side in (before, now)]
        return Compared((_loss("macro-F1", "bootstrap", estimates, config),))
    for side in (before, now):
        events = int((side.gold == side.positive).sum())
        few = too_few_events((events, side.gold.size - events), config)
        if few:
            return Compared(notes=tuple(note.replace("calibration", "discrimination") for note in few))
    return Compared((_loss("AUROC", "DeLong", [_auroc(side) for side in (before, now)], config),))


def _auroc(side: Answers) -> tuple[float, float]:
    event = side.gold == side.positive
    worst = np.where(event, -np.inf, np.inf)  # an unread answer scores on the wrong side of everything
    return auroc_error(event, np.where(side.read, side.probability, worst))


def _macro_f1(side: Answers, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    found = count_interval(
        side.gold, side.predicted, side.patients,
        classes=side.log_probs.shape[1], metric=macro_f1, resamples=resamples, rng=rng,
    )  # fmt: skip
    return found.value or 0.0, found.se


def _loss(name: str, method: str, estimates: list[tuple[float, float]], config: DriftConfig) -> Comparison:
    (before, error_before), (now, error_now) = estimates
    words = f"{name} {now:.3f} in the window, {before:.3f} on the champion's validation records"
    p = difference_p(before, error_before, now, error_now)
    return Comparison("outcome", name, method, words, p, before - now, "loss", config.min_auroc_loss)


def too_few(
    what: str, sizes: tuple[int, int], config: DriftConfig, named: tuple[str, str]
) -> tuple[str, ...]:
    """A note for each side that has too few patients, saying how many more it needs."""
    sides = {name: size for name, size in zip(named, sizes, strict=True) if name}
    return tuple(
        f"{what} not judged: {size} {name}, {config.min_records - size} more needed"
        for name, size in sides.items()
        if size < config.min_records
    )


def too_few_events(have: tuple[float, float], config: DriftConfig) -> tuple[str, ...]:
    """A note where events or non-events are too few."""
    fewest, least = min(have), max(2, config.min_events)
    if fewest >= least:
        return ()
    which = "with" if have[0] <= have[1] else "without"
    return (
        f"calibration not judged: {fewest:.0f} outcomes {which} the event, {least - int(fewest)} more needed",
    )
