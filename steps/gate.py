"""Decide, and write the decision down before anything else happens."""

from typing import Annotated

from zenml import log_metadata, step

from primum.bundle import Bundle
from primum.config import RunConfig
from primum.decision import decide
from primum.records import Baselines, Decision, Evaluation, SplitVersion
from primum.registry import utc_now
from primum.workspace import find_workspace
from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def judge(
    evaluation: Evaluation, candidate: Bundle, baselines: Baselines, split: SplitVersion, config: RunConfig
) -> Annotated[Decision, "decision"]:
    """Run the gate's checks; the verdict is in the ledger when this step ends."""
    decision = decide(find_workspace(), config, evaluation, candidate, baselines, split, utc_now())
    adapter = decision.verdict.evidence.metrics.get("adapter", {})
    log_metadata({"verdict": decision.verdict.outcome, **{k: v for k, v in adapter.items() if v is not None}})
    return decision
