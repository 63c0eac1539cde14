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
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig

from primum.backends.base_files import hash_base, locate
from primum.backends.chat import Chat
from primum.backends.fitting import context_of
from primum.backends.torch.memory import out_of_memory_in_one_line
from primum.backends.torch.placement import Placement, place
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput
from primum.failures import is_out_of_memory

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
    numerics: str
    """See `primum.backends.base.Backend`."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.device
        return device

    def shared_copy(self) -> Any:
        """Return a module tree of its own over the same weight tensors (no weight is loaded or copied)."""
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        shared = [*tensors, *(p.quant_state for p in self.model.parameters() if hasattr(p, "quant_state"))]
        return copy.deepcopy(self.model, {id(value): value for value in shared})


def open_base(model: ModelConfig, stack: StackConfig, root: Path) -> Base:
    """Load the base of `model`. Raises BadInput in one line for anything that cannot be used."""
    transformers.utils.logging.disable_progress_bar()
    placement = place(model, stack)
    folder, base_id = locate(model, root)
    digest = hash_base(folder, base_id, model.chat_template, model.thinking)
    chat = Chat(_load_tokenizer(folder, base_id), base_id, model.chat_template, model.thinking)
    with out_of_memory_in_one_line(f"loading base model '{base_id}'"):
        loaded = _load_weights(folder, base_id, placement)
    own = getattr(loaded.config.get_text_config(), "max_position_embeddings", None)
    return Base(base_id, digest, loaded, chat, context_of(own, model, base_id), placement.numerics)


def _load_tokenizer(folder: Path, base_id: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library raises whatever its parsers raise
        raise BadInput(
            f"base model '{base_id}': its tokenizer cannot be read ({type(error).__name__})"
        ) from None


def _load_weights(folder: Path, base_id: str, placement: Placement) -> Any:
    if placement.device.type == "cuda":  # read when cuBLAS starts: without it no deterministic training
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.cuda.set_device(placement.device)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=_undisturbed(AutoConfig.from_pretrained(folder, local_files_only=True)),
            dtype=placement.dtype,
            device_map={"": str(placement.device)},
            attn_implementation=placement.attention,
            quantization_config=placement.quantisation(),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a truncated file raises one of a dozen types
        if is_out_of_memory(error):
            raise
        if placement.attention and "does not support" in str(error):
            raise BadInput(
                f"model.attention: '{base_id}' does not support {placement.attention}; set auto"
            ) from None
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
    return model.eval()


def _undisturbed(config: Any) -> Any:
    """Without the dropout that an architecture brings (GPT-2 and OPT: 0.1): the recipe alone says what is dropped.

    It would draw from the process's generator, in whichever order candidates that share the threads come to it.
    """
    for key, value in vars(config).items():
        if isinstance(value, PreTrainedConfig):
            _undisturbed(value)
        elif "drop" in key and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, key, type(value)(0))
    return config
