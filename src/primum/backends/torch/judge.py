"""Judges a base model: on held-out synthetic worlds, and by fine-tuning it against random weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from primum.backends.base import Recipe
from primum.backends.torch.corpus import encode, to_tensors
from primum.pretraining.config import PretrainConfig
from primum.pretraining.worlds import Worlds
from primum.prompts import RenderedFeature, Renderer, fit_feature
from primum.records import Frozen

JUDGE_RECIPE = Recipe(ranks=(8,), learning_rate=2e-3, batch_size=8, epochs=6, patience=6)
TRAIN, VALIDATION = 0.5, 0.15
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


class Judgement(Frozen):
    """Macro-F1 on the test part, one figure per seed."""

    base: str
    """The folder's name, or `random weights`."""
    zero_shot: tuple[float, ...]
    adapter: tuple[float, ...]
    """At the epoch that was best on validation, the later one of equals."""
    parameters: int


class Judged(Frozen):
    """A labelled set to judge on; it is held in memory and never written anywhere."""

    name: str
    question: str
    features: tuple[RenderedFeature, ...]
    records: tuple[dict[str, float | str | None], ...]
    labels: tuple[str, ...]
    """The verbalizer of each record."""
    verbalizers: tuple[str, ...]


def judge_base(
    folder: Path,
    data: Judged,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    random_weights: bool = False,
    recipe: Recipe = JUDGE_RECIPE,
) -> Judgement:
    """Fine-tune the base in `folder` once per seed (50/15/35 stratified split) and score the test part.

    With `random_weights` the same shape and tokenizer without the pretrained weights: the control that tells
    what pretraining brings. Standardising statistics come from each training part alone.
    """
    runs = [_one_seed(folder, data, seed, random_weights, recipe) for seed in seeds]
    return Judgement(
        base="random weights" if random_weights else folder.name,
        zero_shot=tuple(run[0] for run in runs),
        adapter=tuple(run[1] for run in runs),
        parameters=runs[0][2],
    )


def _one_seed(
    folder: Path, data: Judged, seed: int, random_weights: bool, recipe: Recipe
) -> tuple[float, float, int]:
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if random_weights:
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    else:
        model = AutoModelForCausalLM.from_pretrained(folder)
    parameters = model.num_parameters()
    gold = np.array([data.verbalizers.index(label) for label in data.labels])
    train, validation, test = _split(gold, seed)
    prompts = _encode(tokenizer, _messages(data, train))
    words = tokenizer(list(data.verbalizers), add_special_tokens=False)["input_ids"]
    answers = [[*word, tokenizer.eos_token_id] for word in words]

    def macro_f1(rows: np.ndarray) -> float:
        predicted = _predict(model, [prompts[i] for i in rows], [answer[0] for answer in answers])
        return round(float(f1_score(gold[rows], predicted, average="macro")), 4)

    zero_shot = macro_f1(test)
    rank = recipe.ranks[0]
    lora = LoraConfig(r=rank, lora_alpha=int(rank * recipe.alpha_ratio), target_modules="all-linear")
    model = get_peft_model(model, lora)
    best, adapter = -1.0, 0.0
    for _ in _train_epochs(model, prompts, answers, gold, train, recipe, seed):
        reached = macro_f1(validation)
        if reached >= best:
            best, adapter = reached, macro_f1(test)
    return zero_shot, adapter, parameters


def _split(gold: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.arange(len(gold))
    train, rest = train_test_split(rows, train_size=TRAIN, stratify=gold, random_state=seed)
    share = VALIDATION / (1 - TRAIN)
    validation, test = train_test_split(rest, train_size=share, stratify=gold[rest], random_state=seed)
    return train, validation, test


def _messages(data: Judged, train: np.ndarray) -> list[str]:
    features = tuple(
        fit_feature(f, [_number(data.records[i].get(f.column)) for i in train]) if f.kind == "number" else f
        for f in data.features
    )
    renderer = Renderer(
        question=data.question,
        numbers="standardised",
        features=features,
        verbalizers={v: v for v in data.verbalizers},
    )
    return [renderer.message(record) for record in data.records]


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def _encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[str]) -> list[list[int]]:
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": message}], add_generation_prompt=True, tokenize=False
        )
        for message in messages
    ]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def _predict(model: torch.nn.Module, prompts: Sequence[Sequence[int]], first: Sequence[int]) -> np.ndarray:
    """Per prompt (n,) the answer whose first token is the most probable one."""
    model.eval()
    predicted = np.zeros(len(prompts), dtype=int)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        ids = _pad([prompts[i] for i in rows], 0)
        logits = model(input_ids=ids, use_cache=False).logits
        for logit, i in zip(logits, rows, strict=True):
            predicted[i] = int(logit[len(prompts[i]) - 1][list(first)].argmax())
    return predicted


def _train_epochs(  # noqa: PLR0913 - one call, each argument named there
    model: torch.nn.Module,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    gold: np.ndarray,
    train: np.ndarray,
    recipe: Recipe,
    seed: int,
) -> Iterator[int]:
    """Train on the answers alone, classes equally often, cosine after warm-up; yields after every epoch."""
    rng = np.random.default_rng(seed)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    per_epoch = math.ceil(len(train) / recipe.batch_size)
    total = per_epoch * recipe.epochs
    for epoch in range(recipe.epochs):
        rows = _balanced(rng, train, gold)
        model.train()
        for step in range(per_epoch):
            batch = rows[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _cosine(epoch * per_epoch + step, total, recipe)
            loss = _answer_loss(model, [prompts[i] for i in batch], [answers[gold[i]] for i in batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
            optimizer.step()
        yield epoch


def _balanced(rng: np.random.Generator, train: np.ndarray, gold: np.ndarray) -> np.ndarray:
    classes = np.unique(gold)
    size = math.ceil(len(train) / len(classes))
    drawn = [np.resize(rng.permutation(train[gold[train] == k]), size) for k in classes]
    return rng.permutation(np.concatenate(drawn))[: len(train)]


def _cosine(step: int, total: int, recipe: Recipe) -> float:
    warmup = max(1.0, recipe.warmup_ratio * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def _answer_loss(
    model: torch.nn.Module, prompts: Sequence[list[int]], answers: Sequence[list[int]]
) -> torch.Tensor:
    ids = _pad([p + a for p, a in zip(prompts, answers, strict=True)], 0)
    target = _pad([[-100] * len(p) + a for p, a in zip(prompts, answers, strict=True)], -100)
    logits = model(input_ids=ids, use_cache=False).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten())


def _pad(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
