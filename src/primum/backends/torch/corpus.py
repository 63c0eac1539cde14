"""Conversations of the synthetic worlds as token ids, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from primum.pretraining.config import PretrainConfig
from primum.pretraining.tokenizer import END
from primum.pretraining.worlds import Conversation, Turn, Worlds

OTHER, VALUE, ANSWER, PADDING = range(4)
"""What a token belongs to."""
POOL = 1024
"""Conversations that are sorted by length together, so that a batch holds hardly any padding."""
MEAN_TOKENS = 180
"""Of a conversation within the ramp, about."""


class Encoded(NamedTuple):
    """One conversation: token ids, what each of them belongs to, and where each answer starts."""

    ids: list[int]
    kinds: list[int]
    """Per token: OTHER, VALUE (sign or digit of a record) or ANSWER."""
    starts: list[int]
    """Index of the first answer token of each turn."""
    conversation: Conversation


def encode(tokenizer: PreTrainedTokenizerBase, conversations: list[Conversation]) -> list[Encoded]:
    """Tokens of the conversations, exactly those that the chat template makes."""
    pieces = [piece for c in conversations for turn in c.turns for piece in _pieces(turn)]
    ids = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    values = value_tokens(tokenizer)
    encoded = []
    for conversation in conversations:
        tokens: list[int] = []
        kinds: list[int] = []
        starts = []
        for _ in conversation.turns:
            prompt, answer = next(ids), next(ids)
            starts.append(len(tokens) + len(prompt))
            tokens += prompt + answer
            kinds += [VALUE if t in values else OTHER for t in prompt]
            kinds += [ANSWER] * len(answer)
        encoded.append(Encoded(tokens, kinds, starts, conversation))
    return encoded


def value_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that a written number consists of: a sign after a name, or a digit."""
    texts = (f"x: {sign}00" for sign in "+-")
    signs = {tokenizer(text, add_special_tokens=False)["input_ids"][-3] for text in texts}
    digits = (tokenizer(digit, add_special_tokens=False)["input_ids"][-1] for digit in "0123456789")
    return signs | set(digits)


def _pieces(turn: Turn) -> tuple[str, str]:
    return f"<|user|>{turn.message}{END}<|assistant|>", turn.answer + END


def batches(
    config: PretrainConfig, worlds: Worlds, tokenizer: PreTrainedTokenizerBase
) -> Iterator[list[Encoded]]:
    """Endless batches of about `batch_tokens` tokens, each of conversations of nearly one length."""
    rng = np.random.default_rng([config.seed, 3])
    stream = worlds.stream(config.seed, ramp=max(1, int(config.ramp_ratio * config.tokens / MEAN_TOKENS)))
    while pool := list(islice(stream, POOL)):
        fitting = [e for e in encode(tokenizer, pool) if len(e.ids) <= config.longest]
        fitting.sort(key=lambda e: len(e.ids))
        batches: list[list[Encoded]] = [[]]
        for e in fitting:
            if (len(batches[-1]) + 1) * len(e.ids) > config.batch_tokens:
                batches.append([])
            batches[-1].append(e)
        for i in rng.permutation(len(batches)):
            if batches[i]:
                yield batches[i]


def to_tensors(batch: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and kinds (batch, longest), padded on the right, where causal attention never looks."""
    longest = max(len(e.ids) for e in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    kinds = torch.full((len(batch), longest), PADDING)
    for i, e in enumerate(batch):
        ids[i, : len(e.ids)] = torch.tensor(e.ids)
        kinds[i, : len(e.ids)] = torch.tensor(e.kinds)
    return ids, kinds
