"""The CUDA devices that torch can use."""

from __future__ import annotations

import dataclasses
import functools

import torch


@dataclasses.dataclass(frozen=True)
class CudaDevice:
    """One device, under the index that CUDA_VISIBLE_DEVICES leaves it."""

    index: int
    name: str
    memory: int
    """Bytes."""
    bfloat16: bool
    """It computes in bfloat16 (compute capability 8 and above)."""


@functools.cache
def cuda_devices() -> tuple[CudaDevice, ...]:
    """List them; empty without a driver, a device, or a torch that was built for them."""
    if not torch.cuda.is_available():
        return ()
    found = ((i, torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count()))
    return tuple(CudaDevice(i, p.name, p.total_memory, p.major >= 8) for i, p in found)
