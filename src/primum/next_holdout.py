"""`primum split rotate`: plan the next holdout from the source as it is now, and make it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from rich.console import Console
from rich.text import Text

from primum.config import RunConfig
from primum.errors import BadInput
from primum.generations import current_split, is_watched, lineage, opened_holdouts, seen_rows, waiting
from primum.ingest import ingest
from primum.ledger import Entry, Ledger
from primum.planning import Assumptions
from primum.pointer import pointer_note
from primum.progress import say
from primum.records import ALL_SITES, PARTS, Lineage, SplitVersion
from primum.rotation import rotate, too_few
from primum.split import Assignment
from primum.stats.power import mcnemar_mde, mcnemar_sample_size
from primum.versioning import find_version, store_split
from primum.workspace import Workspace, only_run


@dataclass(frozen=True)
class Generation:
    """One split version of a task, for people."""

    version: SplitVersion
    looks_used: int
    current: bool


@dataclass(frozen=True)
class Plan:
    """A next holdout with its numbers, before it is made."""

    current: SplitVersion
    looks_used: int
    tree: Lineage
    records: pd.DataFrame
    assignment: Assignment
    discordance: float
    discordance_known: bool


def rotate_task(workspace: Workspace, config: RunConfig, now: datetime, *, dry_run: bool) -> str:
    """Make the task's next holdout, or only say what it would be. Returns the words for the person who asked.

    The new split is stored like any other, then the ledger gets a `rotation` entry. Raises BadInput with the
    numbers where too few records are new or the present holdout was never opened.
    """
    task, home = config.task, workspace.home
    with only_run(workspace, task.name, say), TemporaryDirectory(prefix="primum-rotate-") as folder:
        report = ingest(task, workspace.project, Path(folder), config.seed)
        plan = _plan(workspace, config, Path(report.path))
        words = _words(plan, config)
        if dry_run:
            return f"{words}\nnothing was written"
        made = store_split(
            home, Path(report.path), plan.assignment, task, config.stack, config.seed, plan.tree
        )
        with closing(Ledger.open(workspace.ledger)) as ledger:
            patients = made.patients["test"]
            payload = {
                "from": plan.current.holdout,
                "generation": made.lineage.generation,
                "patients": patients,
            }
            where = {"task": task.name, "site": ALL_SITES, "holdout": made.holdout}
            ledger.record("rotation", **where, payload=payload, now=now)
    looks = f"the next run of the task stands on it, with {config.gate.planned_looks} looks"
    kept = f"split {made.dvc_hash} is stored; {looks}"
    note = pointer_note(home, made)
    return "\n".join(line for line in (words, kept, note) if line)


def _plan(workspace: Workspace, config: RunConfig, records: Path) -> Plan:
    task, stack = config.task, config.stack
    opened = opened_holdouts(workspace, task.name)
    current = current_split(workspace, task.name, stack, opened)
    if current is None or current.holdout not in opened:
        raise BadInput(
            f"task '{task.name}': its present holdout was never opened, so there is nothing to rotate; "
            "`run.py --pipeline finetune` opens it"
        )
    versions = lineage(workspace.home, current, stack)
    names = {version.holdout for version in versions}
    strangers = [find_version(workspace.home, task.name, name, stack) for name in opened if name not in names]
    before = (*(v for s in strangers for v in lineage(workspace.home, s, stack)), *versions)
    seen = seen_rows(workspace.home, before, stack)
    frame = pd.read_parquet(records)
    share = config.retrain.judged_share if is_watched(workspace, task.name) else None
    with closing(Ledger.open(workspace.ledger)) as ledger:
        known = _observed_discordance(ledger.entries(kind="decision", task=task.name))
        looks = ledger.looks_used(current.holdout)
    return Plan(
        current=current,
        looks_used=looks,
        tree=Lineage(
            generation=1 + max(v.lineage.generation for v in before),
            parent=current.dvc_hash,
            earlier=tuple(dict.fromkeys(v.dvc_hash for v in before)),
        ),
        records=frame,
        assignment=rotate(frame, seen, task, config.seed, share),
        discordance=known if known is not None else Assumptions().discordance,
        discordance_known=known is not None,
    )


def _observed_discordance(decisions: tuple[Entry, ...]) -> float | None:
    """Share of patients on whom candidate and base differed in correctness, at the last decision that has it."""
    for entry in reversed(decisions):
        for check in entry.payload["verdict"]["evidence"]["checks"]:
            found = check["statistics"].get("discordance") if check["name"] == "beats_base" else None
            if found:
                return float(found)
    return None


def _words(plan: Plan, config: RunConfig) -> str:
    old, looks = plan.current, config.gate.planned_looks
    rows = plan.records.assign(part=plan.assignment.part)
    lines = [f"task {config.task.name}: generation {old.lineage.generation} -> {plan.tree.generation}"]
    for part in PARTS:
        held = rows[rows["part"] == part]
        counts = ", ".join(f"{label} {int((held['label'] == label).sum())}" for label in config.task.labels)
        lines.append(
            f"  {part:<10} {held['patient_id'].nunique():>7,} patients, {len(held):,} records ({counts})"
        )
    lines.append(
        f"The holdout holds only patients that no earlier split has seen. The old one ({old.patients['test']:,} "
        f"patients, {plan.looks_used} of {looks} looks used) was looked at: its patients may train from now on."
    )
    lines.append(_power_words(plan, config, rows.loc[rows["part"] == "test", "patient_id"].nunique()))
    return "\n".join(lines)


def _power_words(plan: Plan, config: RunConfig, n: int) -> str:
    gate, effect = config.gate, config.task.effect_of_interest
    alpha, both = gate.alpha / gate.planned_looks, max(plan.discordance, effect)
    shown = mcnemar_mde(n, plan.discordance, alpha, gate.power)
    needed = mcnemar_sample_size((both + effect) / 2, (both - effect) / 2, alpha, gate.power)
    origin = "as last observed" if plan.discordance_known else "assumed"
    words = (
        f"With {n:,} patients a gain over the base of {shown:.3f} would be shown (power {gate.power:g}, alpha "
        f"{alpha:.4g} a look, discordance {plan.discordance:.2g} {origin})"
    )
    if needed <= n:
        return f"{words}: enough for the effect of interest, {effect:g}."
    return (
        f"{words}; the effect of interest, {effect:g}, needs {needed:,}: {needed - n:,} more labelled patients. "
        "Waiting costs nothing; a holdout that was opened cannot be closed again."
    )


def generations(workspace: Workspace, config: RunConfig) -> list[Generation]:
    """Every split version of the lineage of the task at `config.site`, oldest first."""
    task, stack = config.task.name, config.stack
    opened = opened_holdouts(workspace, task, config.site)
    current = current_split(workspace, task, stack, opened, config.site)
    if current is None:
        return []
    versions = lineage(workspace.home, current, stack)
    with closing(Ledger.open(workspace.ledger)) as ledger:
        return [Generation(v, ledger.looks_used(v.holdout), v is current) for v in versions]


def waiting_words(workspace: Workspace, config: RunConfig) -> str:
    """How many labelled patients of the source wait for the task's next holdout, and whether they are enough."""
    task = config.task
    opened = opened_holdouts(workspace, task.name, ALL_SITES)
    current = current_split(workspace, task.name, config.stack, opened)
    if current is None:
        return f"{task.name}: no split yet"
    with TemporaryDirectory(prefix="primum-waiting-") as folder:
        report = ingest(task, workspace.project, Path(folder), config.seed)
        frame = pd.read_parquet(report.path)
    fresh = waiting(workspace.home, current, frame, task, config.stack)
    counts = ", ".join(f"{label} {int((fresh['label'] == label).sum())}" for label in task.labels)
    missing = too_few(fresh, task)
    what = f"for one, {missing}" if missing else f"enough for one: primum split rotate --task {task.name}"
    patients = f"{fresh['patient_id'].nunique():,} labelled patients ({counts})"
    return f"{task.name}: {patients} wait for the next holdout; {what}"


def print_generations(console: Console, found: list[Generation]) -> None:
    """One row per split version."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("generation", *PARTS, "looks"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("split version", overflow="fold")
    table.add_column("holdout", overflow="fold")
    for g in found:
        v = g.version
        same = "its own" if v.holdout == v.dvc_hash else v.holdout
        numbers = (f"{v.patients[part]:,}" for part in PARTS)
        name = Text(v.dvc_hash, style="bold" if g.current else "").append(" (current)" if g.current else "")
        table.add_row(str(v.lineage.generation), *numbers, str(g.looks_used), name, Text(same))
    console.print("Patients in each part; looks at the holdout.")
    console.print(table)
