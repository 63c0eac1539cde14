"""What `primum ledger show` prints: one line an entry, one row a holdout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from primum.ledger import Entry, HoldoutStatus


def entry_line(entry: Entry) -> str:
    """Time, kind, what it is about, its hash, and the gist of what it holds, on one line whatever was typed."""
    who = f"{entry.task}@{entry.site}"
    line = f"{entry.time} {entry.kind:<10} {who} {entry.hash[:12]} {_gist(entry)}".rstrip()
    return "".join(sign if sign.isprintable() else " " for sign in line)


def _gist(entry: Entry) -> str:
    payload: dict[str, Any] = entry.payload
    if entry.kind in ("look", "exhausted"):
        return f"{payload['number']} of {payload['planned']} at {entry.holdout}, alpha {payload['alpha']:.4g}"
    if entry.kind == "decision":
        verdict = payload.get("verdict", {})
        return " on ".join(str(part) for part in (verdict.get("outcome"), entry.holdout) if part)
    if entry.kind == "rotation":
        made = f"generation {payload['generation']}: {entry.holdout}, {payload['patients']} new patients"
        return f"{made}, follows {payload['from']}"
    if "watched" in payload:
        return str(payload["watched"])
    which = f"v{payload['version']}" if "version" in payload else ""
    who = f"by {payload['by']}: " if "by" in payload else ""
    return " ".join(part for part in (which, f"{who}{payload.get('why', '')}") if part)


def holdouts_table(holdouts: Iterable[HoldoutStatus]) -> Table:
    """Looks used, alpha left and whether a new holdout is due, for each holdout that was opened."""
    table = Table(title="Holdouts", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "holdout"):
        table.add_column(heading, overflow="fold")
    for heading in ("looks", "alpha left"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("rotation")
    for h in holdouts:
        table.add_row(
            Text(f"{h.task}@{h.site}"),
            Text(h.holdout),
            f"{h.looks_used} of {h.planned}",
            f"{h.alpha_left:.4g}",
            _rotation(h),
        )
    return table


def _rotation(h: HoldoutStatus) -> Text:
    """Whether a next holdout is needed; where one was made, this one is history."""
    if h.rotated:
        return Text("done: a next holdout was made")
    if h.rotation_due:
        return Text("due: no look is left", style="bold yellow")
    if h.looks_left == 1:
        return Text("soon: one look is left", style="yellow")
    return Text("not due")
