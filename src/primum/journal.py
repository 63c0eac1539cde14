"""What a long run has finished, kept on disk: one that was killed goes on with the next stage."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from primum.records import Frozen

T = TypeVar("T", bound=Frozen)


def once(folder: Path, name: str, kind: type[T], make: Callable[[], T]) -> T:
    """The value that an earlier call left in `folder` under `name`, else what `make` gives, left there whole."""
    path = folder / f"{name}.json"
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        made = make()
    keep(path, made)
    return made


def keep(path: Path, value: Frozen) -> None:
    """Write a value as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(value.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
