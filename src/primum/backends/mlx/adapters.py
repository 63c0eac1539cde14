"""Put LoRA layers into a copy of a base model, and read them out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedLinear
from mlx_lm.models.switch_layers import SwitchGLU, SwitchMLP
from mlx_lm.tuner.utils import linear_to_lora_layers

from primum.backends.base import Recipe
from primum.backends.mlx.base_model import Base, flat
from primum.backends.mlx.convert import Adapter, Tensor, read_peft
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from primum.errors import BadInput

_LEAVES = ("lora_a", "lora_b", "m")
_NUMPY = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


def load_adapter(base: Base, folder: Path) -> Any:
    """Return the base's model with the PEFT adapter in `folder`, in evaluation mode.

    Raises BadInput when there is none, or it is not for this base.
    """
    if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
        raise BadInput(f"{folder}: no {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}; give an adapter's folder")
    adapter, _ = read_peft(folder)
    model = base.shared_copy()
    linears = dict(linear_modules(model))
    if not set(adapter.modules) <= set(linears):
        raise _other_base(base, folder)
    insert(model, adapter.modules, adapter.rank, adapter.scale, adapter.dropout, dora=adapter.dora)
    expected = {name: array.shape for name, array in adapter_arrays(model).items()}
    if expected != {name: tensor.shape for name, tensor in adapter.tensors.items()}:
        raise _other_base(base, folder)
    model.load_weights([(name, to_array(t)) for name, t in adapter.tensors.items()], strict=False)
    model.eval()
    return model


def _other_base(base: Base, folder: Path) -> BadInput:
    return BadInput(
        f"{folder}: this adapter does not load on '{base.id}': its modules are not there, or of other shapes"
    )


def linear_modules(model: Any) -> list[tuple[str, Any]]:
    """(full name, module) of every linear layer in the blocks, in the model's order; the lm_head is none.

    Nor are the routers of experts: transformers has other modules in their place.
    """
    inside = {id(m) for layer in model.layers for m in layer.modules()}
    for layer in model.layers:
        for module in layer.modules():
            if any(isinstance(child, SwitchGLU | SwitchMLP) for child in module.children().values()):
                inside -= {id(module.get(name)) for name in ("gate", "router")}
    return [
        (name, module)
        for name, module in model.named_modules()
        if id(module) in inside and isinstance(module, Linear | QuantizedLinear)
    ]


def chosen_modules(base: Base, model: Any, recipe: Recipe) -> list[str]:
    """Full names of the modules that the recipe trains. Raises BadInput where there is none, or no PEFT name."""
    upper = model.layers[-recipe.layers :] if recipe.layers else model.layers
    inside = {id(m) for layer in upper for m in layer.modules()}
    targets = recipe.target_modules
    named = targets if isinstance(targets, tuple) else () if targets == "all-linear" else (targets,)
    linears = linear_modules(model)
    for target in named:
        if not any(f".{name}".endswith(f".{target}") for name, _ in linears):
            raise BadInput(
                "model.recipe.target_modules: not linear layers of this base, or its lm_head; use all-linear"
            )
    chosen = [
        name
        for name, module in linears
        if id(module) in inside and (not named or any(f".{name}".endswith(f".{t}") for t in named))
    ]
    if not all(f"{name}.weight" in base.tensors for name in chosen):
        raise BadInput(
            f"model.source: mlx-lm names the layers of '{base.id}' otherwise than its files do, so an adapter "
            "would fit no other backend; train it with stack.backend: cpu or cuda"
        )
    return chosen


def insert(  # noqa: PLR0913 - what a LoRA layer consists of
    model: Any, modules: list[str], rank: int, scale: float, dropout: float, *, dora: bool
) -> None:
    """Turn the modules into mlx-lm's LoRA (or DoRA) layers; everything else is frozen."""
    model.freeze()
    config = {"rank": rank, "scale": scale, "dropout": dropout, "keys": set(modules)}
    with own_random_numbers(0):  # each new layer draws some, to no end
        linear_to_lora_layers(model, len(model.layers), config, use_dora=dora)


@contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """MLX's random numbers from `seed` on; afterwards the process's own go on as if nothing had been drawn."""
    state: Any = mx.random.state
    high, low = state[0].tolist()
    mx.random.seed(seed)
    try:
        yield
    finally:
        mx.random.seed(high << 32 | low)


def adapter_arrays(model: Any) -> dict[str, mx.array]:
    """The adapter's arrays by full name."""
    parameters = flat(model.parameters())
    return {name: array for name, array in parameters.items() if name.rpartition(".")[2] in _LEAVES}


def to_array(tensor: Tensor) -> mx.array:
    """The tensor as an array of the same dtype."""
    if tensor.dtype == "BF16":
        raw = np.frombuffer(tensor.data, dtype=np.uint16).reshape(tensor.shape)
        return mx.array(raw).view(mx.bfloat16)
    return mx.array(np.frombuffer(tensor.data, dtype=_NUMPY[tensor.dtype]).reshape(tensor.shape))


def adapter_of(
    arrays: Mapping[str, mx.array], rank: int, scale: float, dropout: float, *, dora: bool
) -> Adapter:
    """The trained arrays, float32, as what `convert` writes."""
    tensors = {
        name: Tensor("F32", tuple(array.shape), np.array(array, dtype=np.float32).tobytes())
        for name, array in arrays.items()
    }
    return Adapter(tensors, rank, scale, dropout, dora)
