"""`primum gate`: anyone's paired predictions from file to verdict, without a model, a pipeline or a task.

With a named holdout a look is reserved in the ledger before anything is scored, and the decision is written
there before anything else happens. A holdout is a fixed set of records: the same records cannot be opened
under a second name, nor other records under its name. Judging the very same table again opens nothing that
was not open, so it answers with the stored decision and spends no look.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from re import fullmatch
from typing import Any

import numpy as np

from primum import __version__
from primum.config import GateConfig, Metric, read_yaml, validate
from primum.errors import BadInput
from primum.gate import judge_panel, read_panel
from primum.gate.panel import TASK, best_classical, task_of
from primum.gate.rows import read_table
from primum.ledger import Ledger
from primum.pointer import SPLIT_HASH
from primum.records import ALL_SITES, Look, Panel, Verdict
from primum.reports.gate_facts import INTERVAL_ALPHA, TableFacts
from primum.reports.gate_files import check_output, write_gate
from primum.stats.intervals import MetricInterval, panel_intervals
from primum.workspace import Workspace, writable

SEED = 42
RUN = "primum gate "
"""A look of ours: followed by the hash of the records that it opened."""


@dataclass(frozen=True)
class Request:
    """What is asked of a table of paired predictions."""

    table: Path
    config: GateConfig
    positive: str | None = None
    primary_metric: Metric = "macro_f1"
    effect_of_interest: float = 0.05
    thresholds: tuple[float, ...] = ()
    classical: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    """Part that a system plays (adapter, base, champion, anchor) -> what the table calls it."""
    holdout: str | None = None
    output: Path | None = None

    @property
    def out_dir(self) -> Path:
        """Where the report goes: by default beside the table."""
        return self.output or self.table.parent / f"{self.table.stem}-gate"


def request_of(given: Mapping[str, Any]) -> Request:
    """The request of a command line. Raises BadInput for a gate file that cannot be used."""
    parts = {"adapter": "candidate", **{role: role for role in ("base", "champion", "anchor")}}
    return Request(
        table=given["predictions"],
        config=gate_config(given["config"]),
        positive=given["positive"],
        primary_metric=given["metric"],
        effect_of_interest=given["effect"],
        thresholds=tuple(given["threshold"]),
        classical=given["classical"],
        roles={role: given[option] for role, option in parts.items() if given[option]},
        holdout=given["holdout"],
        output=given["output"],
    )


def gate_config(path: Path | None) -> GateConfig:
    """Read a gate file (differences from the defaults); None: the defaults. Raises BadInput with the key."""
    if path is None:
        return GateConfig()
    data = read_yaml(path)
    data.setdefault("name", path.stem)
    return validate(GateConfig, data, str(path))


def judge_file(workspace: Workspace, request: Request, now: datetime) -> tuple[TableFacts, Path]:
    """Judge a table, write its report and return what it says and the page's path.

    Every refusal of the input comes before a look is spent. Raises BadInput for a table, an option or an
    output folder that cannot be used, Tampered or Unavailable for such a ledger.
    """
    check_output(request.out_dir)
    panel = read_panel(request.table, request.positive, request.roles)
    task_of(panel, request.primary_metric, request.effect_of_interest, request.thresholds)
    best_classical(panel, request.classical)
    if request.holdout is None:
        verdict, entry, cached = _judge(request, panel), None, False
    else:
        verdict, entry, cached = _judge_in_ledger(workspace, request, panel, now)
    facts = TableFacts(
        name=request.table.name,
        panel=panel,
        verdict=verdict,
        config=request.config,
        primary_metric=request.primary_metric,
        effect_of_interest=request.effect_of_interest,
        decision_thresholds=request.thresholds,
        classical=best_classical(panel, request.classical),
        intervals={} if verdict.evidence.look.exhausted else _intervals(panel, request.config),
        code_version=__version__,
        holdout=request.holdout,
        ledger_entry=entry,
        roles=request.roles,
        own_majority=any(c.removesuffix("_pred") == "majority" for c in read_table(request.table).columns),
        cached=cached,
    )
    return facts, write_gate(request.out_dir, facts)


def _judge(
    request: Request, panel: Panel, look: Look | None = None, task: str = TASK, site: str = ALL_SITES
) -> Verdict:
    return judge_panel(
        panel,
        config=request.config,
        primary_metric=request.primary_metric,
        effect_of_interest=request.effect_of_interest,
        thresholds=request.thresholds,
        classical=request.classical,
        inputs={"request": _request_hash(request, panel)},
        look=look,
        task=task,
        site=site,
        seed=SEED,
    )


def _judge_in_ledger(
    workspace: Workspace, request: Request, panel: Panel, now: datetime
) -> tuple[Verdict, str, bool]:
    """The verdict, its ledger entry, and whether it had been reached before."""
    holdout, records = _checked_name(str(request.holdout)), panel.records_hash()
    writable(workspace.state, "the state folder")
    with closing(Ledger.open(workspace.ledger)) as ledger:
        task, site = _charged_to(ledger, holdout, records)
        earlier = _earlier(ledger, holdout, _request_hash(request, panel))
        if earlier:
            return *earlier, True
        look = ledger.reserve(
            task=task,
            site=site,
            holdout=holdout,
            candidate=panel.systems["adapter"].content_hash(),
            planned_looks=request.config.planned_looks,
            alpha=request.config.alpha,
            now=now,
            run=RUN + records,
            records=records,
        )
        verdict = _judge(request, panel, look, task, site)
        payload = {"verdict": verdict.model_dump(mode="json")}
        entry = ledger.record("decision", task=task, site=site, holdout=holdout, payload=payload, now=now)
    return verdict, entry, False


def _checked_name(holdout: str) -> str:
    name = holdout.strip()
    if not name or len(name) > 128 or not name.isprintable():
        raise BadInput("--holdout: give it a name of 1 to 128 printable characters, the same at every look")
    return name


def _charged_to(ledger: Ledger, holdout: str, records: str) -> tuple[str, str]:
    """Task and site whose looks at the holdout are counted. Raises BadInput for a holdout under two names."""
    owner = None
    for look in ledger.entries(kind="look"):
        same = look.holdout == holdout
        if same:
            owner = look.task, look.site
        run = str(look.payload.get("run", ""))
        opened = look.payload.get("records") or run.removeprefix(RUN)
        # A pipeline's holdout is a set of patients, whose records may be corrected between looks.
        if same and run.startswith(RUN) and opened != records:
            raise BadInput(
                f"holdout '{holdout}' was opened with other records; it is a fixed set: name a new one"
            )
        if not same and opened == records:
            raise BadInput(
                f"these records are the holdout '{look.holdout}'; name it, so that its looks are counted"
            )
    if owner is None and fullmatch(SPLIT_HASH, holdout):
        raise BadInput(
            f"no look at the split version '{holdout}' is in the ledger; name the holdout under which its looks are "
            "counted (primum split list), or give it a name that is no split version"
        )
    return owner or (TASK, ALL_SITES)


def _earlier(ledger: Ledger, holdout: str, request: str) -> tuple[Verdict, str] | None:
    """The stored decision on the very same table, question and code, or None."""
    for entry in ledger.entries(kind="decision", holdout=holdout):
        verdict = Verdict.model_validate(entry.payload["verdict"])
        if verdict.evidence.inputs.get("request") == request and not verdict.evidence.look.exhausted:
            return verdict, entry.hash
    return None


def _request_hash(request: Request, panel: Panel) -> str:
    asked = [request.primary_metric, request.effect_of_interest, request.thresholds, request.classical]
    return _digest([panel.content_hash(), request.config.content_hash(), asked, SEED, __version__])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _intervals(panel: Panel, config: GateConfig) -> dict[str, dict[str, MetricInterval]]:
    """Fewer resamples for larger tables, whose intervals need them less: time stays within a minute."""
    resamples = min(config.resamples, 2000, max(500, 1_000_000 // len(panel.record_ids)))
    return panel_intervals(panel, resamples=resamples, rng=np.random.default_rng(SEED), alpha=INTERVAL_ALPHA)
