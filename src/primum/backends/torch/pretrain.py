"""Makes `primum-base`: trains the tokenizer and a small Llama on the synthetic worlds.

Matrices inside the layers are trained with Muon (Jordan 2024; torch.optim.Muon), embeddings and norms with
AdamW. The loss is the cross-entropy of the answers plus a lighter one of everything else.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from primum.backends.base import Progress
from primum.pretraining.card import LICENSE, model_card
from primum.pretraining.config import PretrainConfig, PretrainReport
from primum.pretraining.lexicon import BINARY_ANSWERS, MODIFIERS, NOUNS
from primum.pretraining.tokenizer import CHAT_TEMPLATE, END, PAD, train_tokenizer
from primum.pretraining.worlds import Conversation, Turn, Worlds

POOL = 1024
"""Conversations that are sorted by length together, so that a batch holds hardly any padding."""
PROMPT_SHARE = 0.25
TOKENIZER_CONVERSATIONS = 4000
HELD_OUT_SEED = 1_000_003


class Encoded(NamedTuple):
    """One conversation: token ids, which of them belong to answers, and where each answer starts."""

    ids: list[int]
    is_answer: list[bool]
    starts: list[int]
    """Index of the first answer token of each turn."""
    conversation: Conversation


def pretrain(config: PretrainConfig, out_dir: Path, progress: Progress | None = None) -> PretrainReport:
    """Make the base model folder `out_dir` (config, weights, tokenizer with chat template, training log).

    The folder appears complete or not at all; what stood there before under the same names is replaced.
    """
    torch.manual_seed(config.seed)
    worlds = Worlds.from_seed(config.seed, config.conditions)
    tokenizer = make_tokenizer(config, worlds)
    model = make_model(config, tokenizer)
    started = time.perf_counter()
    log = _train(config, worlds, model, tokenizer, progress)
    seconds = time.perf_counter() - started
    accuracy, chance = judge_worlds(config, worlds, model, tokenizer)
    draft = _draft(model, tokenizer, log, out_dir)
    report = PretrainReport(
        path=str(out_dir),
        parameters=model.num_parameters(),
        tokens=int(log[-1]["tokens"]),
        steps=len(log),
        seconds=seconds,
        accuracy=accuracy,
        chance=chance,
        threads=torch.get_num_threads(),
        weights_sha256=hashlib.sha256((draft / "model.safetensors").read_bytes()).hexdigest(),
    )
    _describe(draft, config, report)
    _move(draft, out_dir)
    return report


def make_tokenizer(config: PretrainConfig, worlds: Worlds) -> PreTrainedTokenizerFast:
    """Train the tokenizer on conversations of another seed and on the words of the lexicon."""
    stream = worlds.stream(config.seed + HELD_OUT_SEED + 1, ramp=1)
    conversations = islice(stream, TOKENIZER_CONVERSATIONS)
    texts = [text for c in conversations for turn in c.turns for text in (turn.message, turn.answer)]
    words = [*NOUNS, *MODIFIERS, *(word for pair in BINARY_ANSWERS for word in pair)]
    return PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer([*texts, *words * 20], config.vocab_size),
        eos_token=END,
        pad_token=PAD,
        model_max_length=config.context,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def make_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama with random weights; the global torch seed decides them."""
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
        rms_norm_eps=1e-5,
        use_cache=True,
        dtype="float32",
    )
    return LlamaForCausalLM(shape)


def encode(tokenizer: PreTrainedTokenizerFast, conversations: list[Conversation]) -> list[Encoded]:
    """Tokens of the conversations, exactly those that the chat template makes."""
    pieces = [piece for c in conversations for turn in c.turns for piece in _pieces(turn)]
    ids = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    encoded = []
    for conversation in conversations:
        tokens: list[int] = []
        is_answer: list[bool] = []
        starts = []
        for _ in conversation.turns:
            prompt, answer = next(ids), next(ids)
            starts.append(len(tokens) + len(prompt))
            tokens += prompt + answer
            is_answer += [False] * len(prompt) + [True] * len(answer)
        encoded.append(Encoded(tokens, is_answer, starts, conversation))
    return encoded


def _pieces(turn: Turn) -> tuple[str, str]:
    return f"<|user|>{turn.message}{END}<|assistant|>", turn.answer + END


def _train(
    config: PretrainConfig,
    worlds: Worlds,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    progress: Progress | None,
) -> list[dict[str, float]]:
    optimizers = _optimizers(config, model)
    rng = np.random.default_rng([config.seed, 4])
    model.train()
    log: list[dict[str, float]] = []
    seen = 0
    for batch in _batches(config, worlds, tokenizer):
        factor = _rate(config, seen / config.tokens)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimizer.zero_grad(set_to_none=True)
        answer_loss, prompt_loss, correct = _losses(model, batch, rng)
        (answer_loss + config.prompt_loss_weight * prompt_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += sum(len(e.ids) for e in batch)
        log.append(
            {
                "step": len(log) + 1,
                "tokens": seen,
                "answer_loss": round(float(answer_loss.detach()), 4),
                "prompt_loss": round(float(prompt_loss.detach()), 4),
                "answer_token_accuracy": round(float(correct), 4),
            }
        )
        if progress is not None:
            what = f"pretrain, answer loss {log[-1]['answer_loss']:.3f}"
            progress(what, min(seen, config.tokens), config.tokens)
        if seen >= config.tokens:
            break
    return log


def _optimizers(config: PretrainConfig, model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices,
            lr=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=config.adam_learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _rate(config: PretrainConfig, done: float) -> float:
    """Share of the full learning rate: linear warm-up, plateau, linear fall to (almost) zero."""
    warm = min(1.0, (done + 1e-3) / (config.warmup_ratio + 1e-3))
    return min(warm, max(0.01, (1 - done) / config.cooldown_ratio))


def _batches(
    config: PretrainConfig, worlds: Worlds, tokenizer: PreTrainedTokenizerFast
) -> Iterator[list[Encoded]]:
    """Endless batches of about `batch_tokens` tokens, each of conversations of nearly one length."""
    rng = np.random.default_rng([config.seed, 3])
    stream = worlds.stream(config.seed, ramp=max(1, int(config.ramp_ratio * config.tokens / 180)))
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


def _losses(
    model: LlamaForCausalLM, batch: list[Encoded], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean cross-entropy of answer tokens and of the others, and the share of answer tokens that were right.

    Of the others a random quarter is judged: their logits would cost more than they teach.
    """
    ids, is_answer, is_prompt = _tensors(batch)
    is_prompt &= torch.from_numpy(rng.random(ids.shape) < PROMPT_SHARE)
    answer, prompt = (mask[:, 1:].flatten().nonzero()[:, 0] for mask in (is_answer, is_prompt))
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
    chosen = torch.cat([answer, prompt])
    logits, target = model.lm_head(hidden[chosen]), ids[:, 1:].flatten()[chosen]
    losses = functional.cross_entropy(logits, target, reduction="none")
    correct = (logits.detach().argmax(-1) == target)[: len(answer)].float().mean()
    return losses[: len(answer)].mean(), losses[len(answer) :].mean(), correct


def _tensors(batch: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids padded on the right (causal attention never looks there), masks of answer and prompt tokens."""
    longest = max(len(e.ids) for e in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    is_answer = torch.zeros(len(batch), longest, dtype=torch.bool)
    is_prompt = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, e in enumerate(batch):
        ids[i, : len(e.ids)] = torch.tensor(e.ids)
        is_answer[i, : len(e.ids)] = torch.tensor(e.is_answer)
        is_prompt[i, : len(e.ids)] = ~is_answer[i, : len(e.ids)]
    return ids, is_answer, is_prompt


@torch.no_grad()
def judge_worlds(
    config: PretrainConfig, worlds: Worlds, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
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
        logits = model(input_ids=_tensors(batch)[0], use_cache=False).logits
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


def _draft(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, log: list[dict[str, float]], out_dir: Path
) -> Path:
    """Write model, tokenizer and log under a temporary name beside `out_dir`."""
    draft = out_dir.with_name(out_dir.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    with (draft / "training_log.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(log[0]))
        writer.writeheader()
        writer.writerows(log)
    return draft


def _describe(draft: Path, config: PretrainConfig, report: PretrainReport) -> None:
    figures = report.model_dump(mode="json", exclude={"path"})
    made = {"config": config.model_dump(mode="json"), "report": figures}
    (draft / "pretrain.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (draft / "README.md").write_text(model_card(config, report), encoding="utf-8")
    (draft / "LICENSE").write_text(LICENSE, encoding="utf-8")


def _move(draft: Path, out_dir: Path) -> None:
    """Put the finished folder in the place of the old one, if any."""
    old = out_dir.with_name(out_dir.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out_dir.exists():
        out_dir.replace(old)
    draft.replace(out_dir)
    shutil.rmtree(old, ignore_errors=True)
