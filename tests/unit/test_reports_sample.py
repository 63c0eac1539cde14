"""A made-up run for the tests of the reports, and the facts' own rules."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from primum.calibration import Calibration
from primum.config import RunConfig, validate
from primum.records import (
    UNPARSED,
    BaselineFit,
    Candidate,
    CheckResult,
    Evidence,
    IngestReport,
    Look,
    Panel,
    Predictions,
    SplitVersion,
    TrainingLog,
    Verdict,
)
from primum.reports.facts import RunFacts
from primum.stats.metrics import panel_metrics

HOSTILE = '<script>alert("x")</script> & http://evil.example/a.js | $x$'
SYSTEMS = {"base": 0.2, "adapter": 3.0, "majority": None, "lasso": 2.5, "random_forest": 2.0}
REASONS = {
    "PROMOTE": ("pass", "Not worse than LASSO."),
    "REJECT": ("fail", "Worse than LASSO. Use the classical model."),
    "HOLD": ("hold", "Cannot tell whether it is worse than LASSO."),
}


def sample_panel(labels: tuple[str, ...], n: int, unread: int = 0) -> Panel:
    rng, k = np.random.default_rng(0), len(labels)
    gold = rng.integers(0, k, n)
    ids = tuple(f"rec-{i:04d}" for i in range(n))
    systems = {}
    for name, skill in SYSTEMS.items():
        z = np.zeros((n, k)) if skill is None else rng.normal(size=(n, k))
        z[np.arange(n), gold] += skill or 0
        log_probs = z - np.log(np.exp(z).sum(1, keepdims=True))
        rows: list[tuple[float, ...] | None] = [tuple(map(float, row)) for row in log_probs]
        said = [labels[i] for i in log_probs.argmax(1)]
        for i in range(unread if name == "base" else 0):
            rows[i], said[i] = None, UNPARSED
        systems[name] = Predictions(
            system=name, labels=labels, record_ids=ids, log_probs=tuple(rows), predicted=tuple(said)
        )
    return Panel(
        labels=labels,
        positive=labels[-1] if k == 2 else None,
        record_ids=ids,
        patient_ids=tuple(f"pat-{i // 2:04d}" for i in range(n)),
        sites=("north",) * n,
        gold=tuple(labels[i] for i in gold),
        systems=systems,
    )


def sample(
    outcome: str = "PROMOTE",
    labels: tuple[str, ...] = ("benign", "malignant"),
    *,
    words: str = "",
    looks: int = 1,
    unread: int = 0,
) -> RunFacts:
    panel = sample_panel(labels, 60, unread)
    status, reason = REASONS[outcome]
    paired = {
        "rival": "lasso",
        "metric": "macro_f1",
        "delta": 0.01,
        "lower": -0.03,
        "upper": None,
        "margin": 0.02,
    }
    checks = (
        CheckResult(
            name="parsed", required=True, status="pass", reason="All read.", statistics={"share": 1.0}
        ),
        CheckResult(
            name="not_worse_than_classical",
            required=True,
            status=status,
            reason=reason + words,
            statistics={**paired, "mcnemar_p": 1e-9},
            labels_needed=1234 if outcome == "HOLD" else None,
        ),
        CheckResult(name="subgroups", required=False, status="not assessed", reason="Too few events."),
    )
    evidence = Evidence(
        task="demo",
        site="all",
        candidate="c" * 64,
        look=Look(holdout="h.dir", number=looks, planned=4, alpha=0.0125, entry_hash="e" * 64),
        checks=checks,
        metrics={} if looks > 4 else panel_metrics(panel),
        inputs={"panel": panel.content_hash()},
    )
    verdict = Verdict(
        outcome=outcome,
        reasons=(f"not_worse_than_classical: {reason}{words}",),
        labels_needed=1234 if outcome == "HOLD" else None,
        evidence=evidence,
    )
    config = validate(
        RunConfig,
        {
            "task": {
                "name": "demo",
                "description": words,
                "source": {"path": "x.csv"},
                "label": {"column": "y", "classes": {name: [name] for name in labels}},
                "features": ["age", "pulse"],
                "prompt": {"question": "Ill?"},
            },
            "model": {"name": "m"},
        },
        "test",
    )
    counts = {part: dict.fromkeys(labels, 30) for part in ("train", "validation", "test")}
    return RunFacts(
        config=config,
        ingest=IngestReport(
            path="x.csv",
            sha256="s" * 64,
            rows=180,
            patients=90,
            sites=("north" + words,),
            label_counts=dict.fromkeys(labels, 90),
            missing={"age" + words: 7, "pulse": 0},
            disguised={"age" + words: 3},
        ),
        split=SplitVersion(
            task="demo",
            path="data/demo",
            dvc_hash="d" * 32 + ".dir",
            size=9,
            counts=counts,
            patients=dict.fromkeys(counts, 30),
            duplicate_groups=2,
        ),
        prompt_hash="1" * 64,
        base_id="base" + words,
        base_hash="2" * 64,
        candidates=(candidate(8, 0.90), candidate(16, 0.95)),
        chosen="rank-16",
        baselines=tuple(
            BaselineFit(name=name, parameters={"C": 0.5}, validation={"macro_f1": value})
            for name, value in (("majority", 0.99), ("lasso", 0.9), ("random_forest", 0.8))
        ),
        panel=panel,
        verdict=verdict,
        calibration=Calibration(temperature=1.25),
        registry_version="demo@all v3" + words,
        bundle_hash="c" * 64,
        git_revision="a" * 40,
        code_version="0.1.0",
        versions={"numpy": "2.4"},
        started="2025-01-02T03:04:05+00:00",
        stage_seconds={"ingest": 1.5, "finetune": 60.0},
        notes=("Commit data/demo.dvc." + words,),
    )


def candidate(rank: int, f1: float) -> Candidate:
    log = tuple(
        TrainingLog(
            epoch=e, train_loss=1 / e, validation_macro_f1=f1 - 0.1 / e, validation_loss=0.2, seconds=1
        )
        for e in (1, 2)
    )
    return Candidate(
        name=f"rank-{rank}",
        rank=rank,
        path="x",
        adapter_sha256=f"{rank:064d}",
        best_epoch=2,
        validation_macro_f1=f1,
        validation_loss=0.2,
        log=log,
        train_seconds=2.0 * rank,
        adapter_bytes=rank * 1_000_000,
        trainable_parameters=rank * 1000,
    )


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_facts_refuse_a_panel_without_the_adapter_and_an_unknown_choice() -> None:
    facts = sample()
    assert facts.classical == "lasso"  # chosen on validation; majority is no model
    with pytest.raises(ValueError, match="not one of the candidates"):
        RunFacts.model_validate({**facts.model_dump(), "chosen": "rank-1"})
    without = facts.panel.model_copy(update={"systems": {"base": facts.panel.systems["base"]}})
    with pytest.raises(ValueError, match="not among its systems"):
        RunFacts.model_validate({**facts.model_dump(), "panel": without})
