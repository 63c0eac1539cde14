"""The gate: the only place that decides whether an adapter may be promoted."""

from primum.gate.judge import judge
from primum.gate.panel import judge_panel
from primum.gate.table import judge_table, read_panel

__all__ = ["judge", "judge_panel", "judge_table", "read_panel"]
