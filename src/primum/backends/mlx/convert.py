"""One adapter, two files: PEFT's and mlx-lm's, converted without loss in both directions.

Only bytes are moved: a tensor is transposed or renamed, never computed with, whatever its dtype. No library of
either side is needed. An MLX folder made here keeps PEFT's configuration under the key `peft`, which mlx-lm
does not read, so the way back gives the very same one. What the other side could not say is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, TensorSpec, deserialize, serialize

from primum.backends.training import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    PLAIN_STARTS,
    SAID_KEYS,
    SILENT_KEYS,
)
from primum.errors import BadInput

MLX_WEIGHTS = "adapters.safetensors"
_PREFIX = "base_model.model."
_MLX_NAMES = {"lora_A.weight": "lora_a", "lora_B.weight": "lora_b", "lora_magnitude_vector": "m"}
_PEFT_NAMES = {mlx: peft for peft, mlx in _MLX_NAMES.items()}
_LAYER = re.compile(r"(?P<stem>.*?\.?layers)\.(?P<index>\d+)\.(?P<rest>.+)")


class Tensor(NamedTuple):
    """A tensor's bytes as they lie in a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def transposed(self) -> Tensor:
        """Rows become columns (of a matrix); the same bytes for a vector."""
        size = math.prod(self.shape)
        if len(self.shape) != 2 or not size:
            return self
        width = len(self.data) // size
        grid = np.frombuffer(self.data, dtype=f"V{width}").reshape(self.shape)
        return Tensor(self.dtype, self.shape[::-1], np.ascontiguousarray(grid.T).tobytes())


class Adapter(NamedTuple):
    """A LoRA adapter in mlx-lm's words."""

    tensors: dict[str, Tensor]
    """`<module>.lora_a` (in, r), `<module>.lora_b` (r, out) and, for DoRA, `<module>.m` (out)."""
    rank: int
    scale: float
    """alpha / r, or alpha / sqrt(r) for rsLoRA."""
    dropout: float
    dora: bool

    @property
    def modules(self) -> list[str]:
        """Full names of the adapted modules, sorted."""
        return sorted({name.rpartition(".")[0] for name in self.tensors})


def peft_to_mlx(peft_dir: Path, mlx_dir: Path, layers: int) -> None:
    """Write the PEFT adapter in `peft_dir` as an MLX folder, for a base of so many layers.

    Raises BadInput in one line for what an MLX adapter cannot say.
    """
    adapter, config = read_peft(peft_dir)
    mlx_dir.mkdir(parents=True, exist_ok=True)
    _write(mlx_dir / MLX_WEIGHTS, adapter.tensors, "mlx")
    content = {**mlx_config(adapter, layers), "peft": config}
    _write_json(mlx_dir / ADAPTER_CONFIG, content)


def mlx_to_peft(mlx_dir: Path, peft_dir: Path) -> None:
    """Write the MLX adapter in `mlx_dir` as a PEFT folder. Raises BadInput for what PEFT cannot say."""
    adapter, kept = read_mlx(mlx_dir)
    peft_dir.mkdir(parents=True, exist_ok=True)
    write_peft(peft_dir, adapter, kept or peft_config(adapter))


def write_peft(folder: Path, adapter: Adapter, config: Mapping[str, Any]) -> None:
    """Write adapter_model.safetensors and adapter_config.json."""
    parts = {name.rpartition("."): tensor for name, tensor in adapter.tensors.items()}
    renamed = {f"{_PREFIX}{m}.{_PEFT_NAMES[leaf]}": t.transposed() for (m, _, leaf), t in parts.items()}
    _write(folder / ADAPTER_WEIGHTS, renamed, "pt")
    _write_json(folder / ADAPTER_CONFIG, config)


def read_peft(folder: Path) -> tuple[Adapter, dict[str, Any]]:
    """Return the adapter and PEFT's configuration of it. Raises BadInput for what MLX cannot say."""
    config = _read_json(folder)
    _check_config(folder, config)
    tensors = {}
    for name, tensor in _read(folder / ADAPTER_WEIGHTS).items():
        leaf = next((leaf for leaf in _MLX_NAMES if name.endswith(f".{leaf}")), None)
        if leaf is None or not name.startswith(_PREFIX) or tensor.dtype not in _DTYPES:
            raise _cannot(folder, f"the tensor '{name}'")
        tensors[f"{name[len(_PREFIX) : -len(leaf)]}{_MLX_NAMES[leaf]}"] = tensor.transposed()
    adapter = _adapter_of(config, tensors)
    _check_tensors(folder, adapter)
    return adapter, config


def read_mlx(folder: Path) -> tuple[Adapter, dict[str, Any] | None]:
    """Return the adapter, and PEFT's configuration of it where the folder keeps one that says the same."""
    config = _read_json(folder)
    kind = config.get("fine_tune_type", "lora")
    if kind not in ("lora", "dora"):
        raise BadInput(
            f"{folder}: fine_tune_type '{kind}' is no adapter; only lora and dora can be converted"
        )
    try:
        said = config["lora_parameters"]
        adapter = Adapter(
            tensors=_read(folder / MLX_WEIGHTS),
            rank=int(said["rank"]),
            scale=float(said["scale"]),
            dropout=float(said.get("dropout", 0.0)),
            dora=kind == "dora",
        )
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"{folder}: {ADAPTER_CONFIG} lacks lora_parameters with rank and scale; it is no MLX adapter"
        ) from None
    _check_tensors(folder, adapter)
    kept = config.get("peft")
    if kept is None:
        return adapter, None
    _check_config(folder, kept)
    if _adapter_of(kept, adapter.tensors) != adapter:
        raise BadInput(
            f"{folder}: {ADAPTER_CONFIG} says one thing in lora_parameters and another in `peft`; "
            "remove the wrong one"
        )
    return adapter, dict(kept)


def mlx_config(adapter: Adapter, layers: int) -> dict[str, Any]:
    """The adapter_config.json that `mlx_lm.tuner.utils.load_adapters` reads.

    `keys` are relative to a layer where the same modules are adapted in the uppermost N layers of `layers`, as
    mlx-lm itself writes them, and full names otherwise, which it also takes.
    """
    indices, rests, regular = _inner(adapter.modules)
    regular = regular and indices == list(range(layers - len(indices), layers))
    return {
        "fine_tune_type": "dora" if adapter.dora else "lora",
        "num_layers": len(indices),
        "lora_parameters": {
            "rank": adapter.rank,
            "scale": adapter.scale,
            "dropout": adapter.dropout,
            "keys": rests if regular else adapter.modules,
        },
    }


def peft_config(adapter: Adapter, base: str | None = None, *, rslora: bool = False) -> dict[str, Any]:
    """PEFT's adapter_config.json. Modules are named by layer and place, so it means these and no others."""
    indices, rests, regular = _inner(adapter.modules)
    alpha = adapter.scale * (math.sqrt(adapter.rank) if rslora else adapter.rank)
    return {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_pattern": None,
        "layers_to_transform": indices if regular else None,
        "lora_alpha": round(alpha) if math.isclose(alpha, round(alpha), rel_tol=1e-12) else alpha,
        "lora_dropout": adapter.dropout,
        "peft_type": "LORA",
        "r": adapter.rank,
        "target_modules": rests if regular else adapter.modules,
        "task_type": "CAUSAL_LM",
        "use_dora": adapter.dora,
        "use_rslora": rslora,
    }


def peft_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Shapes of an MLX adapter's arrays as they are in PEFT's file, under its names."""
    parts = {name.rpartition("."): shape for name, shape in shapes.items()}
    return {f"{_PREFIX}{m}.{_PEFT_NAMES[leaf]}": shape[::-1] for (m, _, leaf), shape in parts.items()}


def _inner(modules: list[str]) -> tuple[list[int], list[str], bool]:
    """Layers, names within a layer, and whether the modules are just all of these in all of those."""
    found = [_LAYER.fullmatch(module) for module in modules]
    inner = {(int(m["index"]), m["rest"]) for m in found if m}
    indices, rests = sorted({i for i, _ in inner}), sorted({r for _, r in inner})
    return indices, rests, len(inner) == len(found) == len(indices) * len(rests)


def _adapter_of(config: Mapping[str, Any], tensors: dict[str, Tensor]) -> Adapter:
    rank = int(config["r"])
    return Adapter(
        tensors=tensors,
        rank=rank,
        scale=config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank),
        dropout=float(config.get("lora_dropout") or 0.0),
        dora=bool(config.get("use_dora")),
    )


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse every key that is set and has no meaning on the other side; unknown ones too."""
    if config.get("peft_type") != "LORA":
        raise _cannot(folder, f"the adapter type {config.get('peft_type')}")
    numbers = [config.get("r"), config.get("lora_alpha")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and n > 0 for n in numbers):
        raise BadInput(f"{folder}: {ADAPTER_CONFIG} lacks r or lora_alpha; it is no LoRA adapter")
    if config.get("init_lora_weights") not in PLAIN_STARTS:
        raise _cannot(folder, f"init_lora_weights: {config['init_lora_weights']}, which changes the base")
    for key, value in config.items():
        if key not in SAID_KEYS | SILENT_KEYS and value and (key, value) != ("bias", "none"):
            raise _cannot(folder, key)


def _check_tensors(folder: Path, adapter: Adapter) -> None:
    """Every module needs its whole set of tensors, in shapes of the one rank."""
    if not adapter.tensors:
        raise BadInput(f"{folder}: holds no adapter tensors")
    leaves = {"lora_a", "lora_b", *(["m"] if adapter.dora else [])}
    for module in adapter.modules:
        there = {name for name in adapter.tensors if name.rpartition(".")[0] == module}
        if there != {f"{module}.{leaf}" for leaf in leaves}:
            raise BadInput(f"{folder}: module '{module}' lacks a tensor, or has one that is not of its kind")
        a, b = adapter.tensors[f"{module}.lora_a"].shape, adapter.tensors[f"{module}.lora_b"].shape
        if len(a) != 2 or len(b) != 2 or a[1] != b[0]:
            raise BadInput(f"{folder}: the tensors of module '{module}' do not fit each other")
        if a[1] != adapter.rank:
            raise _cannot(folder, f"rank {a[1]} of '{module}' beside r: {adapter.rank}")


def _cannot(folder: Path, what: str) -> BadInput:
    return BadInput(
        f"{folder}: {what} cannot be said in an MLX adapter; merge the adapter instead (primum export --to merged)"
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found = deserialize(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path}: cannot be read ({type(error).__name__}); put the file in place again"
        ) from None
    return {name: Tensor(t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in found}


def _write(path: Path, tensors: Mapping[str, Tensor], written_by: str) -> None:
    buffers = {
        name: np.frombuffer(t.data, dtype=np.uint8) for name, t in tensors.items()
    }  # alive while written
    content = {
        name: TensorSpec(
            dtype=_DTYPES[t.dtype], shape=t.shape, data_ptr=buffers[name].ctypes.data, data_len=len(t.data)
        )
        for name, t in tensors.items()
    }
    path.write_bytes(serialize(content, {"format": written_by}))


_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


def _read_json(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / ADAPTER_CONFIG).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            f"{folder}: {ADAPTER_CONFIG} cannot be read ({type(error).__name__}); give an adapter's folder"
        ) from None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
