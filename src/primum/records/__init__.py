"""The frozen values that travel between stages.

Rows of patients never travel through ZenML: they lie in a split version that DVC stores, and the stages pass
the small values below, which say where the rows lie and what was found in them.
"""

from primum.records.data import (
    ALL_SITES,
    PARTS,
    UNPARSED,
    Example,
    IngestReport,
    Lineage,
    Panel,
    Part,
    Predictions,
    SplitVersion,
)
from primum.records.frozen import Frozen
from primum.records.judged import (
    BaselineFit,
    Baselines,
    Candidate,
    CheckResult,
    CheckStatus,
    Comparators,
    Decision,
    Evaluation,
    Evidence,
    LeakageReport,
    Look,
    Outcome,
    RegisteredVersion,
    Sweep,
    TrainingLog,
    Verdict,
)

__all__ = [
    "ALL_SITES",
    "PARTS",
    "UNPARSED",
    "BaselineFit",
    "Baselines",
    "Candidate",
    "CheckResult",
    "CheckStatus",
    "Comparators",
    "Decision",
    "Evaluation",
    "Evidence",
    "Example",
    "Frozen",
    "IngestReport",
    "LeakageReport",
    "Lineage",
    "Look",
    "Outcome",
    "Panel",
    "Part",
    "Predictions",
    "RegisteredVersion",
    "SplitVersion",
    "Sweep",
    "TrainingLog",
    "Verdict",
]
