"""The gate: the only place that decides whether an adapter may be promoted."""

from primum.gate.judge import judge

__all__ = ["judge"]
