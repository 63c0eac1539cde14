"""Primum fine-tunes LoRA adapters on clinical records and promotes them only when the evidence allows."""

__version__ = "0.1.0"
