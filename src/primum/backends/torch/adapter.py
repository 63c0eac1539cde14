"""Lay a PEFT adapter over a shared copy of the base, or say why it does not fit."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open

from primum.backends.torch.base_model import Base
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PLAIN_STARTS
from primum.errors import BadInput
from primum.failures import is_out_of_memory

_PREFIX = "base_model.model."


def load_adapter(base: Base, folder: Path) -> Any:
    """Return the base with that adapter. Raises BadInput when the folder holds none for this base.

    peft itself would leave out what the base has no place for, and start anew what the file does not hold.
    """
    if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
        raise BadInput(f"{folder}: no {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}; give an adapter's folder")
    refused = f"{folder}: this adapter does not load on '{base.id}'"
    if _start(folder) not in PLAIN_STARTS:
        raise BadInput(f"{refused}: its init_lora_weights ({_start(folder)}) changes the base")
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise BadInput(f"{refused}: its weights cannot be read ({type(error).__name__})") from None
    modules = dict(base.model.named_modules())
    strange = [name for name in shapes if _module_of(name) not in modules]
    if strange:
        raise BadInput(
            f"{refused}: it was trained on another architecture ({len(strange)} of its {len(shapes)} weights have "
            f"no place there, {_module_of(strange[0])} for one)"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # what it would warn of is checked below
            model = PeftModel.from_pretrained(base.shared_copy(), str(folder), torch_device=str(base.device))
    except Exception as error:  # peft and torch each raise their own
        if is_out_of_memory(error):
            raise
        wrong = [name for name, shape in shapes.items() if not _fits(name, shape, modules)]
        why = f"it has another shape in {_module_of(wrong[0])}" if wrong else type(error).__name__
        raise BadInput(f"{refused}: {why}") from None
    wanted = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    if wanted != shapes.keys():
        raise BadInput(f"{refused}: its file holds {len(shapes)} weights, its configuration {len(wanted)}")
    return model.eval()


def _start(folder: Path) -> Any:
    """`init_lora_weights`; None where the configuration cannot be read, which peft will say."""
    try:
        start = json.loads((folder / ADAPTER_CONFIG).read_bytes())["init_lora_weights"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return start


def _module_of(name: str) -> str:
    return name.removeprefix(_PREFIX).partition(".lora_")[0]


def _fits(name: str, shape: tuple[int, ...], modules: dict[str, Any]) -> bool:
    module = modules[_module_of(name)]
    sizes = {
        ".lora_A.": (getattr(module, "in_features", None), 1),
        ".lora_B.": (getattr(module, "out_features", None), 0),
    }
    return all(shape[axis] == size for part, (size, axis) in sizes.items() if part in name)
