"""One file a pipeline: the way of the data, readable on one screen."""
