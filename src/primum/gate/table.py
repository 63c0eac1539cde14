"""The gate for anyone's predictions: a table of paired predictions becomes a panel, no model needed.

Columns: `id` (or record_id), `gold`, optionally `patient` (or patient_id) and `site`, `subgroup_NAME` for
each subgroup, and for each system either `SYSTEM` or `SYSTEM_pred` with its label (empty = unparsed), and,
where it gave probabilities, `SYSTEM_p_LABEL` for every label; where it gave label sets, `SYSTEM_set`, its
labels joined by `|`. The systems are `adapter` (the candidate), `base`, a classical model (`lasso`,
`random_forest`, `tfidf`, or any other name), and optionally `majority`, `champion` and `anchor`. Without a
`majority` column it is the most frequent gold label, the strictest choice. `roles` says which system plays
such a part where the table calls it otherwise: {"adapter": "lora"}.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from primum.config import GateConfig, Metric
from primum.errors import BadInput
from primum.gate.case import CANDIDATE, MIN_PATIENTS
from primum.gate.panel import judge_panel
from primum.gate.rows import KEYS, Table, filled, needed, read_table, unique
from primum.records import UNPARSED, LeakageReport, Look, Panel, Predictions, Verdict

MAX_LABELS = 100
"""More are not the classes of a comparison, but free text or ids in the wrong column."""


def judge_table(  # noqa: PLR0913 - what a verdict rests on, named at the call
    path: Path,
    *,
    config: GateConfig,
    positive: str | None = None,
    roles: Mapping[str, str] | None = None,
    primary_metric: Metric = "macro_f1",
    effect_of_interest: float = 0.05,
    thresholds: tuple[float, ...] = (),
    classical: str | None = None,
    look: Look | None = None,
    leakage: LeakageReport | None = None,
    seed: int = 42,
) -> Verdict:
    """Judge the predictions of a CSV file: `read_panel`, then `judge_panel`, where the options are told.

    Raises BadInput with file, row and column for a table that cannot be judged.
    """
    return judge_panel(
        read_panel(path, positive, roles),
        config=config,
        primary_metric=primary_metric,
        effect_of_interest=effect_of_interest,
        thresholds=thresholds,
        classical=classical,
        look=look,
        leakage=leakage,
        seed=seed,
    )


def read_panel(path: Path, positive: str | None = None, roles: Mapping[str, str] | None = None) -> Panel:
    """Read and check a table of paired predictions; see the module for its columns and roles."""
    table = read_table(path)
    id_column, gold_column = (needed(table, key) for key in ("id", "gold"))
    ids, gold = table.values(id_column), table.values(gold_column)
    unique(table, ids)
    filled(table, gold_column, gold)
    labels = _labels(table, gold)
    patient = table.column("patient")
    patients = table.values(patient) if patient else ids
    if patient:
        filled(table, patient, patients)
    if len(set(patients)) < MIN_PATIENTS:
        raise BadInput(f"{path}: {len(set(patients))} patients; at least {MIN_PATIENTS} are needed")
    if positive is not None and positive not in labels:
        raise BadInput(f"{path}: '{positive}' is not a gold label; known: {', '.join(labels)}")
    site = table.column("site")
    systems = _systems(table, ids, gold, labels, roles or {})
    prefix = "subgroup_"
    return Panel(
        labels=labels,
        positive=(positive or labels[-1]) if len(labels) == 2 else None,
        record_ids=ids,
        patient_ids=patients,
        sites=_groups(table, site) if site else ("all",) * len(ids),
        gold=gold,
        systems=systems,
        subgroups={c.removeprefix(prefix): _groups(table, c) for c in table.columns if c.startswith(prefix)},
    )


def _labels(table: Table, gold: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(sorted(set(gold)))
    if len(labels) < 2:
        raise BadInput(f"{table.path}: gold holds one class only; a comparison needs at least two")
    if len(labels) > MAX_LABELS:
        raise BadInput(
            f"{table.path}: gold holds {len(labels)} different labels, more than {MAX_LABELS}; it must name classes"
        )
    return labels


def _groups(table: Table, column: str) -> tuple[str, ...]:
    return tuple(value or "not recorded" for value in table.values(column))


def _systems(
    table: Table,
    ids: tuple[str, ...],
    gold: Sequence[str],
    labels: tuple[str, ...],
    roles: Mapping[str, str],
) -> dict[str, Predictions]:
    taken = {name for names in KEYS.values() for name in names}
    roles = {role: name.removesuffix("_pred") for role, name in roles.items()}
    parts = {name: role for role, name in roles.items()}
    for role, name in roles.items():
        if parts[name] != role:
            raise BadInput(
                f"'{name}' cannot be both {_part(role)} and {_part(parts[name])}; name two systems"
            )
    found: dict[str, Predictions] = {}
    for column in table.columns:
        if column in taken or column.startswith("subgroup_") or _is_score(table, column, labels):
            continue
        if _is_set(table, column):
            continue
        name = column.removesuffix("_pred")
        system = parts.get(name, name)
        if system in found:
            raise BadInput(f"{table.path}: column '{column}' is a second '{system}'; rename or remove one")
        found[system] = Predictions(
            system=system,
            labels=labels,
            record_ids=ids,
            log_probs=_log_probs(table, name, labels),
            predicted=_predicted(table, column, labels),
            label_sets=_label_sets(table, name, labels),
        )
    for role, name in {CANDIDATE: CANDIDATE, **roles}.items():
        if role not in found:
            _absent(table, role, name, found)
    if "majority" not in found:
        found["majority"] = _majority(ids, gold, labels)
    return found


def _absent(table: Table, role: str, name: str, found: Iterable[str]) -> NoReturn:
    who = _part(role)
    raise BadInput(
        f"{table.path}: column '{name}' is missing; it holds the {who}'s labels, and the table has "
        f"{', '.join(found) or 'no system'}; say which one is the {who} (--{who} NAME)"
    )


def _part(role: str) -> str:
    return "candidate" if role == CANDIDATE else role


def _is_set(table: Table, column: str) -> bool:
    system = column.removesuffix("_set")
    return system != column and (system in table.columns or f"{system}_pred" in table.columns)


def _label_sets(table: Table, name: str, labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Column NAME_set: the labels that cannot be excluded, joined by `|`; an empty cell is the empty set."""
    column = f"{name}_set"
    if column not in table.columns:
        return ()
    sets = []
    for number, cell in enumerate(table.values(column), start=2):
        said = tuple(part.strip() for part in cell.split("|")) if cell else ()
        if set(said) - set(labels) or len(set(said)) != len(said):
            raise BadInput(
                f"{table.path}, row {number}, column '{column}': give gold labels, each once, joined by |"
            )
        sets.append(said)
    return tuple(sets)


def _is_score(table: Table, column: str, labels: Sequence[str]) -> bool:
    system, mark, label = column.partition("_p_")
    known = system in table.columns or f"{system}_pred" in table.columns
    if mark and known and label not in labels:
        raise BadInput(f"{table.path}: column '{column}' is of a label that gold does not hold; remove it")
    return bool(mark) and known


def _predicted(table: Table, column: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    values = tuple(value or UNPARSED for value in table.values(column))
    for number, value in enumerate(values, start=2):
        if value not in labels and value != UNPARSED:
            raise BadInput(
                f"{table.path}, row {number}, column '{column}': a label that gold does not hold; "
                "leave the cell empty where the answer could not be read"
            )
    return values


def _log_probs(table: Table, name: str, labels: tuple[str, ...]) -> tuple[tuple[float, ...] | None, ...]:
    columns = [f"{name}_p_{label}" for label in labels]
    present = [column for column in columns if column in table.columns]
    if not present:
        return (None,) * len(table.rows)
    if len(present) < len(columns):
        absent = next(column for column in columns if column not in present)
        raise BadInput(f"{table.path}: column '{absent}' is missing; give a probability for every label")
    return tuple(_row(table, number, row, columns) for number, row in enumerate(table.rows, start=2))


def _row(
    table: Table, number: int, row: Mapping[str, str], columns: Sequence[str]
) -> tuple[float, ...] | None:
    cells = [row[column].strip() for column in columns]
    if not any(cells):
        return None
    where = f"{table.path}, row {number}, columns '{columns[0]}' to '{columns[-1]}'"
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        raise BadInput(f"{where}: not a number; give probabilities between 0 and 1") from None
    if not all(0 <= value <= 1 for value in values):
        raise BadInput(f"{where}: not a probability; give numbers between 0 and 1")
    total = sum(values)
    if abs(total - 1) > 1e-3:
        raise BadInput(f"{where}: they sum to {total:.4g}; give probabilities that sum to 1")
    return tuple(math.log(max(value / total, 1e-15)) for value in values)


def _majority(ids: tuple[str, ...], gold: Sequence[str], labels: tuple[str, ...]) -> Predictions:
    counts = Counter(gold)
    most = max(labels, key=lambda label: counts[label])
    row = tuple(math.log(counts[label] / len(gold)) for label in labels)
    return Predictions(
        system="majority",
        labels=labels,
        record_ids=ids,
        log_probs=(row,) * len(ids),
        predicted=(most,) * len(ids),
    )
