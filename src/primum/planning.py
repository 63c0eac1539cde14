"""`primum power`: how large a holdout must be, before any data is collected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from primum.config import GateConfig, SplitConfig, load_run
from primum.errors import BadInput
from primum.stats.planning import (
    Requirement,
    net_benefit_requirement,
    patients_for_events,
    plan_holdout,
)
from primum.stats.power import SplitPlan, plan_split

SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
EVENTS_PER_VARIABLE = 10
GATE, SPLIT = GateConfig(), SplitConfig()


@dataclass(frozen=True)
class Assumptions:
    """What a plan rests on; each default is a guess that a pilot or an earlier model should replace."""

    effect: float = 0.05
    margin: float = GATE.not_worse_than_classical.margin
    discordance: float = 0.2
    discordance_classical: float = 0.1
    alpha: float = GATE.alpha
    looks: int = GATE.planned_looks
    power: float = GATE.power
    prevalence: float = 0.3
    auroc: float = 0.8
    features: int | None = None
    net_benefit: tuple[float, ...] | None = None
    """Decision threshold, expected sensitivity and specificity."""
    threshold: tuple[float, ...] = ()
    """Decision thresholds; sensitivity and specificity there follow from prevalence and AUROC."""
    slope: tuple[float, ...] | None = None
    """Mean and standard deviation of the linear predictor."""
    share: float = SPLIT.test
    """The holdout's share of all patients."""
    known: frozenset[str] = frozenset()
    """Which of them were given, or come from the task."""

    @property
    def look_alpha(self) -> float:
        """Two-sided alpha of one look."""
        return self.alpha / self.looks


def resolve(configs: Path, given: Mapping[str, Any]) -> Assumptions:
    """What was given, else what the task and its gate say, else the defaults. Raises BadInput out of range."""
    names = {f.name for f in fields(Assumptions)} - {"known", "share"}
    found = {name: given[name] for name in names if given.get(name) is not None}
    if "threshold" in found:
        found["threshold"] = tuple(found["threshold"])
    if given.get("task"):
        run = load_run(configs, overrides={"task": given["task"]})
        of_task = {
            "effect": run.task.effect_of_interest,
            "margin": run.gate.not_worse_than_classical.margin,
            "alpha": run.gate.alpha,
            "looks": run.gate.planned_looks,
            "power": run.gate.power,
            "share": run.task.split.test,
            "threshold": run.task.decision_thresholds,
        }
        found = {**of_task, **found}
    assumed = Assumptions(**found, known=frozenset(found))
    _check(assumed)
    return assumed


def _check(a: Assumptions) -> None:
    shares = ("effect", "margin", "discordance", "discordance_classical", "alpha", "prevalence")
    for name in shares:
        if not 0 < getattr(a, name) < 1:
            raise BadInput(f"--{name.replace('_', '-')}: give a number between 0 and 1")
    if not 0.5 < a.power < 1 or not 0.5 < a.auroc < 1:
        raise BadInput("--power and --auroc: give numbers between 0.5 and 1")
    if a.looks < 1 or (a.features is not None and a.features < 1):
        raise BadInput("--looks and --features: give whole numbers from 1")
    if not all(0 < t < 1 for t in a.threshold):
        raise BadInput("--threshold: a decision threshold is a probability; give numbers between 0 and 1")


def requirements(a: Assumptions) -> tuple[Requirement, ...]:
    """Every question to the holdout with the patients that it takes; the largest number decides."""
    found = plan_holdout(
        prevalence=a.prevalence,
        effect=a.effect,
        margin=a.margin,
        discordance=a.discordance,
        discordance_classical=a.discordance_classical,
        alpha=a.look_alpha,
        power=a.power,
        auroc=a.auroc,
        predictor=(a.slope[0], a.slope[1]) if a.slope else None,
        thresholds=a.threshold,
    )
    if a.net_benefit is None:
        return found
    threshold, sensitivity, specificity = a.net_benefit
    return (*found, net_benefit_requirement(a.prevalence, threshold, sensitivity, specificity))


def training_patients(a: Assumptions) -> int | None:
    """Patients that the training part needs: 10 events (and non-events) per feature of the classical model.

    Peduzzi et al. 1996, doi 10.1016/S0895-4356(96)00236-3; a rule of thumb (Riley et al. 2020, doi
    10.1136/bmj.m441, plans finer). None where no number of features was given.
    """
    return None if a.features is None else patients_for_events(a.prevalence, EVENTS_PER_VARIABLE * a.features)


def shares(a: Assumptions, patients: int) -> tuple[SplitPlan, ...]:
    """What each holdout share of `patients` can show, smallest first, the task's own share among them."""
    if patients < 10 / min(SHARES):
        raise BadInput(f"--patients: {patients} are too few to plan a holdout; give at least 100")
    return plan_split(
        patients,
        effect=a.effect,
        margin=a.margin,
        discordance_base=a.discordance,
        discordance_classical=a.discordance_classical,
        alpha=a.look_alpha,
        power=a.power,
        shares=tuple(sorted({*SHARES, a.share})),
    )


def print_plan(console: Console, a: Assumptions, patients: int | None) -> None:
    """Print the assumptions, then the rules with the answer, or what each share of `patients` can show."""
    if patients is None:
        _print_requirements(console, a, requirements(a))
    else:
        _print_shares(console, a, patients, shares(a, patients))


def assumption_words(a: Assumptions) -> str:
    """What the plan rests on, and which part of it is a guess of this program."""
    words = {
        "effect": f"effect of interest {a.effect:g}",
        "margin": f"allowed loss {a.margin:g}",
        "discordance": f"discordance with the base {a.discordance:g}",
        "discordance_classical": f"with the classical model {a.discordance_classical:g}",
        "prevalence": f"prevalence {a.prevalence:g}",
        "auroc": f"AUROC {a.auroc:g}",
        "power": f"power {a.power:g}",
    }
    rows = [text if name in a.known else f"{text} (assumed)" for name, text in words.items()]
    split = f"alpha {a.alpha:g} over {a.looks} look{'s' * (a.looks > 1)}: {a.look_alpha:.4g} each"
    return f"{'; '.join([*rows, split])}."


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in headings:
        words = heading in ("question", "source", "enough")
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words)
    return table


def _print_requirements(console: Console, a: Assumptions, rules: tuple[Requirement, ...]) -> None:
    console.print(Text(assumption_words(a)))
    largest = max(rules, key=lambda rule: rule.patients)
    table = _table("What the holdout shall answer", "question", "patients", "events", "source")
    for rule in rules:
        events = f"{rule.patients * a.prevalence:,.0f}"
        style = "bold" if rule is largest else None
        table.add_row(Text(rule.question), f"{rule.patients:,}", events, Text(rule.source), style=style)
    console.print(table)
    n, training = largest.patients, training_patients(a)
    total = max(math.ceil(n / a.share), math.ceil((training or 0) / SPLIT.train))
    console.print(
        Text(f"Plan a holdout of {n:,} patients", style="bold").append(
            f" (about {n * a.prevalence:,.0f} events): the largest number, for: {largest.question}.", style=""
        )
    )
    if training is not None:
        console.print(
            f"Training needs {training:,} patients: {EVENTS_PER_VARIABLE} events for each of {a.features} "
            "features of the classical model (Peduzzi et al. 1996)."
        )
    console.print(f"With a holdout share of {a.share:g} that is {total:,} patients in all.")


def _print_shares(console: Console, a: Assumptions, patients: int, plans: tuple[SplitPlan, ...]) -> None:
    console.print(Text(assumption_words(a)))
    table = _table(
        f"What a holdout of {patients:,} patients can show",
        "share",
        "holdout",
        "gain over base",
        "loss to classical",
        "enough",
    )
    for plan in plans:
        yes = Text("yes", style="green") if plan.enough else Text("no", style="yellow")
        table.add_row(
            f"{plan.share:g}{' *' if plan.share == a.share else ''}",
            f"{plan.patients:,}",
            f"{plan.superiority_mde:.3f}",
            f"{plan.margin_mde:.3f}",
            yes,
        )
    console.print(table)
    console.print(
        "* the task's share. Gain and loss: the smallest that would be shown with the power asked for."
    )
    console.print(Text(share_words(a, plans), style="bold"))


def share_words(a: Assumptions, plans: tuple[SplitPlan, ...]) -> str:
    """Which share is enough, or how many patients would be."""
    enough = next((plan for plan in plans if plan.enough), None)
    if enough:
        return f"A holdout share of {enough.share:g} ({enough.patients:,} patients) is enough."
    wanted = max(rule.patients for rule in requirements(a)[:2])
    total = math.ceil(wanted / a.share)
    return (
        f"No share is enough: a holdout of {wanted:,} patients is needed, {total:,} in all at the share of "
        f"{a.share:g}. Until then expect HOLD, or accept larger effects (--effect, --margin)."
    )
