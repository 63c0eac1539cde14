"""How `primum-base` is made: every default of the shipped model, once."""

from __future__ import annotations

from pydantic import Field

from primum.records import Frozen


class PretrainConfig(Frozen):
    """Data, shape and training of the base. The same config and machine give the same model."""

    seed: int = 0
    threads: int = Field(default=1, ge=1)
    """CPU threads: their number decides the last bits of the sums, hence the weights."""
    tokens: int = Field(default=8_000_000, gt=0)
    """Training stops at the first batch that reaches this many tokens."""
    vocab_size: int = Field(default=1536, ge=512)
    hidden_size: int = Field(default=128, ge=16)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    intermediate_size: int = Field(default=384, ge=16)
    context: int = Field(default=2048, ge=256)
    """Positions of the shipped model; training sees up to `longest` of them."""
    longest: int = Field(default=420, ge=64)
    """Tokens of the longest training conversation; longer ones are left out."""
    ramp_ratio: float = Field(default=0.25, gt=0)
    """Share of training in which records grow to their full length."""
    conditions: int = Field(default=16, ge=1)
    """Made-up conditions whose rule lasts through the corpus, to be learned into the weights."""
    batch_tokens: int = Field(default=2048, gt=0)
    muon_learning_rate: float = Field(default=0.003, gt=0)
    """Muon, for the matrices inside the layers (update scaled to AdamW's RMS)."""
    adam_learning_rate: float = Field(default=0.002, gt=0)
    """AdamW, for embeddings and norms."""
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    cooldown_ratio: float = Field(default=0.5, gt=0, le=1)
    """Share of training over which the learning rates fall linearly to zero."""
    value_loss_weight: float = Field(default=0.2, ge=0)
    """Weight of the loss on the records' numbers: to foresee them is to read those before."""
    other_loss_weight: float = Field(default=0.05, ge=0)
    """Weight of the loss on everything else."""
    judge_contexts: int = Field(default=1500, ge=8)
    """Held-out conversations that the report judges accuracy on."""


class PretrainReport(Frozen):
    """What pretraining made."""

    path: str
    parameters: int
    tokens: int
    steps: int
    seconds: float
    accuracy: dict[str, float]
    """Kind of held-out world -> share of answers that were right."""
    chance: dict[str, float]
    """Kind of held-out world -> accuracy of guessing among the allowed answers."""
    weights_sha256: str
