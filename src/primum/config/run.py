"""One run: a task on a base model, judged by a gate, on a stack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from primum.backends.base import Recipe
from primum.config.gate import GateConfig
from primum.config.task import Name, TaskConfig
from primum.records import Frozen


class ModelConfig(Frozen):
    """The frozen base model and how adapters on it are trained."""

    name: str = Name
    source: str = "embedded"
    """`embedded` (primum-base), a folder, or a hub id."""
    revision: str | None = None
    """The pinned commit of a hub id."""
    numbers: Literal["standardised", "raw"] = "raw"
    """How the prompt writes numbers for this base."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_length: int | None = None
    """Context in tokens; the model's own by default."""
    recipe: Recipe = Recipe()
    licence: str | None = None
    """Licence of the adapters, as a Hugging Face id (mit, apache-2.0, other ...); the card leaves it open without."""


class StackConfig(Frozen):
    """Where it runs and where data goes."""

    name: str = "local"
    backend: Literal["torch", "fake"] = "torch"
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; all cores by default."""
    dvc_remote: str = "local"
    """The DVC remote (of .dvc/config) that splits are pushed to."""
    dvc_remote_url: str | None = None
    """Overrides the remote's address: a folder or s3://bucket/prefix."""
    dvc_endpoint_url: str | None = None
    """S3-compatible services: their endpoint. Credentials come from the environment only."""


class RunConfig(Frozen):
    """One run of the finetune pipeline."""

    task: TaskConfig
    model: ModelConfig
    gate: GateConfig = GateConfig()
    stack: StackConfig = StackConfig()
    seed: int = Field(default=42, ge=0, lt=2**32, strict=True)


SECTIONS = {"task": "tasks", "model": "models", "gate": "gates", "stack": "stacks"}
"""Key of RunConfig -> folder under configs/."""

DEFAULTS: dict[str, str] = {
    "task": "breast_cancer",
    "model": "primum-base",
    "gate": "default",
    "stack": "local",
}
