"""What is compared side by side: models, tasks, seeds."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from primum.records import Frozen


class CompareConfig(Frozen):
    """Every model on every task with every seed. What is left empty is the run's own."""

    models: tuple[str, ...] = ()
    """Names of configs/models."""
    tasks: tuple[str, ...] = ()
    """Names of configs/tasks."""
    seeds: tuple[int, ...] = ()
    """Seeds of the trainings; records are divided by the run's own seed."""
    tuning_share: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of the training part's patients on which epochs, ranks, temperature and settings are chosen."""
    generate: bool = True
    """Let each model also write its answer, and tell how many cannot be read."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Of the pairwise differences of a task together (Holm)."""
    resamples: int = Field(default=5000, ge=100)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for key in ("models", "tasks", "seeds"):
            named = getattr(self, key)
            if len(set(named)) != len(named):
                raise ValueError(f"{key}: one stands twice")
        return self
