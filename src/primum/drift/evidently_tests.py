"""The only place that imports Evidently (0.7): its two-sample test, and its page for download.

Methods are pinned per column type: Evidently's own choice changes at 1,000 reference records from p-values to
distances. Its registered tests are called as they are, which costs 1 ms a column at 500 records; a `Report`
draws its figures in any case and costs 60 ms, so it is made for the page alone. Both ways give the same p
(held by a test).

Numbers have Evidently's `ks`. Categories have a test of our own, registered with Evidently as it documents:
its `chisquare` takes the shares of the reference as known without error (at equal sizes it calls 27% of
harmless windows of four categories significant at 0.05), its `fisher_exact` asks for samples of equal size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from primum.errors import Unavailable
from primum.stats.drift import Homogeneity, homogeneity

NUMBER, CATEGORY = "ks", "primum_homogeneity"


@dataclass(frozen=True)
class Pair:
    """One column on both sides, recorded values alone: at least one each."""

    name: str
    kind: Literal["number", "category"]
    reference: NDArray[Any]
    current: NDArray[Any]


def ks_p(reference: NDArray[Any], current: NDArray[Any]) -> float:
    """Evidently's Kolmogorov-Smirnov p: exact up to 10,000 records on the larger side, asymptotic above."""
    tests, kinds = _evidently()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy says when it takes the asymptotic form
        found = tests.ks_stat_test(
            pd.Series(reference), pd.Series(current), feature_type=kinds.Numerical, threshold=0.05
        )
    return float(found.drift_score)


def write_page(pairs: Sequence[Pair], path: Path, alpha: float) -> None:
    """Write Evidently's HTML of these columns (4 MB), whole or not at all. Raises Unavailable as the disk does."""
    _evidently()
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    names = {kind: [p.name for p in pairs if p.kind == kind] for kind in ("number", "category")}
    definition = DataDefinition(numerical_columns=names["number"], categorical_columns=names["category"])
    reference, current = (
        Dataset.from_pandas(
            pd.DataFrame({p.name: pd.Series(getattr(p, side)) for p in pairs}), data_definition=definition
        )
        for side in ("reference", "current")
    )
    methods = {"number": NUMBER, "category": CATEGORY}
    metrics = [ValueDrift(column=p.name, method=methods[p.kind], threshold=alpha) for p in pairs]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        snapshot = Report(metrics).run(current, reference)
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(part))
        part.replace(path)
    except OSError as error:
        raise Unavailable(f"{path}: Evidently's page cannot be written ({error.strerror}); mend it") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@cache
def _evidently() -> tuple[Any, Any]:
    """Evidently's stat tests and column types, our own test registered; 8 s the first time."""
    from evidently.legacy.calculations import stattests
    from evidently.legacy.core import ColumnType

    stattests.register_stattest(
        stattests.StatTest(
            name=CATEGORY, display_name="homogeneity p_value", allowed_feature_types=[ColumnType.Categorical]
        ),
        default_impl=_homogeneity,
    )
    return stattests, ColumnType


def _homogeneity(
    reference: pd.Series, current: pd.Series, feature_type: Any, threshold: float
) -> tuple[float, bool]:
    _, counts = category_counts(reference.to_numpy(dtype=object), current.to_numpy(dtype=object))
    p = category_test(counts).p
    return p, p < threshold


def category_test(counts: NDArray[np.int64]) -> Homogeneity:
    """Our test of a table (2, K); where it draws tables, always the same ones."""
    return homogeneity(counts, np.random.default_rng(0))


def category_counts(
    reference: NDArray[Any], current: NDArray[Any]
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The values of either side in order, and how often each stands there: (K,), (2, K)."""
    sides = [pd.Series(side).value_counts() for side in (reference, current)]
    table = pd.concat(sides, axis=1).fillna(0).sort_index()
    return table.index.to_numpy(dtype=object), table.to_numpy(dtype=np.int64).T
