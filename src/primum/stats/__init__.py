"""Statistics of paired comparisons: pure numpy and scipy, no I/O, no clock, generators are arguments."""
