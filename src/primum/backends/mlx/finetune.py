"""Train one LoRA adapter with mlx-lm's tuner, one call of its `train()` an epoch.

What the tuner leaves to its caller is given here: order and batches (no record is dropped), the loss over the
completion's tokens only, transformers' cosine schedule, clipped gradients, the adapter's first weights. Between
two calls the validation part is scored through the very function that scores the holdout later, and adapter and
optimizer are sealed; randomness within an epoch is a function of seed and epoch, so nothing else must be kept.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_unflatten
from mlx_lm.tuner import trainer as tuner
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.datasets import CacheDataset
from safetensors.numpy import load_file, save

from primum.backends import epochs, training
from primum.backends.base import Progress, Recipe, Run
from primum.backends.mlx.adapters import (
    adapter_arrays,
    adapter_of,
    chosen_modules,
    insert,
    own_random_numbers,
    to_array,
)
from primum.backends.mlx.base_model import Base, flat
from primum.backends.mlx.batches import Batch, completion_loss, micro_batches, text_likelihood, tokens_of
from primum.backends.mlx.convert import peft_config, peft_shapes, read_peft, write_peft
from primum.backends.mlx.manners import nowhere, own_display
from primum.backends.mlx.optimizer import ClippedAdamW, learning_rates
from primum.backends.mlx.scoring import Parts, check_tree, score_tokens, split
from primum.backends.starts import files_of, require_fit, require_unchanged
from primum.backends.tree import build_tree
from primum.errors import BadInput, PrimumError
from primum.records import Candidate, TrainingLog

log = logging.getLogger(__name__)
_LARGE = 500_000_000
"""Parameters from which activations are recomputed in the backward pass to save memory."""
_OPTIMIZER = "optimizer.safetensors"
Sealed = tuple[Path, tuple[TrainingLog, ...]]


def finetune(base: Base, inputs: training.TrainingInputs, run: Run, progress: Progress | None) -> Candidate:
    """Train, continue, or return what a finished call left. See `Backend.finetune`."""
    out_dir = Path(run.out_dir)
    _check_recipe(inputs.recipe)
    model = base.shared_copy()
    chosen = chosen_modules(base, model, inputs.recipe)
    candidate = training.begin(out_dir, inputs.content_hash())
    if candidate is not None:
        return candidate
    whole = training.sealed(out_dir)
    if not whole or not epochs.is_over(whole[-1][1], inputs.recipe):
        _Training(base, inputs, model, chosen, run, progress).learn(whole[-1] if whole else None)
        whole = training.sealed(out_dir)
    return _conclude(base, inputs, run, whole)


def _check_recipe(recipe: Recipe) -> None:
    """Refuse what the tuner cannot do, before anything is trained."""
    wanted = {
        "packing": recipe.packing,
        "neftune_alpha": recipe.neftune_alpha is not None,
        f"optimizer: {recipe.optimizer}": recipe.optimizer != "adamw",
        # MLX draws other random numbers when it computes again, so the gradients would be wrong.
        "gradient_checkpointing with dropout": recipe.gradient_checkpointing is True and recipe.dropout > 0,
    }
    for key, is_set in wanted.items():
        if is_set:
            raise BadInput(
                f"model.recipe.{key}: not on the mlx backend; leave it out, or set stack.backend: cpu or cuda"
            )


class _Diverged(Exception):  # noqa: N818
    pass


class _Training:
    """One candidate while it is trained."""

    def __init__(  # noqa: PLR0913
        self,
        base: Base,
        inputs: training.TrainingInputs,
        model: Any,
        modules: list[str],
        run: Run,
        progress: Progress | None,
    ) -> None:
        self._base, self._inputs, self._model, self._run = base, inputs, model, run
        self._out_dir = Path(run.out_dir)
        self._recipe, self._progress = inputs.recipe, progress
        self._dora = self._recipe.variant == "dora"
        self._scale = _scale(self._recipe, inputs.rank)
        insert(model, modules, inputs.rank, self._scale, self._recipe.dropout, dora=self._dora)
        _initialise(model, inputs.seed)
        model.eval()
        self._parts: Parts = split(model)
        self._prompts, self._answers = tokens_of(base, inputs.examples)
        self._steps = -(-len(inputs.examples) // self._recipe.batch_size)
        self._optimizer = ClippedAdamW(
            learning_rates(self._recipe, self._steps * self._recipe.epochs), self._recipe
        )
        self._optimizer.init(model.trainable_parameters())
        self._figures = self._labels() if inputs.labels else self._texts()

    def learn(self, resume: Sealed | None) -> None:
        """Train epoch by epoch to the end. Raises PrimumError when it diverges before the first one is kept."""
        entries = list(resume[1]) if resume else []
        if resume:
            self._restore(resume[0])
        elif self._run.start:
            self._start()
            entries.append(self._judged(0, None, time.perf_counter()))
        try:
            while not epochs.is_over(entries, self._recipe):
                entries.append(self._epoch(epochs.last_epoch(entries)))
                self._seal(entries)
        except _Diverged as stop:
            if not training.sealed(self._out_dir):
                raise PrimumError(
                    f"training diverged: {stop}, before any epoch was finished; lower model.recipe.learning_rate"
                ) from None
            log.warning(
                "rank %d: training diverged: %s; the best epoch before it is kept", self._inputs.rank, stop
            )

    def _epoch(self, epoch: int) -> TrainingLog:
        started = time.perf_counter()
        losses = self._learn(epoch)
        self._model.eval()
        return self._judged(epoch + 1, sum(losses) / len(losses), started)

    def _judged(self, epoch: int, train_loss: float | None, started: float) -> TrainingLog:
        macro_f1, loss = self._figures()
        return TrainingLog(
            epoch=epoch,
            train_loss=train_loss,
            validation_macro_f1=macro_f1,
            validation_loss=loss,
            seconds=time.perf_counter() - started,
        )

    def _labels(self) -> Callable[[], tuple[float, float]]:
        """What judges an epoch by the label that is found most probable."""
        part, labels, chat = self._inputs.validation, self._inputs.labels, self._base.chat
        prompts = chat.prompts([e.prompt for e in part])
        gold = [labels.index(str(e.answer)) for e in part]
        tree = build_tree([chat.answer(v) for v in labels], chat.end_of_turn)
        check_tree(self._model, tree, max(map(len, prompts)))  # now, not after an epoch
        return lambda: epochs.judge(gold, score_tokens(self._parts, prompts, tree, chat.pad))

    def _texts(self) -> Callable[[], tuple[float, float]]:
        """What judges an epoch by how probable the answers are found."""
        rows = list(zip(*tokens_of(self._base, self._inputs.validation), strict=True))
        return lambda: epochs.judge_texts(text_likelihood(self._parts, rows, self._base.chat.pad))

    def _learn(self, epoch: int) -> list[float]:
        """One epoch through mlx-lm's `train()`; returns the losses of its (micro-)batches."""
        batches = self._batches(epoch)
        count = len(batches) // self._steps
        watch = _Watch(self._recipe.epochs, epoch, self._steps, count, self._progress)
        checkpoint = self._checkpoint(epoch + 1)
        checkpoint.mkdir(parents=True, exist_ok=True)
        seed = int(np.random.SeedSequence([self._inputs.seed, epoch]).generate_state(1, np.uint64)[0])
        with own_random_numbers(seed), own_display(self._model), nowhere(checkpoint) as unused:
            tuner.train(
                model=self._model,
                optimizer=self._optimizer,
                train_dataset=CacheDataset([]),
                args=tuner.TrainingArgs(
                    iters=len(batches),
                    steps_per_report=1,
                    steps_per_save=len(batches) + 1,
                    adapter_file=str(unused),
                    grad_checkpoint=self._checkpointing(),
                    grad_accumulation_steps=count,
                ),
                loss=lambda _, *batch: completion_loss(self._parts, Batch(*batch)),
                iterate_batches=lambda **_: iter(batches),
                training_callback=watch,
            )
        return watch.losses

    def _batches(self, epoch: int) -> list[Batch]:
        order = epochs.epoch_order(
            [str(e.answer) for e in self._inputs.examples],
            epoch,
            self._inputs.seed,
            balanced=self._recipe.class_balanced and bool(self._inputs.labels),
            lengths=[len(p) + len(a) for p, a in zip(self._prompts, self._answers, strict=True)],
            batch=self._recipe.batch_size,
        )
        rows = [(self._prompts[i], self._answers[i]) for i in order]
        size = self._recipe.batch_size
        return micro_batches(rows, size, self._recipe.micro_batch_size or size, self._base.chat.pad)

    def _checkpointing(self) -> bool:
        wanted = self._recipe.gradient_checkpointing
        if wanted != "auto":
            return wanted
        return (
            not self._recipe.dropout
            and sum(a.size for a in flat(self._base.model.parameters()).values()) > _LARGE
        )

    def _checkpoint(self, epochs: int) -> Path:
        return self._out_dir / training.CHECKPOINTS / f"checkpoint-{epochs * self._steps}"

    def _seal(self, entries: Sequence[TrainingLog]) -> None:
        folder = self._checkpoint(epochs.last_epoch(entries))
        arrays = adapter_arrays(self._model)
        adapter = adapter_of(arrays, self._inputs.rank, self._scale, self._recipe.dropout, dora=self._dora)
        config = peft_config(adapter, self._base.id, rslora=self._recipe.variant == "rslora")
        write_peft(folder, adapter, config)
        state = {name: np.array(array) for name, array in flat(self._optimizer.state).items()}
        (folder / _OPTIMIZER).write_bytes(save(state))
        training.seal(folder, entries)
        training.prune(self._out_dir)

    def _start(self) -> None:
        """Take the start's weights. Raises BadInput where they are of another shape."""
        shapes = {name: tuple(array.shape) for name, array in adapter_arrays(self._model).items()}
        names = {name for name, _ in self._base.model.named_modules()}
        require_fit(self._run, peft_shapes(shapes), names, self._base.id)
        self._read(Path(str(self._run.start)))
        require_unchanged(self._run, self._inputs)

    def _read(self, folder: Path) -> None:
        adapter, _ = read_peft(folder)
        arrays = [(name, to_array(tensor).astype(mx.float32)) for name, tensor in adapter.tensors.items()]
        self._model.load_weights(arrays, strict=False)

    def _restore(self, folder: Path) -> None:
        self._read(folder)
        state = load_file(folder / _OPTIMIZER)
        self._optimizer.state = tree_unflatten([(name, mx.array(value)) for name, value in state.items()])


def _scale(recipe: Recipe, rank: int) -> float:
    alpha = recipe.alpha_ratio * rank
    return alpha / (math.sqrt(rank) if recipe.variant == "rslora" else rank)


def _initialise(model: Any, seed: int) -> None:
    """B is zero; A is uniform within 1 / sqrt(inputs), which is PEFT's start (Kaiming uniform, a = sqrt(5))."""
    arrays = adapter_arrays(model)
    fresh = []
    for index, name in enumerate(sorted(n for n in arrays if n.endswith(".lora_a"))):
        inputs, rank = arrays[name].shape
        bound = 1 / math.sqrt(inputs)
        drawn = np.random.default_rng([seed, index]).uniform(-bound, bound, (inputs, rank))
        fresh.append((name, mx.array(drawn.astype(np.float32))))
    model.load_weights(fresh, strict=False)


class _Watch(TrainingCallback):
    """Collects losses, tells progress, and stops at the first loss that is not finite."""

    def __init__(self, epochs: int, epoch: int, steps: int, count: int, progress: Progress | None) -> None:
        self.losses: list[float] = []
        self._what = f"epoch {epoch + 1} of {epochs}"
        self._before, self._steps, self._count, self._progress = epoch * steps, steps, count, progress

    def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
        step = -(-train_info["iteration"] // self._count)
        self.losses.append(float(train_info["train_loss"]))
        if not math.isfinite(self.losses[-1]):
            raise _Diverged(f"the loss is not finite at step {self._before + step}")
        if self._progress and train_info["iteration"] % self._count == 0:
            self._progress(self._what, step, self._steps)


def _conclude(base: Base, inputs: training.TrainingInputs, run: Run, whole: Sequence[Sealed]) -> Candidate:
    entries = whole[-1][1]
    best = epochs.best_epoch(entries).epoch
    if best == 0:
        weights, config = files_of(run, base.id)
    else:
        folder = next(f for f, log_ in whole if log_[-1].epoch == best)
        weights, config = folder / training.ADAPTER_WEIGHTS, read_peft(folder)[1]
    return training.finish(Path(run.out_dir), inputs, entries, weights=weights, config=config)
