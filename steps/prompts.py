"""Fix how a record is written: the renderer's hash is the prompt hash."""

from typing import Annotated

from zenml import log_metadata, step

from primum.backends import open_backend
from primum.config import ModelConfig, StackConfig, TaskConfig
from primum.prompts import Renderer
from primum.records import PARTS, SplitVersion
from primum.scoring import PromptFit, prepare_renderer
from primum.versioning import load_part
from primum.workspace import find_workspace
from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def fit_prompts(
    base_hash: str, split: SplitVersion, task: TaskConfig, model: ModelConfig, stack: StackConfig
) -> tuple[Annotated[Renderer, "renderer"], Annotated[PromptFit, "prompt_fit"]]:
    """Fit the renderer on the training part; of the other parts only the prompts' lengths are looked at."""
    workspace = find_workspace()
    backend = open_backend(model, stack, workspace.project)
    parts = [load_part(workspace.home, split, part, stack) for part in PARTS]
    renderer, fit = prepare_renderer(backend, task, model, *parts)
    log_metadata(
        {
            "base_hash": base_hash,
            "prompt_hash": renderer.content_hash(),
            "longest_prompt": fit.longest,
            "cut": fit.cut,
        }
    )
    return renderer, fit
