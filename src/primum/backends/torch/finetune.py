"""Train the candidates of a sweep: together over one frozen base where that is small, else one after another.

Only the completion (the verbalizer and the end of the turn) carries loss. The validation part is scored after
every epoch through the very function that scores the holdout later.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from trl.trainer.sft_config import SFTConfig

from primum.backends import epochs, training
from primum.backends.base import Progress, Recipe, Run
from primum.backends.starts import files_of
from primum.backends.torch.base_model import Base
from primum.backends.torch.feed import keeps_apart
from primum.backends.torch.fleet import name_of
from primum.backends.torch.ranks import ranks_here
from primum.backends.torch.sharding import check_sharding
from primum.backends.torch.trainer import Diverged, Logs, Map, make_trainer
from primum.errors import BadInput, Unavailable
from primum.records import Candidate

_LARGE = 500_000_000
"""Parameters from which memory is what is scarce: candidates one after another, activations computed again."""


def sweeps(base: Base, runs: Sequence[Run]) -> list[list[Run]]:
    """Divide the runs into those that are trained together."""
    return [[run] for run in runs] if _is_large(base) and not ranks_here().sharded else [list(runs)]


def finetune(
    base: Base,
    members: Sequence[training.TrainingInputs],
    runs: Sequence[Run],
    progress: Progress | None,
    trackers: Sequence[str] = (),
) -> tuple[Candidate, ...]:
    """Train together, continue, or return what a finished call left. See `Backend.finetune`.

    Raises BadInput for a recipe that this base or device cannot do, PrimumError when a candidate diverges before
    its first epoch is finished, Unavailable when the disk is full.
    """
    ranks = ranks_here()
    _check(base, members[0].recipe, trackers)
    check_sharding(base, members[0].recipe, ranks)
    members = [m.model_copy(update={"numerics": ranks.of(m.numerics)}) for m in members]
    folders = [Path(run.out_dir) for run in runs]
    try:
        done = ranks.led(
            lambda: [training.begin(f, m.content_hash()) for f, m in zip(folders, members, strict=True)]
        )
        if not all(done):
            home = next(f for f, candidate in zip(folders, done, strict=True) if candidate is None)
            _train(base, members, runs, home, progress, trackers)
            done = ranks.led(lambda: _conclude(base, members, runs, home, done))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable(f"{folders[0]}: the disk is full; free some space and run it again") from None
    return tuple(candidate for candidate in done if candidate)


def _train(  # noqa: PLR0913
    base: Base,
    members: Sequence[training.TrainingInputs],
    runs: Sequence[Run],
    home: Path,
    progress: Progress | None,
    trackers: Sequence[str],
) -> None:
    whole = ranks_here().led(lambda: training.sealed_sweep(home))
    logs: Logs = whole[-1][1] if whole else ((),) * len(members)
    if not epochs.going(logs, members[0].recipe):
        return
    arguments = _arguments(base, members[0], home, trackers)
    with (
        _reproducible(base.device),
        _tracked(home.with_name(f"{home.name}.log")),
        _side_by_side(base, members) as beside,
    ):
        fresh = () if whole else runs
        trainer = make_trainer(base, members, arguments, logs, beside, progress, fresh)
        with suppress(Diverged):  # said where it happened; the best epochs are on disk
            trainer.train(resume_from_checkpoint=str(whole[-1][0]) if whole else None)


def _conclude(
    base: Base,
    members: Sequence[training.TrainingInputs],
    runs: Sequence[Run],
    home: Path,
    done: Sequence[Candidate | None],
) -> list[Candidate | None]:
    """Put each best epoch into its folder; that with the checkpoints comes last, so that a cut call goes on."""
    whole = training.sealed_sweep(home)
    found = list(done)
    folders = [Path(run.out_dir) for run in runs]
    for i in sorted(
        (i for i, candidate in enumerate(done) if not candidate), key=lambda i: folders[i] == home
    ):
        entries = whole[-1][1][i]
        best = epochs.best_epoch(entries).epoch
        if best == 0:
            weights, config = files_of(runs[i], base.id)
        else:
            folder = next(f for f, logs in whole if max(map(epochs.last_epoch, logs)) == best)
            weights, config = _files(folder / name_of(members[i]), base)
        found[i] = training.finish(folders[i], members[i], entries, weights=weights, config=config)
    return found


def _files(folder: Path, base: Base) -> tuple[Path, dict[str, Any]]:
    """Weights and configuration of an adapter in a checkpoint, as `finish` takes them."""
    config = json.loads((folder / training.ADAPTER_CONFIG).read_text(encoding="utf-8"))
    # A folder of this machine would be written here, and the set of modules in an order of its own.
    config |= {"base_model_name_or_path": base.id, "inference_mode": True}
    config |= {"target_modules": sorted(config["target_modules"])}
    return folder / training.ADAPTER_WEIGHTS, config


def _arguments(base: Base, member: training.TrainingInputs, home: Path, trackers: Sequence[str]) -> SFTConfig:
    recipe = member.recipe
    again = _is_large(base) if recipe.gradient_checkpointing == "auto" else recipe.gradient_checkpointing
    return SFTConfig(
        output_dir=str(home / training.CHECKPOINTS),
        seed=member.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_ratio,
        weight_decay=recipe.weight_decay,
        max_grad_norm=0.0,  # the trainer clips each candidate by itself
        optim="adamw_torch_fused" if recipe.optimizer == "adamw" else recipe.optimizer,
        neftune_noise_alpha=recipe.neftune_alpha,
        dataset_kwargs={"skip_prepare_dataset": True},
        router_aux_loss_coef=0.0,  # a loss on routers, which are frozen
        max_length=None,
        save_strategy="epoch",
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=list(trackers) or "none",
        run_name=home.name,
        disable_tqdm=True,
        bf16=False,  # the base is in the precision that it is asked for; autocast would cast it in every step
        fp16=base.model.dtype == torch.float16,  # scales the loss, or small gradients would vanish
        use_cpu=base.device.type == "cpu",
        activation_checkpointing=again,
        dataloader_pin_memory=False,
    )


def _check(base: Base, recipe: Recipe, trackers: Sequence[str]) -> None:
    """Refuse what would fail in the middle of a training."""
    if recipe.optimizer != "adamw" and base.device.type != "cuda":
        raise BadInput(f"model.recipe.optimizer: {recipe.optimizer} needs a CUDA device; use adamw")
    if recipe.optimizer != "adamw" and importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(
            f"model.recipe.optimizer: {recipe.optimizer} needs the library 'bitsandbytes'; "
            "install it with: pip install -e '.[cuda]'"
        )
    if base.model.dtype == torch.float16 and base.device.type != "cuda":
        raise BadInput("model.dtype: float16 trains on a CUDA device only; use float32 or bfloat16")
    if recipe.packing and "flash" in str(base.model.config._attn_implementation):
        # It takes no mask: between rows of restarted positions it would let records see one another.
        raise BadInput(
            "model.recipe.packing: flash attention would mix the records; set model.attention: sdpa"
        )
    if recipe.packing and not keeps_apart(base.model):
        raise BadInput("model.recipe.packing: this base's layers would mix the records; set it to false")
    for name in trackers:
        if importlib.util.find_spec(name) is None:
            raise BadInput(
                f"stack.trackers: {name} needs the library '{name}'; install it with: pip install -e '.[{name}]'"
            )


def _is_large(base: Base) -> bool:
    return bool(base.model.num_parameters() > _LARGE)


@contextmanager
def _side_by_side(base: Base, members: Sequence[training.TrainingInputs]) -> Iterator[Map]:
    """On a CPU each candidate has its share of the threads: small products do not scale, whole candidates do.

    Where noise is drawn from the process's generator, they take turns, so that each always gets the same.
    """
    threads, recipe = torch.get_num_threads(), members[0].recipe
    crew = 1 if ranks_here().sharded else min(threads, len(members))
    if base.device.type != "cpu" or crew == 1 or recipe.dropout or recipe.neftune_alpha:
        yield map
        return
    with ThreadPoolExecutor(crew, initializer=torch.set_num_threads, initargs=(threads // crew,)) as pool:
        try:
            yield pool.map
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _tracked(folder: Path) -> Iterator[None]:
    """Trackers write beside the candidate's folder, and send nothing, unless the environment says otherwise."""
    places = {
        "TENSORBOARD_LOGGING_DIR": str(folder),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    added = {key: value for key, value in places.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]


@contextmanager
def _reproducible(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, and the process's random states as they were afterwards."""
    kernels: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), kernels.fill_uninitialized_memory
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.use_deterministic_algorithms(True)
            kernels.fill_uninitialized_memory = False  # nothing reads it; filling costs 2%
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            kernels.fill_uninitialized_memory = before[1]
            random.setstate(states[0])
            np.random.set_state(states[1])
