"""ZenML flavors of step operators for devices of this machine. Nothing heavy is imported for them."""

from __future__ import annotations

from zenml.step_operators import BaseStepOperator, BaseStepOperatorConfig, BaseStepOperatorFlavor


class DeviceOperatorConfig(BaseStepOperatorConfig):
    """Nothing to configure: a run's stack settings decide, so that they are a part of what is cached."""

    @property
    def is_local(self) -> bool:
        """It computes on this machine."""
        return True


class _DeviceFlavor(BaseStepOperatorFlavor):
    @property
    def config_class(self) -> type[DeviceOperatorConfig]:
        """Its (empty) configuration."""
        return DeviceOperatorConfig

    @property
    def implementation_class(self) -> type[BaseStepOperator]:
        """The operator."""
        from primum.stack.operators import DeviceOperator

        return DeviceOperator


class CudaFlavor(_DeviceFlavor):
    """Steps on NVIDIA devices of this machine."""

    @property
    def name(self) -> str:
        """`cuda`."""
        return "cuda"


class MlxFlavor(_DeviceFlavor):
    """Steps on the Apple silicon of this machine."""

    @property
    def name(self) -> str:
        """`mlx`."""
        return "mlx"
