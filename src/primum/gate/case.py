"""What a check looks at, and the words in which it speaks."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from primum.config import GateConfig, TaskConfig
from primum.records import CheckResult, CheckStatus, LeakageReport, Look, Panel, PrivacyAudit
from primum.stats.metrics import Coded

CANDIDATE = "adapter"
MIN_PATIENTS = 10
"""Below this no interval is computed: the bootstrap of so few patients means nothing."""

SYSTEM_WORDS = {
    "base": "the base model",
    "majority": "the majority class",
    "lasso": "the LASSO logistic regression",
    "random_forest": "the random forest",
    "tfidf": "the TF-IDF logistic regression",
    "champion": "the model in production",
    "anchor": "the first promoted model",
}
METRIC_WORDS = {"macro_f1": "macro-F1", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}

Statistics = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Case:
    """One candidate before the gate."""

    panel: Panel
    coded: Coded
    task: TaskConfig
    config: GateConfig
    look: Look
    best_classical: str
    leakage: LeakageReport | None
    seed: int
    privacy: PrivacyAudit | None = None
    same_decisions: tuple[str, ...] = ()

    def decides_as(self, rival: str) -> bool:
        """Whether candidate and rival cannot differ on any patient, and do not on these."""
        same = rival in self.same_decisions and rival in self.coded.pred and CANDIDATE in self.coded.pred
        return same and bool((self.coded.pred[CANDIDATE] == self.coded.pred[rival]).all())

    @property
    def alpha(self) -> float:
        """Two-sided alpha of this look."""
        return self.look.alpha

    def generator(self, check: str) -> np.random.Generator:
        """A generator of the check's own: what one check draws does not depend on which others run."""
        return np.random.default_rng([self.seed, zlib.crc32(check.encode())])


def result(  # noqa: PLR0913 - the fields of a CheckResult
    case: Case,
    name: str,
    status: CheckStatus,
    reason: str,
    statistics: Statistics | None = None,
    labels_needed: int | None = None,
) -> CheckResult:
    """A check's result; infinite and undefined numbers are written as None."""
    clean = {key: _finite(value) for key, value in (statistics or {}).items()}
    required = getattr(case.config, name).required
    return CheckResult(
        name=name,
        required=required,
        status=status,
        reason=reason,
        statistics=clean,
        labels_needed=labels_needed,
    )


def unjudged(case: Case, name: str, why: str, labels_needed: int | None = None) -> CheckResult:
    """A check without the data it needs: hold where it is required, else not assessed."""
    status: CheckStatus = "hold" if getattr(case.config, name).required else "not assessed"
    return result(case, name, status, f"Cannot be judged: {why}.", labels_needed=labels_needed)


def obstacle(case: Case, rival: str) -> str | None:
    """Why candidate and rival cannot be compared, or None."""
    if case.look.exhausted or not case.alpha > 0:
        return f"holdout exhausted, its {case.look.planned} planned looks are spent; a next holdout is needed"
    for name in (CANDIDATE, rival):
        if name not in case.panel.systems:
            return f"the predictions of '{name}' on this holdout are missing"
    if case.coded.patient_count < MIN_PATIENTS:
        return f"the holdout has {case.coded.patient_count} patients and at least {MIN_PATIENTS} are needed"
    return None if rival == CANDIDATE else _unreadable(case, rival)


def _unreadable(case: Case, rival: str) -> str | None:
    """Why a rival's answers are no comparison: blanks count as wrong and would flatter the candidate.

    A base model may well fail to answer, so it needs one readable answer; the others are held to what the
    candidate itself must reach (`parsed`).
    """
    share, least = float((case.coded.pred[rival] >= 0).mean()), case.config.parsed.min_share
    if share == 0:
        return f"'{rival}' gave no readable answer, so there is nothing to compare with"
    if rival not in ("base", "majority") and share < least:
        return f"only {share:.3f} of the answers of '{rival}' can be read, and a comparison needs {least:g}"
    return None


def _finite(value: float | int | str | None) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def system_words(name: str) -> str:
    """How a system is called in a sentence."""
    return SYSTEM_WORDS.get(name, f"'{name}'")


def level(alpha: float) -> str:
    """The confidence level in per cent: alpha 0.0125 -> '98.75%'."""
    return f"{100 * (1 - alpha):.6g}%"


def p_words(p: float) -> str:
    """A p-value as journals print it."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def end(value: float) -> str:
    """One end of an interval."""
    return f"{value:+.3f}" if math.isfinite(value) else "undefined"


def more(labels: int | None) -> str:
    """The sentence that asks for more labels."""
    return "" if not labels else f" About {labels} more labelled patients are needed."


def for_precision(patients: int, half: float, wanted: float) -> int | None:
    """More patients until the half-width of an interval falls from `half` to `wanted`."""
    if not math.isfinite(half):
        return None
    return max(1, math.ceil(patients * (half / wanted) ** 2) - patients)
