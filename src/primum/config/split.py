"""How records are divided: by shares of patients, or as a benchmark's own split says."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from primum.records import PARTS, Frozen, Part


class OfficialSplit(Frozen):
    """A benchmark's own split, by a column or by `source.parts`. Without validation it is taken from training."""

    column: str | None = None
    """The column that names each record's part; None: `source.parts` say it."""
    train: tuple[str, ...] = ("train",)
    """Raw values of the column that mean training."""
    validation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ("test",)
    drop_leaks: bool = False
    """Leave out the training and validation records that stand, or nearly stand, in the test part as well, and the
    training records that stand in validation. The test part is never changed."""

    @field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _texts(cls, data: object) -> object:
        return tuple(map(str, data)) if isinstance(data, list | tuple) else (str(data),)

    @property
    def parts(self) -> dict[str, Part]:
        """Raw value -> part."""
        return {value: part for part in PARTS for value in getattr(self, part)}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.train or not self.test:
            raise ValueError("an official split needs values that mean train and values that mean test")
        if len(self.parts) < len(self.train) + len(self.validation) + len(self.test):
            raise ValueError("one value means two parts; keep one")
        return self


class Contamination(Frozen):
    """How much of the holdout's text may stand in training: each n-gram of words that both hold counts."""

    ngram: int = Field(default=13, ge=2)
    """Words per n-gram; 13 as for GPT-3 (Brown et al. 2020), 8 finds more, set phrases among it."""
    max_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the holdout's records that may hold such an n-gram; above it a run refuses."""
    allow: str | None = Field(default=None, min_length=10, max_length=300)
    """Why more is allowed: the run goes on, and the reason stands in split version, evidence and report."""


class SplitConfig(Frozen):
    """How records are divided. The parts are shares of patients."""

    train: float = Field(default=0.5, gt=0, lt=1)
    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.35, gt=0, lt=1)
    min_per_class: int = Field(default=5, ge=1)
    """Records of each class that every part must hold."""
    min_test: int = Field(default=30, ge=10)
    """Patients that the holdout must hold."""
    near_duplicate_ngram: int = Field(default=8, ge=2)
    """Words per n-gram when free texts are compared."""
    near_duplicate_overlap: float = Field(default=0.5, gt=0, le=1)
    """Two texts that share at least this part of the shorter one's n-grams stay on one side."""
    official: OfficialSplit | None = None
    """Keep the benchmark's own split; the shares then only divide training where it has no validation part."""
    contamination: Contamination | None = None
    """Search the holdout's texts for passages that training holds, by source; None: not searched."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self
