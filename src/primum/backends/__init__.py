"""What trains adapters and scores prompts. Each backend imports its library only inside its own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from primum.errors import BadInput

if TYPE_CHECKING:
    from primum.backends.base import Backend, Progress
    from primum.config import ModelConfig, StackConfig
    from primum.pretraining.config import PretrainConfig, PretrainReport


def open_backend(model: ModelConfig, stack: StackConfig, root: Path) -> Backend:
    """Load the base model of `model` on the backend of `stack`; folders are relative to `root`.

    Raises BadInput when the base cannot be read, or names the install command of a missing library.
    """
    if stack.backend == "fake":
        from primum.backends.fake import FakeBackend

        return FakeBackend(model.name)
    try:
        from primum.backends.torch.model import open_torch
    except ModuleNotFoundError as error:
        raise BadInput(
            f"stack.backend: torch needs the library '{error.name}'; install it with: "
            "pip install torch transformers peft trl"
        ) from None
    return open_torch(model, stack, root)


def identify_base(model: ModelConfig, stack: StackConfig, root: Path) -> str:
    """Content hash of the base that `open_backend` would load (64 hex digits), without loading it.

    Raises BadInput when there is none.
    """
    if stack.backend == "fake":
        from primum.backends.fake import FakeBackend

        return FakeBackend(model.name).base_hash
    from primum.backends.base_files import hash_base, locate

    return hash_base(*locate(model, root))


def pretrain_base(config: PretrainConfig, out_dir: Path, progress: Progress | None = None) -> PretrainReport:
    """Make the embedded base anew from synthetic worlds, complete or not at all, in `out_dir`."""
    from primum.backends.torch.pretrain import pretrain

    return pretrain(config, out_dir, progress)
