"""How `primum-base` is made: synthetic worlds in, a model folder out."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from primum.pretraining.config import PretrainConfig
from steps.pretrain import pretrain


@pipeline(name="pretrain", execution_mode=ExecutionMode.FAIL_FAST)
def pretrain_pipeline(config: PretrainConfig, out_dir: str) -> None:
    """Seeded worlds -> tokenizer -> training -> judgement on held-out worlds -> model folder with its card."""
    pretrain(config, out_dir)
