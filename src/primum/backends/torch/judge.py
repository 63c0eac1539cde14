"""Judges a base model on held-out synthetic worlds. On real sets: benchmarks/base_model.py."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from primum.backends.torch.corpus import encode, to_tensors
from primum.pretraining.config import PretrainConfig
from primum.pretraining.worlds import Worlds

HELD_OUT_SEED = 1_000_003


@torch.no_grad()
def judge_worlds(
    config: PretrainConfig, worlds: Worlds, model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase
) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy per kind of world on conversations that training never saw, and the accuracy of guessing.

    The answer is the allowed one with the most probable first token. Open answers are left out; of in-context
    worlds only the last turn counts, which has all the labelled records before it.
    """
    rng = np.random.default_rng([config.seed, HELD_OUT_SEED])
    encoded = encode(tokenizer, [worlds.conversation(rng) for _ in range(config.judge_contexts)])
    encoded = sorted((e for e in encoded if len(e.ids) <= config.longest), key=lambda e: len(e.ids))
    hits: dict[str, list[bool]] = {}
    guesses: dict[str, list[float]] = {}
    model.eval()
    for i in range(0, len(encoded), 16):
        batch = encoded[i : i + 16]
        logits = model(input_ids=to_tensors(batch)[0], use_cache=False).logits
        for row, e in zip(logits, batch, strict=True):
            turns = list(zip(e.conversation.turns, e.starts, strict=True))
            for turn, start in turns[-1:] if e.conversation.kind == "in_context" else turns:
                if len(turn.answers) < 2:
                    continue
                first = [tokenizer.encode(a, add_special_tokens=False)[0] for a in turn.answers]
                said = turn.answers[int(row[start - 1][first].argmax())]
                hits.setdefault(e.conversation.kind, []).append(said == turn.answer)
                guesses.setdefault(e.conversation.kind, []).append(1 / len(turn.answers))
    return (
        {kind: round(float(np.mean(h)), 4) for kind, h in sorted(hits.items())},
        {kind: round(float(np.mean(g)), 4) for kind, g in sorted(guesses.items())},
    )
