"""What an adapter and its base say of records whose part in the training is known."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from primum.records.frozen import Frozen


class Signals(Frozen):
    """Log-probability, in nats, that each record's true label got before any calibration; None: not readable."""

    patients: tuple[int, ...]
    """Whose record it is, numbered from 0 within these signals: no id travels."""
    base: tuple[float | None, ...]
    adapter: tuple[float | None, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if not len(self.patients) == len(self.base) == len(self.adapter):
            raise ValueError("signals: patients, base and adapter must have one entry per record")
        return self


class PrivacyAudit(Frozen):
    """What the check `privacy` is judged on."""

    members: Signals | None = None
    """A sample of the records that the adapter was trained on."""
    others: Signals | None = None
    """The holdout's records."""
    unlike: str | None = None
    """Why a difference between the two would not be memory; nothing is compared then."""
    planted: Signals | None = None
    """Made-up records that were added to the training; None: the adapter was trained without."""
    reference: Signals | None = None
    """Made-up records of the same kind that were not."""
