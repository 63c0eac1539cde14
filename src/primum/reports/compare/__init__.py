"""Pages, tables and the figure of a comparison of models."""

from primum.reports.compare.files import write_comparison
from primum.reports.compare.page import comparison_page
from primum.reports.compare.terminal import print_comparison

__all__ = ["comparison_page", "print_comparison", "write_comparison"]
