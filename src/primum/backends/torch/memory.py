"""Out of memory in one line, with the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from primum.errors import Unavailable
from primum.failures import LESS_MEMORY, is_out_of_memory

_MENDS = {
    "training": LESS_MEMORY,
    "scoring": "not even one prompt at a time fits: set model.quantisation: nf4, shorten the prompts "
    "(prompt.truncate with a smaller model.max_length) or take a smaller base",
}
_OTHERS = "set model.quantisation: nf4 or model.dtype: bfloat16, or take a smaller base or a larger machine"


@contextmanager
def out_of_memory_in_one_line(what: str) -> Iterator[None]:
    """Turn memory's end during `what` (`training`, `scoring`, ...) into one line that says the mend.

    Raises Unavailable; any other exception passes as it is.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise Unavailable(f"out of memory in {what}: {_MENDS.get(what, _OTHERS)}") from None


def release() -> None:
    """Give freed blocks back to the device, before something smaller is tried."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
