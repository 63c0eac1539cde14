"""Several tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from primum.errors import BadInput


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p-values (m,): those at most alpha are rejected with family-wise error alpha.

    Step-down: the i-th smallest of m is multiplied by m - i + 1, never below the one before it, never above 1.
    Valid however the tests depend on one another (Holm 1979, Scand J Stat 6:65-70). Raises BadInput for values
    outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise BadInput("p-values must be a list of numbers between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
