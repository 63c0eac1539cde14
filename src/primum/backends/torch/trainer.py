"""trl's SFTTrainer on a fleet: the sum of the candidates' mean completion losses, each clipped and stopped alone."""

from __future__ import annotations

import functools
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors import SafetensorError
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from primum.backends import epochs, training
from primum.backends.base import Progress, Run
from primum.backends.torch.base_model import Base
from primum.backends.torch.feed import Feed, Record, encode
from primum.backends.torch.fleet import Fleet
from primum.backends.torch.likelihood import text_likelihood
from primum.backends.torch.lower import with_lower
from primum.backends.torch.ranks import Ranks, ranks_here
from primum.backends.torch.scoring import check_tree, score_tokens
from primum.backends.torch.sharding import divide_under, first_pass, tree_for
from primum.backends.tree import build_tree
from primum.errors import PrimumError, Unavailable
from primum.records import Example, TrainingLog

log = logging.getLogger(__name__)
Logs = tuple[epochs.Log, ...]
Map = Callable[..., Iterable[torch.Tensor]]
"""`map`, or that of a pool of threads."""
Judge = Callable[[str], tuple[float, float]]
"""Name of a candidate -> its macro-F1 and loss on the validation part."""


class Diverged(Exception):  # noqa: N818
    """No candidate is left to train: the loss of the last one was not finite."""


class FleetTrainer(SFTTrainer):
    """SFTTrainer with Primum's batches, loss and checkpoints. The candidates do not know of each other."""

    loss_is_scaled_for_ga: Any = True  # by the answer tokens of the whole batch

    def __init__(
        self, fleet: Fleet, feed: Feed, watch: Epochs, beside: Map, ranks: Ranks, **arguments: Any
    ) -> None:
        weights = {p: p.data for p in fleet.model.parameters() if p.requires_grad}
        super().__init__(model=fleet.model, callbacks=[watch], **arguments)
        for parameter, data in weights.items():  # trl rounds the adapters of a quantised base to bfloat16
            parameter.data = data
        self.remove_callback(PrinterCallback)  # progress is ours to show
        self.fleet, self.feed, self.watch = fleet, feed, watch
        self.max_norm = feed.members[0].recipe.max_grad_norm
        self._beside, self._ranks = beside, ranks
        if ranks.world > 1:  # the gradients are added up here: accelerate need not wrap the model for it
            self.accelerator.prepare_model = functools.partial(
                self.accelerator.prepare_model, evaluation_mode=True
            )
            torch.manual_seed(self.args.seed + (ranks.rank << 32))  # each has noise of its own
        watch.report = self.log
        self._losses: torch.Tensor | float = 0.0

    def get_train_dataloader(self) -> Any:
        """The feed is iterated as it is."""
        return self.feed

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: it would walk through all modules in every step."""
        return 0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of a micro-batch; returns the sum of the candidates' losses."""
        model.train()
        parts = [self._prepare_inputs(part) for part in inputs]
        answers = num_items_in_batch.split([len(part["candidates"]) for part in parts])
        found = list(self._beside(lambda part, n: self._learn(model, part, n), parts, answers))
        self._losses = self._losses + torch.cat(found)
        return torch.cat(found).sum()

    def _learn(self, model: Any, part: Any, answers: torch.Tensor) -> torch.Tensor:
        losses = self.losses_of(model, part, answers)
        self.accelerator.backward(losses.sum())
        return losses.detach()

    def losses_of(self, model: Any, part: Any, answers: torch.Tensor) -> torch.Tensor:
        """(C,) sums of -log p of each candidate's answer tokens, each over its `answers` in the whole batch."""
        names = [self.fleet.names[i] for i in part["candidates"]]
        lanes = list(zip(names, part["tokens"], strict=True))
        places = {key: part[key] for key in ("input_ids", "position_ids", "lower") if key in part}
        logits = self.fleet.forward(model, lanes, part["read"], **places)
        each = torch.nn.functional.cross_entropy(logits.float(), part["targets"], reduction="none")
        return torch.stack([one.sum() for one in each.split(part["answers"])]) / answers

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """(C,) answer tokens of each candidate in all micro-batches of a step."""
        counts = [[n for part in batch for n in part["answers"]] for batch in batch_samples]
        whole = torch.tensor(counts, device=device).sum(dim=0)
        self._ranks.add_up([whole])
        return whole

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> None:
        """Once a step, before the optimizer: clip each candidate, and stop those that are no longer finite."""
        losses, self._losses = torch.as_tensor(self._losses), 0.0
        grads = [p.grad for p in self.fleet.model.parameters() if p.grad is not None]
        self._ranks.add_up([*grads, losses])
        self.accelerator.unscale_gradients()
        # fp16: the scaler leaves out the steps whose gradient overflowed, so that is no reason to stop.
        scaled = self.accelerator.scaler is not None
        for i, loss in zip(self.feed.going, losses.tolist(), strict=True):
            weights = [p for p in self.fleet.parameters(self.fleet.names[i]) if p.grad is not None]
            norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
            if not math.isfinite(loss):
                self._leave(i, weights, "loss")
            elif not scaled and not math.isfinite(norm):
                self._leave(i, weights, "gradient")
            elif self.max_norm > 0:
                torch.nn.utils.clip_grads_with_norm_(weights, self.max_norm, norm)
            self.watch.losses[i].append(loss)

    def _leave(self, i: int, weights: Sequence[torch.nn.Parameter], what: str) -> None:
        """Candidate `i` leaves before the optimizer can spread the NaN over its weights."""
        for parameter in weights:
            parameter.grad = None
        self.feed.going = tuple(j for j in self.feed.going if j != i)
        self.watch.diverged(i, f"the {what} is not finite at step {self.state.global_step + 1}")
        if not self.feed.going:
            raise Diverged

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write and seal a checkpoint. Where it cannot be written, the one before stays."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with self._written(folder):
            super()._save_checkpoint(model, trial)
        self._ranks.wait()  # each writes the state of its noise
        if self._ranks.rank == 0:
            with self._written(folder):
                training.seal_sweep(folder, self.watch.logs)
            training.prune(folder.parents[1])

    @contextmanager
    def _written(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:  # a full disk to torch and safetensors
            shutil.rmtree(folder, ignore_errors=True)
            raise Unavailable(
                f"{folder.parent}: the checkpoint of epoch {self.watch.epoch} could not be written "
                f"({type(error).__name__}), the one before is kept; free some disk space and run it again"
            ) from None

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.fleet.save(Path(str(output_dir)), state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.fleet.load(Path(resume_from_checkpoint))

    def _send_telemetry(self) -> None:
        """Nothing about a hospital's training leaves the machine; trl would report it to its hub."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no card."""


class Epochs(TrainerCallback):
    """After an epoch: score the validation part with every candidate, log, and let those go that are over."""

    def __init__(  # noqa: PLR0913
        self, base: Base, fleet: Fleet, feed: Feed, logs: Logs, ranks: Ranks, progress: Progress | None
    ) -> None:
        members = feed.members
        self.losses: list[list[float]] = [[] for _ in members]
        self.report: Callable[[dict[str, float]], None] = lambda _: None
        self._base, self._members, self._recipe = base, members, members[0].recipe
        self._fleet, self._feed, self._ranks, self._progress = fleet, feed, ranks, progress
        self._entries = [list(entries) for entries in logs]
        part, labels = members[0].validation, members[0].labels
        self._figures = self._labels(part, labels) if labels else self._texts(encode(base, part))

    @property
    def logs(self) -> Logs:
        """The finished epochs of every candidate."""
        return tuple(map(tuple, self._entries))

    @property
    def epoch(self) -> int:
        """The latest finished one."""
        return max(map(epochs.last_epoch, self._entries))

    def diverged(self, i: int, why: str) -> None:
        """Candidate `i` is out; its best epoch stays. Raises PrimumError where it has none."""
        member = self._members[i]
        who = f"rank {member.rank}, seed {member.seed}: training diverged: {why}"
        if not epochs.last_epoch(self._entries[i]):
            raise PrimumError(f"{who}, before any epoch was finished; lower model.recipe.learning_rate")
        log.warning("%s; the best epoch before it is kept", who)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Judge what the candidates start from, which is their epoch 0."""
        for i, member in enumerate(self._members):
            if member.start and not self._entries[i]:
                started = time.perf_counter()
                with self._fleet.alone(self._fleet.names[i]) as model:
                    first_pass(model, self._ranks)
                judged = self._judge(self._fleet.names[i])
                self._log(i, None, judged, time.perf_counter() - started)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._started, self._sharing = time.perf_counter(), len(self._feed.going)
        for losses in self.losses:
            losses.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell the progress."""
        if self._progress:
            steps = state.max_steps // self._recipe.epochs
            what = f"epoch {self.epoch + 1} of {self._recipe.epochs}"
            self._progress(what, (state.global_step - 1) % steps + 1, steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Judge the candidates; the epoch's time is shared among them."""
        going = self._feed.going
        judged = [self._judge(self._fleet.names[i]) for i in going]
        seconds = (time.perf_counter() - self._started) / self._sharing
        for i, figures in zip(going, judged, strict=True):
            self._log(i, sum(self.losses[i]) / len(self.losses[i]), figures, seconds)
        self._feed.going = epochs.going(self.logs, self._recipe)
        control.should_training_stop |= not self._feed.going

    def _log(self, i: int, train_loss: float | None, judged: tuple[float, float], seconds: float) -> None:
        entry = TrainingLog(
            epoch=0 if train_loss is None else epochs.last_epoch(self._entries[i]) + 1,
            train_loss=train_loss,
            validation_macro_f1=judged[0],
            validation_loss=judged[1],
            seconds=seconds,
        )
        self._entries[i].append(entry)
        figures = entry.model_dump(exclude={"epoch", "seconds"}, exclude_none=True)
        self.report({f"{self._fleet.names[i]}/{key}": value for key, value in figures.items()})

    def _judge(self, name: str) -> tuple[float, float]:
        return self._figures(name)

    def _labels(self, part: Sequence[Example], labels: Sequence[str]) -> Judge:
        """What judges a candidate by the label that it finds most probable."""
        prompts = self._base.chat.prompts([e.prompt for e in part])
        gold = [labels.index(str(e.answer)) for e in part]
        tree = build_tree([self._base.chat.answer(v) for v in labels], self._base.chat.end_of_turn)
        check_tree(self._base.model, tree, max(map(len, prompts)))  # now, not after an epoch

        def judge(name: str) -> tuple[float, float]:
            with self._fleet.alone(name) as model:
                scores = self._ranks.scored(
                    lambda rows: score_tokens(model, rows, tree, self._base.chat.pad), prompts
                )
            return epochs.judge(gold, scores)

        return judge

    def _texts(self, records: Sequence[Record]) -> Judge:
        """What judges a candidate by how probable it finds the answers."""

        def judge(name: str) -> tuple[float, float]:
            with self._fleet.alone(name) as model:
                found = self._ranks.scored(
                    lambda rows: text_likelihood(model, rows, self._base.chat.pad), records
                )
            return epochs.judge_texts(found)

        return judge


def make_trainer(  # noqa: PLR0913 - all that a training has
    base: Base,
    members: Sequence[training.TrainingInputs],
    arguments: SFTConfig,
    logs: Logs,
    beside: Map,
    progress: Progress | None,
    runs: Sequence[Run] = (),
) -> FleetTrainer:
    """A trainer of the candidates that go on after `logs`; batches of a CPU run through the map `beside`.

    `runs`, where nothing is continued, say what each candidate starts from.
    """
    ranks = ranks_here()
    fleet = Fleet(tree_for(base, ranks), members)
    for run, member in zip(runs, members, strict=False):
        if run.start:
            fleet.start_from(run, member, base)
    divide_under(fleet.model, ranks)
    width, size = base.model.config.get_text_config().hidden_size, base.model.dtype.itemsize
    lower = None if ranks.sharded else fleet.lower  # it breaks off the base's pass, in which all take part
    records = with_lower(lower, encode(base, members[0].examples), width, size)
    apart = base.device.type == "cpu" and not ranks.sharded
    feed = Feed(members, records, base.chat.pad, apart=apart, ranks=ranks)
    feed.going = epochs.going(logs, members[0].recipe)
    watch = Epochs(base, fleet, feed, logs, ranks, progress)
    arguments.gradient_accumulation_steps = feed.accumulated
    return FleetTrainer(
        fleet,
        feed,
        watch,
        beside,
        ranks,
        args=arguments,
        train_dataset=Dataset.from_dict(
            {"input_ids": [[0]], "labels": [[0]]}
        ),  # trl asks for one; ours is the feed
        processing_class=base.chat.tokenizer,
    )
