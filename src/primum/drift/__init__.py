"""What changed at a site: its current window against the training records of the champion that serves there.

`compare` is the way in. Evidently is imported in `evidently_tests` alone, and only when something is tested.
"""

from primum.drift.performance import performance
from primum.drift.renamed import renamed
from primum.drift.report import compare
from primum.drift.scored import About, Scored

__all__ = ["About", "Scored", "compare", "performance", "renamed"]
