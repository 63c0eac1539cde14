"""Identifiers in free text before training, and what an adapter remembers after it."""
