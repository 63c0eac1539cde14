"""The pointer file of a task's split: its name, which version it names, and whether git has it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from primum.records import ALL_SITES, SplitVersion

SPLITS = Path("data") / "splits"
"""Where split folders and their pointer files lie, under the workspace root."""
SPLIT_HASH = r"[0-9a-f]{32}\.dir"
"""What a split version looks like."""


def slug(site: str) -> str:
    """The site as part of a file's or model's name; a hash keeps names apart that would become one."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", site.lower())[:80]
    return plain if plain == site != "" else f"{plain}-{hashlib.sha256(site.encode()).hexdigest()[:6]}"


def split_name(task: str, site: str) -> str:
    """The name of the folder and the pointer file of the split of a task at a site."""
    return task if site == ALL_SITES else f"{task}@{slug(site)}"


def pointed(root: Path, task: str, site: str = ALL_SITES) -> str | None:
    """The split version that the pointer file of `task` at `site` names."""
    path = root / SPLITS / f"{split_name(task, site)}.dvc"
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
