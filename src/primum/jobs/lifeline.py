"""A process that ends with the one that started it, whatever ended that one.

Standard input is a pipe whose other end the starter holds open and never writes to again. The system closes it
when the starter ends, a kill -9 and a broken SSH connection included. This file needs the standard library only.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path


def hold(private: Path | None = None) -> None:
    """Watch standard input from now on; at its end, remove the folder `private` and kill this process group.

    The group, because loaders and compilers that this process started must not outlive it either.
    """
    threading.Thread(target=_watch, args=(private,), daemon=True, name="lifeline").start()


def _watch(private: Path | None) -> None:
    while os.read(0, 4096):
        pass
    let_go(private)


def let_go(private: Path | None) -> None:
    """Remove the folder and kill this process group: nobody waits for it any more."""
    if private is not None:
        shutil.rmtree(private, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)
