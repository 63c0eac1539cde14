"""Give the candidate its version; production only on PROMOTE."""

from typing import Annotated

from zenml import step

from primum import registry
from primum.bundle import Bundle
from primum.records import Decision, RegisteredVersion
from primum.workspace import find_workspace


@step(enable_cache=False)  # idempotent, and the stage may have changed since
def register(candidate: Bundle, decision: Decision) -> Annotated[RegisteredVersion, "registered_version"]:
    """Record every candidate as a version with its evidence, also the refused ones."""
    return registry.register(find_workspace(), candidate, decision, registry.utc_now())
