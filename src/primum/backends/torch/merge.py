"""Merge an adapter into a copy of its base: a model that needs no PEFT."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM

from primum.errors import BadInput


def merge(base_folder: Path, adapter_dir: Path, out_dir: Path, dtype: str) -> None:
    """Write config.json, generation_config.json and safetensors of base plus adapter to `out_dir`.

    The base is loaded anew, in `dtype` or, for `auto`, as its files hold it: nothing in memory is touched. Raises
    BadInput when the adapter does not fit, or merged weights are not finite.
    """
    transformers.utils.logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        base_folder,
        dtype="auto" if dtype == "auto" else getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
    )
    try:
        merged = PeftModel.from_pretrained(model, str(adapter_dir)).merge_and_unload(safe_merge=True)
    except Exception as error:  # peft, safetensors and torch each raise their own
        raise BadInput(f"{adapter_dir}: cannot be merged into its base ({type(error).__name__})") from None
    merged.save_pretrained(out_dir)
    for file in out_dir.glob("*.safetensors"):
        file.chmod(0o644)  # the library writes them for the owner alone
