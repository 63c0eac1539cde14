"""Makes `primum-base`: trains the tokenizer and a small Llama on the synthetic worlds.

Matrices inside the layers are trained with Muon (Jordan 2024; torch.optim.Muon), embeddings and norms with
AdamW. The loss is the cross-entropy of the answers plus lighter ones of the values and of the rest.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from primum.backends.base import Progress
from primum.backends.torch.corpus import ANSWER, OTHER, PADDING, VALUE, Encoded, batches, to_tensors
from primum.backends.torch.judge import judge_worlds
from primum.pretraining.card import LICENSE, model_card
from primum.pretraining.config import PretrainConfig, PretrainReport
from primum.pretraining.lexicon import BINARY_ANSWERS, MODIFIERS, NOUNS
from primum.pretraining.tokenizer import CHAT_TEMPLATE, END, PAD, train_tokenizer
from primum.pretraining.worlds import Worlds

OTHER_SHARE = 0.25
TOKENIZER_CONVERSATIONS = 4000
TOKENIZER_SEED = 1_000_004


def pretrain(config: PretrainConfig, out_dir: Path, progress: Progress | None = None) -> PretrainReport:
    """Make the base model folder `out_dir` (config, weights, tokenizer with chat template, training log).

    The folder appears complete or not at all; what stood there before under the same names is replaced.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        return _pretrain(config, out_dir, progress)
    finally:
        torch.set_num_threads(before)


def _pretrain(config: PretrainConfig, out_dir: Path, progress: Progress | None) -> PretrainReport:
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
        weights_sha256=hashlib.sha256((draft / "model.safetensors").read_bytes()).hexdigest(),
    )
    _describe(draft, config, report)
    _move(draft, out_dir)
    return report


def make_tokenizer(config: PretrainConfig, worlds: Worlds) -> PreTrainedTokenizerFast:
    """Train the tokenizer on conversations of another seed and on the words of the lexicon."""
    stream = worlds.stream(config.seed + TOKENIZER_SEED, ramp=1)
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
        initializer_range=0.05,
        rms_norm_eps=1e-5,
        use_cache=True,
        dtype="float32",
    )
    return LlamaForCausalLM(shape)


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
    for batch in batches(config, worlds, tokenizer):
        factor = _rate(config, seen / config.tokens)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimizer.zero_grad(set_to_none=True)
        losses = _losses(model, batch, rng)
        loss = losses["answer_loss"] + config.value_loss_weight * losses["value_loss"]
        (loss + config.other_loss_weight * losses["other_loss"]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += sum(len(e.ids) for e in batch)
        written = {name: round(float(value.detach()), 4) for name, value in losses.items()}
        log.append({"step": len(log) + 1, "tokens": seen, **written})
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


def _losses(
    model: LlamaForCausalLM, batch: list[Encoded], rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """Mean cross-entropy of the answer tokens, of the values and of the rest, each by its name.

    Of the rest a random part is judged: its logits would cost more than they teach.
    """
    ids, kinds = to_tensors(batch)
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
    target, kind = ids[:, 1:].flatten(), kinds[:, 1:].flatten()
    kept = (kind != OTHER) | torch.from_numpy(rng.random(len(kind)) < OTHER_SHARE)
    chosen = (kept & (kind != PADDING)).nonzero()[:, 0]
    losses = functional.cross_entropy(model.lm_head(hidden[chosen]), target[chosen], reduction="none")
    named = {"answer_loss": ANSWER, "value_loss": VALUE, "other_loss": OTHER}
    return {name: losses[kind[chosen] == value].mean().nan_to_num() for name, value in named.items()}


def _draft(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, log: list[dict[str, float]], out_dir: Path
) -> Path:
    """Write model, tokenizer and log under a temporary name beside `out_dir`."""
    draft = out_dir.with_name(out_dir.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model.save_pretrained(draft)
    (draft / "model.safetensors").chmod(0o644)
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
