"""One comparison before the correction over all of them, and the findings that come of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from primum.records import Finding, FindingKind
from primum.stats.drift import benjamini_hochberg


@dataclass(frozen=True)
class Comparison:
    """What was compared, how, and what came out; as in `Finding`."""

    kind: FindingKind
    column: str
    method: str
    reason: str
    p: float | None
    """None: a fact that no test stands behind, such as a column that became text. It alarms by its effect."""
    effect: float
    effect_name: str
    threshold: float


def findings(comparisons: Sequence[Comparison], alpha: float) -> tuple[Finding, ...]:
    """Findings with adjusted p-values: alarms first, then by adjusted p.

    A finding alarms where its adjusted p is below `alpha` and its effect at or above its threshold.
    """
    tested = [c.p for c in comparisons if c.p is not None]
    adjusted = iter(benjamini_hochberg(tested).tolist())
    made = [_finding(c, next(adjusted) if c.p is not None else None, alpha) for c in comparisons]
    return tuple(sorted(made, key=lambda f: (not f.alarm, f.p_adjusted or 0.0, -abs(f.effect or 0.0))))


def _finding(comparison: Comparison, adjusted: float | None, alpha: float) -> Finding:
    sure = adjusted is None or adjusted < alpha
    return Finding(
        kind=comparison.kind,
        column=comparison.column,
        method=comparison.method,
        p_value=comparison.p,
        p_adjusted=adjusted,
        effect=comparison.effect,
        effect_name=comparison.effect_name,
        threshold=comparison.threshold,
        alarm=sure and math.isfinite(comparison.effect) and comparison.effect >= comparison.threshold,
        reason=comparison.reason,
    )
