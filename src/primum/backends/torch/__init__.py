"""The torch backend (CPU and CUDA): transformers for the base, peft for the adapter, trl for the training."""
