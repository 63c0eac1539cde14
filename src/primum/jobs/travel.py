"""What travels to another machine by its content: our code, a base model, an adapter."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import primum
from primum.backends.base_files import files_of
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS, sha256


@dataclass(frozen=True)
class Tree:
    """Files under relative paths; its hash is its folder's name over there."""

    files: dict[str, Path]

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """Relative path -> SHA-256 of the content."""
        return {name: _hash(path, path.stat().st_mtime_ns) for name, path in sorted(self.files.items())}

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 (64 hex digits) over paths and contents."""
        return hashlib.sha256(json.dumps(self.hashes, sort_keys=True).encode()).hexdigest()


def code() -> Tree:
    """The package as it lies here, the embedded base included."""
    root = Path(primum.__file__).parent
    found = (p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return Tree({f"primum/{p.relative_to(root)}": p for p in found})


def base(folder: Path) -> Tree:
    """The files that a base is known by, in a folder of the same name."""
    return Tree({f"{folder.resolve().name}/{path.name}": path for path in files_of(folder)})


def adapter(folder: Path) -> Tree:
    """An adapter's two files."""
    return Tree({f"adapter/{name}": folder / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)})


@functools.cache
def _hash(path: Path, written: int) -> str:
    """`written` (ns) makes a file that changed a new question."""
    return sha256(path)
