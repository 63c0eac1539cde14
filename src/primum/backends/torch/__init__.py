"""The torch backend (CPU and CUDA): transformers for the base, peft for the adapter, trl for the training."""

import os

# Read when huggingface_hub is first imported: no library may report what is trained here.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
