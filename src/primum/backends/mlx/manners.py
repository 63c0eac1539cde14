"""What keeps mlx-lm's `train()` from showing, writing and leaving behind things of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from mlx_lm.tuner import trainer as tuner


class _Silent:
    """Stands for mlx-lm's own display: progress is ours to show."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self) -> None: ...

    def report_train(self, *_: object) -> None: ...


@contextmanager
def own_display(model: Any) -> Iterator[None]:
    """Keep mlx-lm's bars away; afterwards its module and the layers' class are as before."""
    kind, library = type(model.layers[0]), cast(Any, tuner)
    call, display = kind.__call__, library.TrainUI
    library.TrainUI = _Silent
    try:
        yield
    finally:
        kind.__call__ = call  # checkpointing replaces it for the whole class
        library.TrainUI = display


@contextmanager
def nowhere(folder: Path) -> Iterator[Path]:
    """A file name that `train()` saves its last adapter to, which nobody reads."""
    path = folder / "unused.safetensors"
    path.unlink(missing_ok=True)
    path.symlink_to(os.devnull)
    try:
        yield path
    finally:
        path.unlink()
