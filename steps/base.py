"""Say which base model the run stands on."""

from typing import Annotated

from zenml import log_metadata, step

from primum.backends import identify_base
from primum.backends.base_files import describe
from primum.config import ModelConfig, StackConfig
from primum.workspace import find_workspace


@step(enable_cache=False)  # the files behind a folder's name may have been replaced
def find_base(model: ModelConfig, stack: StackConfig) -> Annotated[str, "base_hash"]:
    """Hash the base's files: what follows is cached by their content, and a missing base stops the run first."""
    base_hash = identify_base(model, stack, find_workspace().project)
    log_metadata({"base": describe(model), "base_hash": base_hash})
    return base_hash
