"""Make the embedded base model anew."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

from primum.backends import pretrain_base
from primum.pretraining.config import PretrainConfig, PretrainReport
from primum.progress import show


@step(enable_cache=False)  # whoever asks for a pretraining wants one
def pretrain(config: PretrainConfig, out_dir: str) -> Annotated[PretrainReport, "pretrain_report"]:
    """Train tokenizer and model on synthetic worlds and leave the complete model folder in `out_dir`."""
    report = pretrain_base(config, Path(out_dir), progress=show)
    log_metadata({"tokens": report.tokens, "weights_sha256": report.weights_sha256, **report.accuracy})
    return report
