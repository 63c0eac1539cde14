"""How every benchmark is written down: date, hardware, versions, and rows of what, ours, theirs, ratio, goal, met."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def row(what: str, ours: float, theirs: float | None, goal: str, met: bool) -> dict[str, Any]:
    """One comparison; `theirs` is None where the goal is a bound and no other side was run."""
    ratio = None if not theirs else ours / theirs
    return {"what": what, "ours": ours, "theirs": theirs, "ratio": ratio, "goal": goal, "met": bool(met)}


def write(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    libraries: Sequence[str],
    out: Path = RESULTS,
    **details: Any,
) -> None:
    """Write `out`/NAME.json; `details` follow the rows."""
    out.mkdir(parents=True, exist_ok=True)
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": hardware(),
        "versions": {
            "python": platform.python_version(),
            **{library: importlib.metadata.version(library) for library in libraries},
        },
        "rows": list(rows),
        **details,
    }
    (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def hardware() -> str:
    """Processor, cores and memory in words, without the machine's name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(": ")[2] if named else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"
