"""ZenML's stacks for the backends: the active one, and the same with a device's step operator."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, get_args

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.models import ComponentResponse, StackResponse

from primum.config import StackConfig

Device = Literal["cuda", "mlx"]
DEVICES: tuple[str, ...] = get_args(Device)
_FLAVORS = {"cuda": "primum.stack.flavors.CudaFlavor", "mlx": "primum.stack.flavors.MlxFlavor"}
_OPERATOR = StackComponentType.STEP_OPERATOR


def operator_of(stack: StackConfig) -> str | None:
    """The step operator that steps with a backend run on; None: in the pipeline's own process.

    Another machine's work is a process of its own already, and its devices are locked over there; in a cloud every
    step has a machine of its own.
    """
    here = stack.remote is None and stack.cloud is None
    return stack.backend if stack.backend in DEVICES and here else None


def require_operator(stack: StackConfig) -> None:
    """Make sure that the active stack has the operator that `stack` needs; it becomes one that has where not."""
    device = operator_of(stack)
    if device is not None and device not in _operators(Client().active_stack_model):
        activate(device)


def activate(kind: str) -> StackResponse:
    """Make the stack of `cpu`, `cuda` or `mlx` the active one of this home."""
    stack = ensure(kind) if kind in DEVICES else _plain()
    Client().activate_stack(stack.id)
    return stack


def ensure(device: str) -> StackResponse:
    """The stack with this device's operator, beside the one that it extends. Calling it again changes nothing."""
    client, plain = Client(), _plain()
    name = f"{plain.name}-{device}"
    try:
        return client.get_stack(name, allow_name_prefix_match=False)
    except KeyError:
        pass
    components = {kind: [c.id for c in found] for kind, found in plain.components.items()}
    components[_OPERATOR] = [*components.get(_OPERATOR, []), _component(client, device).id]
    return client.create_stack(name, components)


def _component(client: Client, device: str) -> ComponentResponse:
    try:
        return client.get_stack_component(_OPERATOR, device, allow_name_prefix_match=False)
    except KeyError:
        pass
    try:
        client.get_flavor_by_name_and_type(device, _OPERATOR)
    except KeyError:
        client.create_flavor(_FLAVORS[device], _OPERATOR)
    return client.create_stack_component(device, device, _OPERATOR, {})


def _plain() -> StackResponse:
    """The active stack, or the one that it extends."""
    client = Client()
    active = client.active_stack_model
    for device in DEVICES:
        if active.name.endswith(f"-{device}"):
            with suppress(KeyError):  # a stack of the user's own may have such a name
                return client.get_stack(active.name.removesuffix(f"-{device}"), allow_name_prefix_match=False)
    return active


def describe() -> list[tuple[str, str]]:
    """The active stack's name and its components, (kind, name) each."""
    active = Client().active_stack_model
    found = [(kind.value.replace("_", " "), c.name) for kind, cs in active.components.items() for c in cs]
    return [("stack", active.name), *sorted(found)]


def _operators(stack: StackResponse) -> list[str]:
    return [component.name for component in stack.components.get(_OPERATOR, [])]
