"""The pointer file of a task's split: which version it names, and whether git has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from primum.records import SplitVersion

SPLITS = Path("data") / "splits"
"""Where split folders and their pointer files lie, under the workspace root."""
SPLIT_HASH = r"[0-9a-f]{32}\.dir"
"""What a split version looks like."""


def pointed(root: Path, task: str) -> str | None:
    """The split version that the pointer file of `task` names."""
    path = root / SPLITS / f"{task}.dvc"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = re.search(rf"md5: ({SPLIT_HASH})", text)
    return found[1] if found else None


def pointer_note(root: Path, version: SplitVersion) -> str | None:
    """None when git's HEAD holds the pointer file of this version, else the line that makes it so."""
    pointer = f"{version.path}.dvc"
    if _git(root, "rev-parse", "--git-dir") is None:
        return f"no git repository here: keep {pointer} yourself, it is the key to split {version.dvc_hash}"
    if version.dvc_hash in (_git(root, "show", f"HEAD:./{pointer}") or ""):
        return None
    return f"git add {pointer} && git commit -m 'Split {version.task} {version.dvc_hash[:12]}' -- {pointer}"


def _git(root: Path, *words: str) -> str | None:
    """What git says, or None where it (or the repository) is missing or refuses."""
    git = shutil.which("git")
    if git is None or not root.is_dir():
        return None
    command = [git, "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    return done.stdout if done.returncode == 0 else None
