"""When a site is watched, when it alarms, and what is due there."""

from __future__ import annotations

from pydantic import Field

from primum.records import Frozen


class DriftConfig(Frozen):
    """What counts as drift: a test below the level and an effect that matters, both."""

    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    """Level of the tests of a site's report together (false discovery rate)."""
    window_days: int = Field(default=90, ge=1)
    """Length of the window where --since does not say its start."""
    outcome_days: int = Field(default=365, ge=1)
    """How far back the known outcomes are looked at, from the day that they became known."""
    min_records: int = Field(default=30, ge=10)
    """A window or reference with fewer records is not judged: too few."""
    min_events: int = Field(default=10, ge=1)
    """Records with and without the event that calibration and discrimination need."""
    min_mean_shift: float = Field(default=0.2, gt=0)
    """Numbers: standardised mean difference from which a shift matters (Cohen's small effect)."""
    min_distance: float = Field(default=0.1, gt=0, lt=1)
    """Numbers: Kolmogorov-Smirnov distance; categories and languages: total variation; from which it matters."""
    min_missing: float = Field(default=0.1, gt=0, lt=1)
    """Change of the share of missing values, and of the event's share, from which it matters."""
    max_observed_expected: float = Field(default=1.25, gt=1)
    """Calibration in the large beyond this, or below its inverse, matters."""
    min_auroc_loss: float = Field(default=0.05, gt=0, lt=0.5)
    """Loss of AUROC (or of macro-F1) against the champion's validation from which it matters."""


class RetrainConfig(Frozen):
    """When something is due at a site."""

    max_age_days: int = Field(default=365, ge=1)
    """A champion is due from this age on (the date its records ended)."""
    min_new_labels: int = Field(default=500, ge=1)
    """Matured labels that the champion did not learn from: due from this many on."""
    rest_days: int = Field(default=28, ge=0)
    """After a decision at a site nothing is due there for so long, so that looks are not spent in a row."""
    judged_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of a site's new patients that are kept for its next holdout: their outcomes are never watched."""
    performance_looks: int = Field(default=12, ge=1)
    """Over how many rechecks of a live champion the gate's alpha is spread."""
