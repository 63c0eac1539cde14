"""What every backend's training shares: what binds a run to its inputs, checkpoints, the finished candidate.

No deep-learning library is imported here. Files are sealed by a manifest of hashes that is written last, so a
checkpoint that was cut short by a kill or a full disk is told from a whole one and passed over.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError
from safetensors import safe_open

from primum.backends.base import Recipe, Run
from primum.backends.epochs import Log, best_epoch, last_epoch
from primum.errors import BadInput
from primum.records import Candidate, Example, Frozen, TrainingLog

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CHECKPOINTS = "checkpoints"
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal")
"""PEFT's initialisations that leave the base as it is. Others (pissa, olora ...) change it: an adapter of theirs is
for another base, and merely loading it would overwrite weights that all backends of a process share."""
SAID_KEYS = {"peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "lora_dropout"}
"""Keys of PEFT's configuration that a recipe, and mlx-lm's configuration, say in their own words."""
SILENT_KEYS = {
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}
"""Keys that change nothing once the tensors are there: which modules, the tensors' names say."""
T = TypeVar("T", bound=Frozen)
_CANDIDATE = "candidate.json"
_INPUTS = "inputs.json"
_SEAL = "seal.json"


class Base(Protocol):
    """What a training must know of its base."""

    @property
    def base_hash(self) -> str:
        """See `primum.backends.base.Backend`."""
        ...

    @property
    def numerics(self) -> str:
        """See `primum.backends.base.Backend`."""
        ...


class TrainingInputs(Frozen):
    """Everything that decides what an adapter becomes; its content hash binds a folder to one training."""

    examples: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]
    recipe: Recipe
    rank: int
    seed: int
    base_hash: str
    numerics: str
    """`Backend.numerics`: a training is continued with the arithmetic that it began with."""
    start: str | None = None
    """SHA-256 of the weights that it starts from; None: fresh ones."""
    together: tuple[tuple[int, int, str | None], ...] = ()
    """(rank, seed, start) of all candidates trained in one batch with this one: rounding depends on them. Empty:
    alone."""


class _Finished(Frozen):
    inputs: str
    candidate: Candidate


class _Seal(Frozen):
    files: dict[str, str]
    logs: tuple[Log, ...]


def training_inputs(  # noqa: PLR0913 - what decides an adapter
    examples: Sequence[Example],
    validation: Sequence[Example],
    labels: Sequence[str],
    recipe: Recipe,
    run: Run,
    base: Base,
    together: Sequence[Run] = (),
) -> TrainingInputs:
    """Check and bundle the inputs. The recipe's other ranks are left out: they do not touch this adapter.

    Raises BadInput when a part is empty, or an answer is not one of `labels` or, without any, is no text.
    """
    for part, rows in (("training", examples), ("validation", validation)):
        if not rows:
            raise BadInput(f"the {part} part holds no records; give the split more records")
        bad = sum(row.answer not in labels if labels else not (row.answer or "").strip() for row in rows)
        if bad:
            what = "that is none of the task's verbalizers" if labels else "without text"
            raise BadInput(f"{bad} {part} record(s) have an answer {what}")
    return TrainingInputs(
        examples=tuple(examples),
        validation=tuple(validation),
        labels=tuple(labels),
        recipe=recipe.model_copy(update={"ranks": (run.rank,)}),
        rank=run.rank,
        seed=run.seed,
        base_hash=base.base_hash,
        numerics=base.numerics,
        start=_start(run),
        together=tuple((r.rank, r.seed, _start(r)) for r in together),
    )


def _start(run: Run) -> str | None:
    return sha256(Path(run.start) / ADAPTER_WEIGHTS) if run.start else None


def begin(out_dir: Path, inputs: str) -> Candidate | None:
    """Return the candidate that a finished training on the same inputs left in `out_dir`.

    Otherwise make the folder ready: checkpoints of the same inputs stay, anything of others is removed.
    """
    finished = _read(out_dir / _CANDIDATE, _Finished)
    if finished and finished.inputs == inputs and (out_dir / ADAPTER_CONFIG).is_file():
        weights = out_dir / ADAPTER_WEIGHTS
        if weights.is_file() and sha256(weights) == finished.candidate.adapter_sha256:
            shutil.rmtree(
                out_dir / CHECKPOINTS, ignore_errors=True
            )  # of a call that was killed at its very end
            return finished.candidate.model_copy(update={"path": str(out_dir)})
    for name in (_CANDIDATE, ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        (out_dir / name).unlink(missing_ok=True)
    checkpoints = out_dir / CHECKPOINTS
    bound = checkpoints / _INPUTS
    if not bound.is_file() or bound.read_text(encoding="utf-8") != inputs:
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        write_atomically(bound, inputs)
    return None


def seal(checkpoint: Path, log: Sequence[TrainingLog]) -> None:
    """Mark the checkpoint of one candidate as whole. See `seal_sweep`."""
    seal_sweep(checkpoint, [tuple(log)])


def sealed(out_dir: Path) -> list[tuple[Path, Log]]:
    """List the whole checkpoints of one candidate, oldest first, each with its log. See `sealed_sweep`."""
    return [(folder, logs[0]) for folder, logs in sealed_sweep(out_dir)]


def seal_sweep(checkpoint: Path, logs: Sequence[Log]) -> None:
    """Mark a checkpoint as whole: hashes of its files and the candidates' logs so far, written last."""
    files = sorted(p for p in checkpoint.rglob("*") if p.is_file() and p.name != _SEAL)
    hashes = {p.relative_to(checkpoint).as_posix(): sha256(p) for p in files}
    write_atomically(checkpoint / _SEAL, _Seal(files=hashes, logs=tuple(logs)).model_dump_json())


def sealed_sweep(out_dir: Path) -> list[tuple[Path, tuple[Log, ...]]]:
    """List the whole checkpoints of `out_dir`, oldest first, each with its logs; broken ones are removed.

    A checkpoint for which a candidate's best epoch is no longer on disk is of no use and goes as well, so the
    training continues from the last one that can still end as an undisturbed training would.
    """
    folders = [p for p in (out_dir / CHECKPOINTS).glob("checkpoint-*") if p.is_dir()]
    whole: list[tuple[Path, tuple[Log, ...]]] = []
    for folder in sorted(folders, key=lambda p: int(p.name.rpartition("-")[2])):
        mark = _read(folder / _SEAL, _Seal)
        if mark and all((folder / n).is_file() and sha256(folder / n) == h for n, h in mark.files.items()):
            whole.append((folder, mark.logs))
        else:
            shutil.rmtree(folder)
    while whole and not _best_epochs(whole[-1][1]) <= {0, *(_epoch(logs) for _, logs in whole)}:
        shutil.rmtree(whole.pop()[0])
    return whole


def _epoch(logs: Sequence[Log]) -> int:
    return max(map(last_epoch, logs))


def _best_epochs(logs: Sequence[Log]) -> set[int]:
    return {best_epoch(log).epoch for log in logs}


def prune(out_dir: Path) -> None:
    """Keep the checkpoints of the best epochs and the last two; the others are never read again."""
    whole = sealed_sweep(out_dir)
    if whole:
        best = _best_epochs(whole[-1][1])
        for folder, logs in whole[:-2]:
            if _epoch(logs) not in best:
                shutil.rmtree(folder)


def finish(
    out_dir: Path,
    inputs: TrainingInputs,
    log: Sequence[TrainingLog],
    *,
    weights: Path,
    config: dict[str, object],
) -> Candidate:
    """Put the best epoch's adapter into `out_dir`, say so in candidate.json (last), drop the checkpoints.

    Raises BadInput where that is epoch 0, the start, and its file is no longer what the training began with.
    """
    best = best_epoch(log)
    partial = out_dir / f"{ADAPTER_WEIGHTS}.partial"
    shutil.copyfile(weights, partial)
    if best.epoch == 0 and sha256(partial) != inputs.start:
        partial.unlink()
        raise BadInput(
            f"{weights}: it changed while a training started from it; put it back and run the same command again"
        )
    partial.replace(out_dir / ADAPTER_WEIGHTS)
    write_atomically(out_dir / ADAPTER_CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    candidate = Candidate(
        name=name_of(inputs),
        rank=inputs.rank,
        path=str(out_dir),
        adapter_sha256=sha256(out_dir / ADAPTER_WEIGHTS),
        best_epoch=best.epoch,
        validation_macro_f1=best.validation_macro_f1,
        validation_loss=best.validation_loss,
        log=tuple(log),
        train_seconds=sum(entry.seconds for entry in log),
        adapter_bytes=(out_dir / ADAPTER_WEIGHTS).stat().st_size,
        trainable_parameters=_parameters(out_dir / ADAPTER_WEIGHTS),
    )
    done = _Finished(inputs=inputs.content_hash(), candidate=candidate)
    write_atomically(out_dir / _CANDIDATE, done.model_dump_json(indent=2) + "\n")
    shutil.rmtree(out_dir / CHECKPOINTS, ignore_errors=True)
    return candidate


def name_of(inputs: TrainingInputs) -> str:
    """A candidate's name: its rank, and of one that did not begin afresh what it started from."""
    return f"r{inputs.rank}-from-{inputs.start[:8]}" if inputs.start else f"r{inputs.rank}"


def _parameters(weights: Path) -> int:
    with safe_open(weights, framework="numpy") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the whole new one."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _read(path: Path, model: type[T]) -> T | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
