"""A random Llama of a few thousand parameters with tokenizer and chat template: tests must be fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
ROLES = {"eos_token": "<|end|>", "pad_token": "<|pad|>"}


def build(folder: Path, *, hidden: int = 32, layers: int = 2, context: int = 512) -> Path:
    """Write the base to `folder`. Byte-level, one token a byte, but for a few merges of the corpus below."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["yes no maybe nothing change not sure mean radius"] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ROLES)
    fast.add_special_tokens({"additional_special_tokens": SPECIAL[1:3]})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=3,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def of_kind(folder: Path, kind: str, **more: Any) -> Path:
    """A random base of another architecture (its `model_type`), with the tiny base's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    build(folder)
    shape: dict[str, Any] = {
        "vocab_size": len(AutoTokenizer.from_pretrained(folder)),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "bos_token_id": None,
        "initializer_range": 0.2,
    }
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**shape, **more}))
    model.save_pretrained(folder)
    return folder
