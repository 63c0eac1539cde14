"""Fix how a record is written: the renderer's hash is the prompt hash."""

from typing import Annotated

from primum.backends import open_backend
from primum.config import ModelConfig, StackConfig, TaskConfig
from primum.prompts import Renderer
from primum.scoring import prepare_renderer
from primum.versioning import load_part
from primum.workspace import find_workspace
from zenml import log_metadata, step

from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def fit_prompts(
    split: SplitVersion, task: TaskConfig, model: ModelConfig, stack: StackConfig
) -> Annotated[Renderer, "renderer"]:
    """Fit the renderer on the training part and check that every prompt fits the model's context."""
    workspace = find_workspace()
    train = load_part(workspace.home, split, "train")
