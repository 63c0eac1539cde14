"""What happens to identifiers in free text."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from primum.privacy.identifiers import KINDS, Kind
from primum.records import Frozen


class PrivacyConfig(Frozen):
    """Identifiers in free text (names, dates, numbers ...): what happens where they are found before training.

    Patterns find what a title, a label or a form gives away, no more: texts must be de-identified where they come
    from. Looked at are features of kind text, and categories without declared `values`.
    """

    identifiers: Literal["block", "mask", "allow"] = "block"
    """block: refuse the source. mask: write [NAME], [DATE] ... instead. allow: keep them, counted. With block and
    mask the adapter carries the rule, so that prediction masks as well."""
    kinds: tuple[Kind, ...] = KINDS
    """What counts: all kinds of HIPAA's Safe Harbor list that patterns find; `age` is one over 89."""
    why: str = ""
    """allow: the reason, which stands in every report."""

    @property
    def masked(self) -> tuple[Kind, ...]:
        """The kinds that no model may read."""
        return () if self.identifiers == "allow" else self.kinds

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.identifiers == "allow" and not self.why.strip():
            raise ValueError("identifiers: allow needs `privacy.why`, the reason")
        if not self.kinds:
            raise ValueError("kinds: name at least one, or say `identifiers: allow` and why")
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError("kinds: one stands twice")
        return self
