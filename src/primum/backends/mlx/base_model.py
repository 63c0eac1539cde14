"""Load a base model and its tokenizer with mlx-lm, from the same folder that transformers reads."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.utils import load_model
from safetensors import SafetensorError, safe_open

from primum.backends.base_files import hash_base, locate
from primum.backends.chat import Chat
from primum.backends.fitting import context_of
from primum.config import ModelConfig
from primum.errors import BadInput


@dataclass(frozen=True, eq=False)
class Base:
    """A loaded base model. Its module tree is never changed: adapters and trainings work on `shared_copy`."""

    id: str
    hash: str
    model: Any
    config: dict[str, Any]
    """config.json, as mlx-lm understood it."""
    chat: Chat
    context: int
    """Tokens."""
    numerics: str
    """`mlx/float32`, or `mlx/bfloat16+q4` for weights that the folder holds in 4 bits."""
    tensors: frozenset[str]
    """The names of the tensors in the folder's files."""

    def shared_copy(self) -> Any:
        """Return a module tree of its own over the same weight arrays (no weight is loaded or copied)."""
        return copy.deepcopy(self.model, {id(a): a for a in flat(self.model.parameters()).values()})


def flat(tree: Any) -> dict[str, mx.array]:
    """Arrays of a module's parameters, or of an optimizer's state, by their full names."""
    return {str(name): array for name, array in list(tree_flatten(tree))}  # type: ignore[misc]


def open_base(model: ModelConfig, root: Path) -> Base:
    """Load the base of `model`. Raises BadInput in one line for anything that cannot be used."""
    if model.quantisation == "nf4":
        raise BadInput(
            "model.quantisation: nf4 is bitsandbytes' format and needs the cuda or cpu backend; on mlx leave it "
            "out and give a folder in MLX's own 4 bits as model.source (mlx_lm.convert --quantize makes one)"
        )
    if not mx.metal.is_available():
        mx.disable_compile()  # without Metal each fused kernel is a run of the C++ compiler: 50 times slower
    folder, base_id = locate(model, root)
    digest = hash_base(folder, base_id, model.chat_template, model.thinking)
    chat = _open_chat(folder, base_id, model)
    tensors = _tensor_names(folder, base_id)
    loaded, config = _load_weights(folder, base_id)
    dtype = _dtype(model.dtype)
    loaded.set_dtype(getattr(mx, dtype))
    mx.eval(loaded.parameters())
    quantised = config.get("quantization")
    text = config.get("text_config", config)
    return Base(
        id=base_id,
        hash=digest,
        model=loaded,
        config=config,
        chat=chat,
        context=context_of(_own_context(text, loaded), model, base_id),
        numerics=f"mlx/{dtype}" + (f"+q{quantised['bits']}" if quantised else ""),
        tensors=tensors,
    )


def _dtype(name: str) -> str:
    if name != "auto":
        return name
    return "bfloat16" if mx.metal.is_available() else "float32"


def _open_chat(folder: Path, base_id: str, model: ModelConfig) -> Chat:
    try:
        tokenizer = load_tokenizer(folder, {"local_files_only": True})._tokenizer
    except Exception as error:  # the library raises whatever its parsers raise
        raise BadInput(
            f"base model '{base_id}': its tokenizer cannot be read ({type(error).__name__})"
        ) from None
    return Chat(tokenizer, base_id, model.chat_template, model.thinking)


def _tensor_names(folder: Path, base_id: str) -> frozenset[str]:
    """Read the headers, which also shows a file that was cut short."""
    names: set[str] = set()
    try:
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="numpy") as tensors:
                names.update(tensors.keys())
    except (OSError, SafetensorError) as error:
        raise _unreadable(base_id, error) from None
    return frozenset(names)


def _load_weights(folder: Path, base_id: str) -> tuple[Any, dict[str, Any]]:
    try:
        raw = json.loads((folder / "config.json").read_bytes())
        model, config = load_model(folder, model_config=_rope(raw))
    except Exception as error:  # mlx-lm raises whatever its parts raise; it does not quote a weight
        text = str(error)
        if "not supported" in text or isinstance(error, TypeError | KeyError | AttributeError):
            raise BadInput(f"base model '{base_id}': mlx-lm does not know its architecture") from None
        if text.startswith(("Missing", "Received", "Expected shape")):
            raise BadInput(
                f"base model '{base_id}': weights are missing, unknown or not of the shape of config.json"
            ) from None
        raise _unreadable(base_id, error) from None
    parameters = raw.get("rope_parameters") or {}
    if any(isinstance(v, dict) for v in parameters.values()) and not hasattr(model.args, "rope_parameters"):
        raise BadInput(f"base model '{base_id}': mlx-lm does not read the rope_parameters of its config.json")
    return model, config


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary embedding in the older keys that mlx-lm reads: without them it would take 10,000 as its base.

    transformers 5 writes `rope_parameters` instead; where an older key stands there too, it is left alone.
    """
    parameters = config.get("rope_parameters") or {}
    if "rope_theta" not in parameters:
        return {}
    old: dict[str, Any] = {"rope_theta": parameters["rope_theta"]}
    if parameters.get("rope_type", "default") != "default":
        old["rope_scaling"] = {k: v for k, v in parameters.items() if k != "rope_theta"}
    return {key: value for key, value in old.items() if config.get(key) is None}


def _own_context(text: dict[str, Any], model: Any) -> int | None:
    """Tokens. Where mlx-lm leaves a base's sliding window out, it computes what the base does up to the window."""
    own: int | None = text.get("max_position_embeddings")
    window: int | None = text.get("sliding_window")
    kinds = text.get("layer_types") or ["sliding_attention"]
    slides = text.get("use_sliding_window", True) and "sliding_attention" in kinds
    if (
        window is None
        or not slides
        or any(isinstance(cache, RotatingKVCache) for cache in make_prompt_cache(model))
    ):
        return own
    return min(window, own or window)


def _unreadable(base_id: str, error: Exception) -> BadInput:
    return BadInput(
        f"base model '{base_id}': its weights cannot be read ({type(error).__name__}); "
        "put the files in place again"
    )
