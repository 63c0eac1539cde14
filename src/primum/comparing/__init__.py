"""Models side by side: the same records, the same tuning, no holdout opened."""
