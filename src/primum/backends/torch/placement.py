"""Where a base computes and in which numbers."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import torch

from primum.backends.torch.devices import cuda_devices
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Placement:
    """Device, dtype of the weights that are not quantised (and of the arithmetic), attention, quantisation."""

    device: torch.device
    dtype: torch.dtype
    attention: str | None
    """transformers' name of the attention; None: its own choice, sdpa wherever the architecture has it."""
    nf4: bool

    @property
    def numerics(self) -> str:
        """For example `cpu/float32`, `cuda/bfloat16+nf4`, `cuda/bfloat16+flash`."""
        flash = "+flash" if (self.attention or "").startswith("flash") else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.device.type}/{dtype}{'+nf4' if self.nf4 else ''}{flash}"

    def quantisation(self) -> Any:
        """What transformers quantises by, or None.

        NF4 in blocks of 64 with quantised block maxima (QLoRA, Dettmers et al. 2023); the vocabulary projection
        and the embeddings stay as they are.
        """
        if not self.nf4:
            return None
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=self.dtype,
        )


def place(model: ModelConfig, stack: StackConfig) -> Placement:
    """Choose for this machine and process. Raises BadInput in one line for what is not there."""
    device = _device(stack)
    dtype = _dtype(model.dtype, device)
    if model.quantisation == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(
            "model.quantisation: nf4 needs bitsandbytes; install it with: pip install -e '.[cuda]'"
        )
    return Placement(device, dtype, _attention(model.attention, device, dtype), model.quantisation == "nf4")


def _device(stack: StackConfig) -> torch.device:
    """A process of a launcher takes the device of its local rank, any other the first one of the stack."""
    if stack.backend == "cpu" or (stack.backend == "auto" and not cuda_devices()):
        return torch.device("cpu")
    if not cuda_devices():
        raise BadInput(
            f"stack.backend: {stack.backend}: no CUDA device is visible here; see `primum doctor`, or set "
            "stack.backend to cpu or auto"
        )
    rank = os.environ.get("LOCAL_RANK")
    index = int(rank) if rank is not None else (stack.devices or (0,))[0]
    if index >= len(cuda_devices()):
        raise BadInput(
            f"stack.devices: there is no CUDA device {index}; {len(cuda_devices())} are visible here"
        )
    return torch.device("cuda", index)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if cuda_devices()[device.index].bfloat16 else torch.float16


def _attention(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    fits = device.type == "cuda" and dtype in _HALF
    there = importlib.util.find_spec("flash_attn") is not None
    if name == "auto":
        return "flash_attention_2" if fits and there else None
    if name == "flash_attention_2" and not fits:
        raise BadInput(
            "model.attention: flash_attention_2 needs a CUDA device and model.dtype bfloat16 or float16; set auto"
        )
    if name == "flash_attention_2" and not there:
        raise BadInput(
            "model.attention: flash_attention_2 is not installed; install it with: "
            "pip install flash-attn --no-build-isolation, or set auto"
        )
    return name
