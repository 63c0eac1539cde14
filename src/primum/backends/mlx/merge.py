"""Merge an adapter into a copy of its base: an MLX model folder, or one GGUF file."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_unflatten
from mlx_lm.gguf import convert_to_gguf, permute_weights, translate_weight_names
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.utils import save_config, save_model

from primum.backends.base_files import locate
from primum.backends.gguf_vocabulary import vocabulary
from primum.backends.mlx.adapters import load_adapter
from primum.backends.mlx.base_model import flat, open_base
from primum.config import ModelConfig
from primum.errors import BadInput

_FAMILIES = ("llama", "mistral", "mixtral")
"""What mlx-lm's converter knows."""


def fuse(model: ModelConfig, root: Path, adapter_dir: Path, out_dir: Path) -> None:
    """Write config.json and safetensors of base plus adapter to `out_dir`; weights in 4 bits stay so."""
    base = open_base(model, root)
    merged = load_adapter(base, adapter_dir)
    layers = [(n, m.fuse()) for n, m in merged.named_modules() if isinstance(m, LoRALinear | DoRALinear)]
    merged.update_modules(tree_unflatten(layers))
    mx.eval(merged.parameters())
    save_model(out_dir, merged)
    save_config(dict(base.config), out_dir / "config.json")


def write_gguf(model: ModelConfig, root: Path, name: str, out_file: Path) -> None:
    """Write a merged model's folder as one GGUF file through mlx-lm's converter, and read it back.

    Raises BadInput, speaking of the base as `name`, for one that the converter would write wrongly, which it does
    without a word.
    """
    base = open_base(model, root)
    folder, _ = locate(model, root)
    weights = flat(base.model.parameters())
    _check_convertible(base.config, weights, name)
    rows = weights["model.embed_tokens.weight"].shape[0]
    words = vocabulary(folder, base.chat.tokenizer, base.chat.end_of_turn, rows)
    with contextlib.redirect_stdout(io.StringIO()):
        convert_to_gguf(folder, dict(weights), base.config, str(out_file))
    loaded: Any = mx.load(str(out_file), return_metadata=True)
    tensors, metadata = loaded
    mx.eval(tensors)
    # The converter calls every vocabulary SentencePiece's and gives each token the same score.
    metadata |= {key: _value(value) for key, value in words.items()} | {"general.name": name}
    mx.save_gguf(str(out_file), tensors, metadata)
    _check_written(base.config, weights, out_file)


def _check_convertible(config: dict[str, Any], weights: dict[str, mx.array], name: str) -> None:
    scaling = config.get("rope_scaling") or {}
    hidden, heads = config.get("hidden_size", 0), config.get("num_attention_heads", 1)
    reasons = {
        f"its architecture is {config.get('model_type')}, the converter knows {', '.join(_FAMILIES)}": (
            config.get("model_type") not in _FAMILIES
        ),
        "its weights are quantised": "quantization" in config,
        "its rotary embedding is scaled": scaling.get("rope_type", scaling.get("type", "default"))
        != "default",
        "its linear layers have biases": any(key.endswith(".bias") for key in weights),
        "its head size is not hidden size / heads": (config.get("head_dim") or hidden // heads) * heads
        != hidden,
    }
    for reason, is_so in reasons.items():
        if is_so:
            raise BadInput(
                f"gguf: '{name}' cannot be converted: {reason}; export --to merged and use llama.cpp's converter"
            )


def _value(value: Any) -> Any:
    """GGUF metadata as mlx takes it: text, lists of text, and arrays."""
    if isinstance(value, bool):
        return mx.array(value)
    if isinstance(value, int):
        return mx.array(value, dtype=mx.uint32)
    if isinstance(value, list) and value and not isinstance(value[0], str):
        return mx.array(value, dtype=mx.float32 if isinstance(value[0], float) else mx.int32)
    return value


def _check_written(config: dict[str, Any], weights: dict[str, mx.array], path: Path) -> None:
    """Every tensor of the file is the merged model's, name by name and number by number."""
    there: Any = mx.load(str(path))
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads") or heads
    same = len(there) == len(weights)
    for name, array in weights.items():
        rows = heads if "self_attn.q_proj" in name else groups if "self_attn.k_proj" in name else None
        expected = (array if rows is None else permute_weights(array, rows, rows)).astype(mx.float32)
        written = there.get(translate_weight_names(name))
        same = same and written is not None and written.shape == expected.shape
        same = same and bool(mx.allclose(written.astype(mx.float32), expected, rtol=1e-3, atol=1e-6).item())
    if not same:
        raise BadInput("gguf: what was written is not what was merged; nothing is left")
