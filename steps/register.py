"""Give the candidate its version and its model card; production only on PROMOTE."""

from typing import Annotated

from zenml import step

from primum import registry
from primum.bundle import Bundle
from primum.config import RunConfig
from primum.records import Baselines, Decision, Evaluation, RegisteredVersion, SplitVersion
from primum.reports.card import model_card
from primum.workspace import find_workspace


@step(enable_cache=False)  # idempotent, and the stage may have changed since
def register(  # noqa: PLR0913 - what the model card tells
    candidate: Bundle,
    decision: Decision,
    evaluation: Evaluation,
    baselines: Baselines,
    split: SplitVersion,
    config: RunConfig,
) -> Annotated[RegisteredVersion, "registered_version"]:
    """Record every candidate as a version with its evidence and card, also the refused ones."""
    # The card tells the verdict, so it is written after the gate, and before the version that it belongs to.
    card = model_card(config, split, candidate, baselines, evaluation, decision)
    as_of = (config.at or registry.utc_now()).isoformat()
    return registry.register(find_workspace(), candidate, decision, registry.utc_now(), card, as_of=as_of)
