"""Train one LoRA adapter: trl's SFTTrainer on pre-tokenized prompts and completions.

Only the completion (the verbalizer and the end of the turn) carries loss (`labels` is -100 elsewhere). The
validation part is scored after every epoch through the very function that scores the holdout later.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from primum.backends import training
from primum.backends.base import Progress, Recipe
from primum.backends.torch.base_model import Base
from primum.backends.torch.scoring import Tree, build_tree, score_tokens
from primum.errors import BadInput, PrimumError
from primum.records import Candidate, Example, TrainingLog

log = logging.getLogger(__name__)
_LARGE = 500_000_000
"""Parameters from which activations are recomputed in the backward pass to save memory."""


def finetune(
    base: Base, inputs: training.TrainingInputs, out_dir: Path, progress: Progress | None
) -> Candidate:
    """Train, continue, or return what a finished call left. See `Backend.finetune`."""
    candidate = training.begin(out_dir, inputs.content_hash())
    if candidate is not None:
        return candidate
    whole = training.sealed(out_dir)
    if not whole or not training.is_over(whole[-1][1], inputs.recipe):
        with _reproducible(base.device):
            _train(base, inputs, out_dir, whole[-1] if whole else None, progress)
        whole = training.sealed(out_dir)
    return _conclude(out_dir, inputs, whole, base)


def _train(
    base: Base,
    inputs: training.TrainingInputs,
    out_dir: Path,
    resume: tuple[Path, tuple[TrainingLog, ...]] | None,
    progress: Progress | None,
) -> None:
    watch = _Epochs(base, inputs, out_dir, resume[1] if resume else (), progress)
    trainer = _make_trainer(base, inputs, out_dir, watch)
    try:
        trainer.train(resume_from_checkpoint=str(resume[0]) if resume else None)
    except _Diverged as stop:
        if not training.sealed(out_dir):
            raise PrimumError(
                f"training diverged: {stop}, before any epoch was finished; lower model.recipe.learning_rate"
            ) from None
        log.warning("rank %d: training diverged: %s; the best epoch before it is kept", inputs.rank, stop)


class _Diverged(Exception):  # noqa: N818
    pass


class _Trainer(SFTTrainer):
    """SFTTrainer with Primum's order of records, and a stop at the first loss that is not finite."""

    inputs: training.TrainingInputs
    losses: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        rows: Any = self.train_dataset
        return _Order(self.inputs, [len(tokens) for tokens in rows["input_ids"]])

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.losses.append(float(loss))
        if not math.isfinite(self.losses[-1]):  # before the optimizer can spread it over the weights
            raise _Diverged(f"the loss is not finite at step {self.state.global_step + 1}")
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, *_: Any, num_items_in_batch: Any = None, **__: Any
    ) -> Any:
        """Mean negative log-probability of the completion tokens; logits are made where they stand only.

        Batches are padded on the right, where a causal model's completions cannot see: no mask is needed,
        which is the faster kernel.
        """
        labels = inputs["labels"][:, 1:]
        places = (labels != -100).any(dim=0).nonzero().flatten()
        logits = model(input_ids=inputs["input_ids"], use_cache=False, logits_to_keep=places).logits
        wanted = labels[:, places]
        total = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), reduction="sum"
        )
        return total / (wanted != -100).sum()

    def _send_telemetry(self) -> None:
        """Nothing about a hospital's training leaves the machine; trl would report it to its hub."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no card."""


class _Order(torch.utils.data.Sampler):
    """The indices of one epoch after the other; the trainer says which epoch it is."""

    def __init__(self, inputs: training.TrainingInputs, lengths: list[int]) -> None:
        self._inputs = inputs
        self._lengths = lengths
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(
            training.epoch_order(
                [str(e.answer) for e in self._inputs.examples],
                self._epoch,
                self._inputs.seed,
                balanced=self._inputs.recipe.class_balanced,
                lengths=self._lengths,
                batch=self._inputs.recipe.batch_size,
            )
        )


class _Epochs(TrainerCallback):
    """After an epoch: score the validation part, log, stop early. After a save: seal the checkpoint."""

    def __init__(
        self,
        base: Base,
        inputs: training.TrainingInputs,
        out_dir: Path,
        entries: Sequence[TrainingLog],
        progress: Progress | None,
    ) -> None:
        self.entries = list(entries)
        self.losses: list[float] = []
        self._base, self._inputs, self._out_dir, self._progress = base, inputs, out_dir, progress
        self._prompts = base.chat.prompts([e.prompt for e in inputs.validation])
        self._gold = [inputs.labels.index(str(e.answer)) for e in inputs.validation]
        self._tree: Tree = build_tree([base.chat.answer(v) for v in inputs.labels], base.chat.end_of_turn)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()
        self.losses.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._progress:
            steps = state.max_steps // self._inputs.recipe.epochs
            what = f"epoch {len(self.entries) + 1} of {self._inputs.recipe.epochs}"
            self._progress(what, (state.global_step - 1) % steps + 1, steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        model = kwargs["model"]
        model.eval()
        scores = score_tokens(model, self._prompts, self._tree, self._base.chat.pad)
        model.train()
        macro_f1, loss = training.judge(self._gold, scores)
        self.entries.append(
            TrainingLog(
                epoch=len(self.entries) + 1,
                train_loss=sum(self.losses) / len(self.losses),
                validation_macro_f1=macro_f1,
                validation_loss=loss,
                seconds=time.perf_counter() - self._started,
            )
        )
        control.should_training_stop |= training.is_over(self.entries, self._inputs.recipe)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        training.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", self.entries)
        training.prune(self._out_dir)


def _make_trainer(base: Base, inputs: training.TrainingInputs, out_dir: Path, watch: _Epochs) -> _Trainer:
    model = base.shared_copy()
    try:
        trainer = _Trainer(
            model=model,
            args=_arguments(base, inputs, out_dir),
            train_dataset=_dataset(base, inputs.examples),
            processing_class=base.chat.tokenizer,
            peft_config=_lora(inputs.recipe, inputs.rank),
            callbacks=[watch],
        )
    except ValueError as error:
        if "arget modules" in str(error) or "lm_head" in str(error):
            raise BadInput(
                "model.recipe.target_modules: not linear layers of this base, or its lm_head; use all-linear"
            ) from None
        raise
    trainer.remove_callback(PrinterCallback)  # progress is ours to show
    trainer.inputs, trainer.losses = inputs, watch.losses
    return trainer


def _dataset(base: Base, examples: Sequence[Example]) -> Dataset:
    prompts = base.chat.prompts([e.prompt for e in examples])
    answers = {e.answer: [*base.chat.answer(str(e.answer)), base.chat.end_of_turn] for e in examples}
    pairs = [(p, answers[e.answer]) for p, e in zip(prompts, examples, strict=True)]
    return Dataset.from_dict(
        {"input_ids": [[*p, *a] for p, a in pairs], "labels": [[-100] * len(p) + a for p, a in pairs]}
    )


def _lora(recipe: Recipe, rank: int) -> LoraConfig:
    targets = recipe.target_modules
    return LoraConfig(
        r=rank,
        lora_alpha=recipe.alpha_ratio * rank,  # type: ignore[arg-type]
        lora_dropout=recipe.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _arguments(base: Base, inputs: training.TrainingInputs, out_dir: Path) -> SFTConfig:
    recipe = inputs.recipe
    return SFTConfig(
        output_dir=str(out_dir / training.CHECKPOINTS),
        seed=inputs.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_ratio,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        dataset_kwargs={"skip_prepare_dataset": True},  # tokenized by base.chat, as for scoring
        max_length=None,
        save_strategy="epoch",
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        bf16=False,
        use_cpu=base.device.type == "cpu",
        activation_checkpointing=base.model.num_parameters() > _LARGE,
        dataloader_pin_memory=False,
    )


def _conclude(
    out_dir: Path,
    inputs: training.TrainingInputs,
    whole: Sequence[tuple[Path, tuple[TrainingLog, ...]]],
    base: Base,
) -> Candidate:
    entries = whole[-1][1]
    best = training.best_epoch(entries).epoch
    folder = next(f for f, log_ in whole if log_[-1].epoch == best)
    weights = folder / training.ADAPTER_WEIGHTS
    config = json.loads((folder / training.ADAPTER_CONFIG).read_text(encoding="utf-8"))
    # A folder of this machine would be written here, and the set of modules in an order of its own.
    config |= {"base_model_name_or_path": base.id, "target_modules": sorted(config["target_modules"])}
    return training.finish(out_dir, inputs, entries, weights=weights, config=config)


@contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, and the process's random states as they were afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.use_deterministic_algorithms(True)
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            random.setstate(states[0])
            np.random.set_state(states[1])
