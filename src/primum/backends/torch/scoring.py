"""Score verbalizers and generate text with a causal language model.

All K verbalizers of a prompt are scored in one forward pass: their tokens are appended to the prompt as a
tree (tree attention, as in SpecInfer, Miao et al. 2024, arXiv:2305.09781), where a token sees the prompt
and its own ancestors only and takes the position that it would have alone. Prompts are padded on the left,
so the tree and the prompt's last token stand in the same columns of every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from primum.backends.base import GenerationLimits, Progress
from primum.backends.torch.chat import Chat
from primum.errors import BadInput

_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 16384}


@dataclass(frozen=True)
class Tree:
    """The verbalizers' tokens, common beginnings only once.

    Column 0 is the prompt's last token, column i + 1 is node i. `steps[k]` lists, for verbalizer k, the
    (column, token) pairs whose log-probabilities add up to its own.
    """

    tokens: tuple[int, ...]
    depth: tuple[int, ...]
    sees: np.ndarray
    """(T, T) bool: node i attends to node j."""
    steps: tuple[tuple[tuple[int, int], ...], ...]


def build_tree(answers: Sequence[Sequence[int]], end_of_turn: int) -> Tree:
    """Build the tree of the answers' tokens.

    Where one answer begins another ("no", "no change"), the events "the answer begins with ..." are nested
    and the short one could never lose, so every answer then ends in `end_of_turn`, which makes them
    disjoint. Otherwise they are disjoint already, and no end is asked for: a full stop after the label
    costs nothing.
    """
    sequences = [tuple(a) for a in answers]
    if any(a != b and b[: len(a)] == a for a in sequences for b in sequences):
        sequences = [(*s, end_of_turn) for s in sequences]
    prefixes = sorted({s[:i] for s in sequences for i in range(1, len(s))}, key=lambda p: (len(p), p))
    column = {(): 0, **{p: i + 1 for i, p in enumerate(prefixes)}}
    sees = np.array([[a[: len(b)] == b for b in prefixes] for a in prefixes], dtype=bool)
    return Tree(
        tokens=tuple(p[-1] for p in prefixes),
        depth=tuple(len(p) for p in prefixes),
        sees=sees.reshape(len(prefixes), len(prefixes)),
        steps=tuple(tuple((column[s[:i]], s[i]) for i in range(len(s))) for s in sequences),
    )


def score_tokens(
    model: Any, prompts: Sequence[Sequence[int]], tree: Tree, pad: int, progress: Progress | None = None
) -> np.ndarray:
    """Normalised log-probabilities (n, K), float64; non-finite where the model's are.

    A batch has the shape that its length bucket fixes (spare rows are filled up), so the kernels do the same
    work in the same order for a row whatever stands beside it, and its bits do not depend on it.
    """
    _check_tree(model.config.get_text_config(), tree, max(map(len, prompts), default=0))
    result = np.full((len(prompts), len(tree.steps)), np.nan)
    done = 0
    for width, rows in _batches([len(p) for p in prompts], model.device.type):
        full = [*rows, *([rows[0]] * (_rows(width, model.device.type) - len(rows)))]
        logits = _forward(model, [prompts[i] for i in full], width, tree, pad)
        result[rows] = _labels(logits, tree)[: len(rows)]
        done += len(rows)
        if progress:
            progress("scoring", done, len(prompts))
    return result


def _check_tree(config: Any, tree: Tree, longest: int) -> None:
    """Refuse a tree where the base's layers would not keep to its mask: recurrent ones, sliding windows."""
    recurrent = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    window = getattr(config, "sliding_window", None)
    if tree.tokens and (recurrent or (window and longest + max(tree.depth) > window)):
        raise BadInput(
            "prompt.verbalizers: this base cannot score answers of several tokens on prompts of this length; "
            "choose words that its tokenizer keeps whole and that begin differently"
        )


def _labels(logits: torch.Tensor, tree: Tree) -> np.ndarray:
    """(rows, 1 + T, vocabulary) logits -> (rows, K) log-probabilities normalised over the K verbalizers."""
    log_probs = torch.log_softmax(logits.float(), dim=-1).cpu().double()
    sums = [sum(log_probs[:, column, token] for column, token in steps) for steps in tree.steps]
    return torch.log_softmax(torch.stack(sums, dim=1), dim=1).numpy()  # type: ignore[arg-type]


def _width(length: int) -> int:
    """Bucket of a prompt: one spare column at least, in steps of a sixteenth of its size (16 at least)."""
    step = max(16, 1 << max(0, length.bit_length() - 5))
    return -(-(length + 1) // step) * step


def _rows(width: int, device: str) -> int:
    return max(1, _TOKENS_PER_BATCH.get(device, 2048) // width)


def _batches(lengths: Sequence[int], device: str) -> list[tuple[int, list[int]]]:
    buckets: dict[int, list[int]] = {}
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        buckets.setdefault(_width(lengths[index]), []).append(index)
    return [
        (width, rows[i : i + _rows(width, device)])
        for width, rows in buckets.items()
        for i in range(0, len(rows), _rows(width, device))
    ]


@torch.inference_mode()
def _forward(model: Any, prompts: list[Sequence[int]], width: int, tree: Tree, pad: int) -> torch.Tensor:
    """Logits (rows, 1 + T, vocabulary) at the prompt's last token and at the tree's nodes."""
    gaps = torch.tensor([width - len(p) for p in prompts])
    nodes = len(tree.tokens)
    ids = torch.tensor([[pad] * (width - len(p)) + [*p, *tree.tokens] for p in prompts])
    places = torch.arange(width) - gaps[:, None]
    last = places[:, -1:]
    positions = torch.cat([places.clamp(min=0), last + torch.tensor([tree.depth], dtype=torch.long)], dim=1)
    # Without a tree the plain padding mask works for every architecture, sliding windows included.
    mask = _tree_mask(gaps, width, tree, model.dtype) if nodes else (places >= 0).long()
    output = model(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        position_ids=positions.to(model.device),
        logits_to_keep=nodes + 1,
        use_cache=False,
    )
    return output.logits


def _tree_mask(gaps: torch.Tensor, width: int, tree: Tree, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (rows, 1, L, L): causal over the prompt, tree-shaped over the nodes, padding unseen."""
    size = width + len(tree.tokens)
    sees = torch.ones(size, size, dtype=torch.bool).tril()
    sees[width:, width:] = torch.from_numpy(tree.sees)
    columns = torch.arange(size)
    seen = sees & (columns >= gaps[:, None, None])
    seen |= torch.eye(size, dtype=torch.bool)  # a padding row must see something, or its softmax is NaN
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]


@torch.inference_mode()
def generate_texts(
    model: Any,
    chat: Chat,
    prompts: Sequence[Sequence[int]],
    limits: GenerationLimits,
    progress: Progress | None,
) -> list[str]:
    """Greedy completions, cut before the first stop string."""
    texts = [""] * len(prompts)
    done = 0
    for _, rows in _batches([len(p) for p in prompts], model.device.type):
        width = max(len(prompts[i]) for i in rows)
        ids = torch.tensor([[chat.pad] * (width - len(prompts[i])) + list(prompts[i]) for i in rows])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in rows])
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=limits.max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=_ends(model, chat),
            pad_token_id=chat.pad,
            **({"stop_strings": list(limits.stop), "tokenizer": chat.tokenizer} if limits.stop else {}),
        )
        for i, row in zip(rows, output[:, width:].tolist(), strict=True):
            texts[i] = _cut(chat.text(row), limits.stop)
        done += len(rows)
        if progress:
            progress("generating", done, len(prompts))
    return texts


def _ends(model: Any, chat: Chat) -> list[int]:
    own = model.generation_config.eos_token_id
    return sorted({chat.end_of_turn, *(own if isinstance(own, list) else [own])} - {None})


def _cut(text: str, stop: Sequence[str]) -> str:
    places = [text.find(s) for s in stop if s in text]
    return text[: min(places)] if places else text
