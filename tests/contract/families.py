"""Tiny random bases with the chat templates of the model families: their tokens and structure, in our own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_base

CHATML = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
THINKING_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + date_string + '\\n\\n<|eot_id|>' }}"
    "{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
INSTRUCTIONS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ raise_exception('roles are user and assistant') }}{% endif %}{% endfor %}"
)
PIPED = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim }}"
    "{{ '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
REASONING = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% elif m.role == 'assistant' %}"
    "{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """What a family's tokenizer, template and architecture look like, and what must come of them."""

    kind: str
    """transformers' model_type."""
    template: str
    prompt: str
    """The rendered user message `Ill?` with the generation prompt."""
    end: str
    """The token that ends the assistant's turn."""
    special: tuple[str, ...] = ()
    """Special tokens that the tokenizer's configuration does not name."""
    plain: tuple[str, ...] = ()
    """Tokens of the template that are not even marked as special."""
    named: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    """Shape of the architecture."""


_LLAMA = Family(
    kind="llama",
    template=HEADERS,
    prompt="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul 2024\n\n<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nIll?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    end="<|eot_id|>",
    special=("<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_0|>"),
    named={"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    more={
        "rope_parameters": {
            "rope_theta": 500000.0,
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
)
FAMILIES = {
    "llama-3.2-3b": _LLAMA,
    "llama-3.1-8b": _LLAMA,
    "mistral-7b": Family(
        kind="mistral",
        template=INSTRUCTIONS,
        prompt="<s>[INST] Ill?[/INST]",
        end="</s>",
        special=("[INST]", "[/INST]"),
        named={"bos_token": "<s>", "eos_token": "</s>"},
        more={"sliding_window": None},
    ),
    "phi-3-mini": Family(
        kind="phi3",
        template=PIPED,
        prompt="<|user|>\nIll?<|end|>\n<|assistant|>\n",
        end="<|end|>",
        special=("<|user|>", "<|end|>", "<|assistant|>"),
        named={"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        more={"original_max_position_embeddings": 512},
    ),
    "qwen2.5-7b": Family(
        kind="qwen2",
        template=CHATML,
        prompt="<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nIll?<|im_end|>\n<|im_start|>assistant\n",
        end="<|im_end|>",
        special=("<|im_start|>",),
        named={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    ),
    "qwen3-4b": Family(
        kind="qwen3",
        template=THINKING_CHATML,
        prompt="<|im_start|>user\nIll?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        end="<|im_end|>",
        special=("<|im_start|>",),
        plain=("<think>", "</think>"),
        named={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        more={"head_dim": 8},
    ),
    "gemma-2-9b": Family(
        kind="gemma2",
        template=TURNS,
        prompt="<bos><start_of_turn>user\nIll?<end_of_turn>\n<start_of_turn>model\n",
        end="<end_of_turn>",
        special=("<start_of_turn>", "<end_of_turn>"),
        named={"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
        more={
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "sliding_window": 512,
            "tie_word_embeddings": True,
        },
    ),
    "deepseek-r1-distill": Family(
        kind="qwen2",
        template=REASONING,
        prompt="<｜begin▁of▁sentence｜><｜User｜>Ill?<｜Assistant｜><think>\n\n</think>\n\n",
        end="<｜end▁of▁sentence｜>",
        plain=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        named={"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"},
    ),
}


def build(folder: Path, family: Family) -> Path:
    """Write a random base of the family to `folder`: a few thousand parameters, one token a byte."""
    tokenizer = _tokenizer(family)
    tiny_base.of_kind(
        folder,
        family.kind,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **family.more,
    )
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["yes no maybe nothing change not sure mean radius"] * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in family.special])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in family.plain])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **family.named)
    fast.chat_template = family.template
    return fast
