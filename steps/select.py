"""Choose one candidate on validation and make it a bundle."""

from typing import Annotated

from zenml import log_metadata, step

from primum.backends import open_backend
from primum.bundle import Bundle
from primum.config import RunConfig
from primum.prompts import Renderer
from primum.records import SplitVersion, Sweep
from primum.selection import best_candidate, make_bundle
from primum.versioning import load_part
from primum.workspace import find_workspace, git_revision
from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def select(
    sweep: Sweep, split: SplitVersion, renderer: Renderer, config: RunConfig
) -> Annotated[Bundle, "adapter_bundle"]:
    """Keep the candidate that is best on validation, calibrated there; only this one meets the holdout."""
    workspace = find_workspace()
    bundle = make_bundle(
        best_candidate(sweep.candidates),
        open_backend(config.model, config.stack, workspace.project),
        renderer,
        load_part(workspace.home, split, "validation", config.stack),
        split=split,
        config=config,
        git_revision=git_revision(workspace.project),
        out=workspace.work(config.task.name) / "bundle",
    )
    log_metadata({"prompt_hash": renderer.content_hash(), "base_hash": bundle.card.base_hash})
    return bundle
