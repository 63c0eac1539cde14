"""Load a base model and its tokenizer."""

from __future__ import annotations

import copy
import itertools
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from primum.backends.base_files import hash_base, locate
from primum.backends.torch.chat import Chat
from primum.config import ModelConfig
from primum.errors import BadInput

# peft still asks transformers by the old name; users can do nothing about it.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


@dataclass(frozen=True, eq=False)
class Base:
    """A loaded base model. Its module tree is never changed: adapters and trainings work on `shared_copy`."""

    id: str
    hash: str
    model: Any
    chat: Chat
    context: int
    """Tokens."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.device
        return device

    def shared_copy(self) -> Any:
        """Return a module tree of its own over the same weight tensors (no weight is loaded or copied)."""
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        return copy.deepcopy(self.model, {id(t): t for t in tensors})


def open_base(model: ModelConfig, root: Path) -> Base:
    """Load the base of `model`. Raises BadInput in one line for anything that cannot be used."""
    transformers.utils.logging.disable_progress_bar()
    folder, base_id = locate(model, root)
    digest = hash_base(folder, base_id)
    chat = Chat(_load_tokenizer(folder, base_id), base_id)
    loaded = _load_weights(folder, base_id, model.dtype)
    context = _context(loaded.config.get_text_config(), model, base_id)
    return Base(base_id, digest, loaded, chat, context)


def _load_tokenizer(folder: Path, base_id: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library raises whatever its parsers raise
        raise BadInput(
            f"base model '{base_id}': its tokenizer cannot be read ({type(error).__name__})"
        ) from None


def _load_weights(folder: Path, base_id: str, dtype: str) -> Any:
    if torch.cuda.is_available():  # read when cuBLAS starts: without it no deterministic training
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a truncated file raises one of a dozen types
        raise BadInput(
            f"base model '{base_id}': its weights cannot be read ({type(error).__name__}); "
            "put the files in place again"
        ) from None
    model, info = loaded
    lacking = len(info["missing_keys"]) + len(info["mismatched_keys"])
    if lacking:  # transformers would fill them with random numbers
        raise BadInput(
            f"base model '{base_id}': {lacking} weight(s) are missing or not of the shape of config.json"
        )
    model.requires_grad_(False)
    model.eval()
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _context(config: Any, model: ModelConfig, base_id: str) -> int:
    own = getattr(config, "max_position_embeddings", None) or model.max_length
    if own is None:
        raise BadInput(f"model.max_length: '{base_id}' does not say its context; set it")
    if model.max_length is not None and model.max_length > own:
        raise BadInput(f"model.max_length: {model.max_length} tokens are more than the {own} of '{base_id}'")
    return int(model.max_length or own)
