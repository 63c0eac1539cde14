"""The configuration: frozen models, every default stated once, one loader.

A run is a task, a model, a gate and a stack, each named (a file under configs/) or written out. Files hold
differences from the defaults only. Unknown keys are refused with the nearest known one.
"""

from primum.config.gate import (
    BalanceCheck,
    CalibrationCheck,
    CheckConfig,
    CoverageCheck,
    GateConfig,
    MarginCheck,
    ParsedCheck,
    SubgroupCheck,
)
from primum.config.loading import load_run, parse_overrides, read_yaml, validate
from primum.config.run import DEFAULTS, SECTIONS, ModelConfig, Remote, RunConfig, StackConfig
from primum.config.sites import DriftConfig, RetrainConfig
from primum.config.task import (
    Feature,
    Keys,
    Label,
    Metric,
    OperatingPoint,
    PromptConfig,
    Source,
    SplitConfig,
    Subgroup,
    TaskConfig,
)

__all__ = [
    "DEFAULTS",
    "SECTIONS",
    "BalanceCheck",
    "CalibrationCheck",
    "CheckConfig",
    "CoverageCheck",
    "DriftConfig",
    "Feature",
    "GateConfig",
    "Keys",
    "Label",
    "MarginCheck",
    "Metric",
    "ModelConfig",
    "OperatingPoint",
    "ParsedCheck",
    "PromptConfig",
    "Remote",
    "RetrainConfig",
    "RunConfig",
    "Source",
    "SplitConfig",
    "StackConfig",
    "Subgroup",
    "SubgroupCheck",
    "TaskConfig",
    "load_run",
    "parse_overrides",
    "read_yaml",
    "validate",
]
