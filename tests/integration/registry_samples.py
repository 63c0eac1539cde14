"""Bundles, decisions and versions for the tests of the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from primum import registry
from primum.backends.base import Recipe
from primum.backends.training import sha256
from primum.bundle import Bundle, BundleCard, write_bundle
from primum.ledger import Ledger
from primum.prompts import RenderedFeature, Renderer
from primum.records import (
    CheckResult,
    CheckStatus,
    Decision,
    Evidence,
    Look,
    Outcome,
    RegisteredVersion,
    Verdict,
)
from primum.workspace import Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_bundle(folder: Path, task: str, salt: float, site: str = "all") -> Bundle:
    """A bundle whose weights are `salt`."""
    source = folder / f"candidate-{task}-{site}-{salt}"
    source.mkdir(parents=True)
    save_file({"lora_A": np.full((2, 2), salt, dtype=np.float32)}, source / "adapter_model.safetensors")
    (source / "adapter_config.json").write_text("{}")
    digest = sha256(source / "adapter_model.safetensors")
    age = RenderedFeature(column="age", name="age", kind="number")
    renderer = Renderer(
        question="Ill?", numbers="raw", features=(age,), verbalizers={"no": "no", "yes": "yes"}
    )
    card = BundleCard(
        task=task,
        site=site,
        base_id="base",
        base_hash="0" * 64,
        renderer=renderer,
        labels=("no", "yes"),
        positive="yes",
        split_version="0.dir",
        recipe=Recipe(),
        rank=8,
        seed=1,
        adapter_sha256=digest,
        code_version="0",
        git_revision="none",
    )
    return write_bundle(source, card, folder / f"bundle-{task}-{site}-{salt}")


def decide(
    workspace: Workspace, bundle: Bundle, outcome: Outcome, failed: str = "", status: CheckStatus = "fail"
) -> Decision:
    """A decision in the ledger."""
    look = Look(holdout="0.dir", number=1, planned=4, alpha=0.0125, entry_hash="0")
    checks = [CheckResult(name=failed, required=True, status=status, reason="r")] if failed else []
    evidence = Evidence(
        task=bundle.card.task,
        site=bundle.card.site,
        candidate=bundle.sha256,
        look=look,
        checks=tuple(checks),
        metrics={"adapter": {"macro_f1": 0.9}},
        inputs={},
    )
    verdict = Verdict(outcome=outcome, reasons=("because",), evidence=evidence)
    ledger = Ledger.open(workspace.ledger)
    entry = ledger.record(
        "decision",
        task=bundle.card.task,
        site=bundle.card.site,
        payload={"verdict": verdict.model_dump(mode="json")},
        now=NOW,
    )
    ledger.close()
    return Decision(verdict=verdict, ledger_entry=entry)


def register(
    workspace: Workspace, tmp_path: Path, task: str, salt: float, outcome: Outcome, site: str = "all"
) -> RegisteredVersion:
    """A version as the register step makes it."""
    bundle = make_bundle(tmp_path, task, salt, site)
    return registry.register(workspace, bundle, decide(workspace, bundle, outcome), NOW)


def kinds(workspace: Workspace, task: str) -> list[str]:
    """Kinds of the ledger's entries on a task, in order."""
    ledger = Ledger.open(workspace.ledger)
    found = [e.kind for e in ledger.entries(task=task)]
    ledger.close()
    return found
