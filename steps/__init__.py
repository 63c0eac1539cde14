"""One file a stage: unpack, call one function of primum, return. Rows of patients never travel between steps."""

import primum.stack.materializers  # noqa: F401 - registers how our values are stored
