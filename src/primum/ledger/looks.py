"""What an entry must hold, and which look a request gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import sqlalchemy as sa

from primum.errors import BadInput
from primum.ledger.chain import Entry, Kind
from primum.ledger.store import select
from primum.records import Look


def check_entry(kind: str, payload: Mapping[str, Any]) -> None:
    """Raises BadInput for an entry that `Ledger.record` does not write."""
    recorded = [known for known in get_args(Kind) if known not in ("look", "exhausted")]
    if kind not in recorded:
        raise BadInput(f"'{kind}' cannot be recorded; use one of {', '.join(recorded)}")
    if kind == "override" and not all(str(payload.get(key) or "").strip() for key in ("by", "why")):
        raise BadInput("an override needs `by` (a person) and `why`; give both")


def look_of(entry: Entry) -> Look:
    """The look that an entry holds."""
    payload = entry.payload
    return Look(
        holdout=entry.holdout,
        number=payload["number"],
        planned=payload["planned"],
        alpha=payload["alpha"],
        entry_hash=entry.hash,
    )


def unfinished(connection: sa.Connection, asked: Mapping[str, str], where: Mapping[str, str]) -> Look | None:
    """The last look at the holdout, where exactly this was asked then and no decision came of it."""
    last = next(iter(select(connection, 1, kind=("look", "exhausted"), **where)), None)
    if last is None or any(last.payload.get(key) != value for key, value in asked.items()):
        return None
    decided = (e.payload for e in select(connection, None, kind="decision", holdout=where["holdout"]))
    named = {found["verdict"]["evidence"]["look"]["entry_hash"] for found in decided if "verdict" in found}
    return None if last.hash in named else look_of(last)


def check_plan(earlier: tuple[Entry, ...], planned: int, alpha: float) -> None:
    """Raises BadInput where the first look at the holdout fixed another plan."""
    if not earlier:
        return
    first = earlier[0].payload
    if (first["planned"], first["holdout_alpha"]) != (planned, alpha):
        was = f"{first['planned']} looks at alpha {first['holdout_alpha']:g}"
        raise BadInput(
            f"this holdout was opened under {was}; keep that plan (not {planned} looks at {alpha:g}) "
            "until the next holdout"
        )
