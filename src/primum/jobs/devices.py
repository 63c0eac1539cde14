"""Which devices a stack computes on, and the lock that lets one training at a time use each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from primum.config import StackConfig
from primum.errors import BadInput
from primum.workspace import Workspace, held

_HELD = "PRIMUM_DEVICES_HELD"
"""Set for a process whose starter holds its devices already."""


def resolve_stack(stack: StackConfig) -> StackConfig:
    """The stack with `auto` replaced by what this machine has; a resolved one comes back as it is.

    Raises BadInput when the stack names a CUDA device that is not there.
    """
    if stack.remote is not None or stack.cloud is not None:
        return stack  # the other machine looks at its devices itself
    if stack.backend == "auto":
        chosen = "cuda" if _cuda_count() else "mlx" if has_mlx() else "cpu"
        stack = stack.model_copy(update={"backend": chosen})
    if stack.backend == "cuda":
        _require_cuda(stack)
    return stack


def has_mlx() -> bool:
    """True on a Mac with Apple silicon where mlx-lm is installed."""
    import importlib.util
    import platform

    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    return apple and importlib.util.find_spec("mlx_lm") is not None


def _cuda_count() -> int:
    from primum.backends import cuda_devices

    return len(cuda_devices())


def _require_cuda(stack: StackConfig) -> None:
    count = _cuda_count()
    if count == 0:
        raise BadInput(
            "stack.backend: no CUDA device is visible here; see `primum doctor`, or set stack.backend to cpu or auto"
        )
    there = ", ".join(map(str, range(count)))
    absent = [index for index in (*stack.devices, *used(stack)) if index not in range(count)]
    if absent:
        raise BadInput(f"stack.devices: there is no CUDA device {absent[0]}; this machine has {there}")
    if len(set(stack.devices)) < len(stack.devices):
        raise BadInput("stack.devices: name each device once; two processes cannot share one")
    if len(used(stack)) < stack.processes:
        raise BadInput(
            f"stack.devices: {stack.processes} processes need a device each; this machine has {there}"
        )


def used(stack: StackConfig) -> tuple[int, ...]:
    """The CUDA devices (indices among the visible ones) that a training of this stack runs on."""
    return (stack.devices or tuple(range(stack.processes)))[: stack.processes]


def visible(stack: StackConfig) -> str:
    """CUDA_VISIBLE_DEVICES for the processes of a training: a part of what is visible to this one."""
    outer = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in outer.split(",")] if outer else []
    return ",".join(names[i] if i < len(names) else str(i) for i in used(stack))


@contextmanager
def locked(workspace: Workspace, stack: StackConfig, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Hold the locks of the stack's devices; yields the environment that tells a child so. A CPU needs none, and
    another machine holds its own.

    A second training waits for the first one, and says so once.
    """
    with ExitStack() as locks:
        if not os.environ.get(_HELD):
            for name in _names(stack):
                words = f"{name} is in use by another run; waiting for it to end (Ctrl-C to give up)"
                locks.enter_context(held(workspace, f"device-{name}", words, say))
        yield {_HELD: "1"}


def _names(stack: StackConfig) -> list[str]:
    if stack.remote is not None:
        return []
    if stack.backend == "cuda":  # a part of a device (MIG) may have slashes in its name
        return [f"cuda-{name.replace('/', '-')}" for name in sorted(visible(stack).split(","))]
    return ["mlx"] if stack.backend == "mlx" else []
