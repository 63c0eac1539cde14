"""What was found in a table of generated texts: page, tables, examples."""

from primum.reports.texts.files import write_texts
from primum.reports.texts.terminal import print_texts

__all__ = ["print_texts", "write_texts"]
