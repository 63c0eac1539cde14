"""The command that starts a training's processes, and the environment they find."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from primum.config import StackConfig
from primum.errors import BadInput
from primum.jobs.devices import visible

SHARDING = "PRIMUM_SHARDING"
"""Tells the ranks of a training how they share the base: `StackConfig.sharding`."""
_WORKER = ("-m", "primum.jobs.worker")


def command(stack: StackConfig, folder: Path, *, training: bool) -> list[str]:
    """The words that run the job in `folder`; only a training has more than one process.

    Raises BadInput with the install command where the launcher or the sharding needs a library that is not here.
    """
    plain = [sys.executable, *_WORKER, str(folder)]
    if not training or stack.launcher == "plain":
        return plain
    if stack.sharding == "zero3":
        _require("deepspeed", "stack.sharding: zero3", "-e '.[deepspeed]'")
    if stack.launcher == "torchrun":
        _require("torch", "stack.launcher: torchrun")
        words = ["torch.distributed.run", "--standalone", f"--nproc-per-node={stack.processes}"]
    else:
        _require("accelerate", "stack.launcher: accelerate")
        words = ["accelerate.commands.launch", *_accelerate(stack)]
    return [sys.executable, "-m", *words, *_WORKER, str(folder)]


def _accelerate(stack: StackConfig) -> list[str]:
    """Every choice is said, so that no configuration file of the user's decides something else."""
    words = [
        *("--num_machines", "1", "--num_processes", str(stack.processes), "--main_process_port", "0"),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(_threads(stack))),
    ]
    return words if stack.processes == 1 else [*words, "--multi_gpu"]


def _require(module: str, key: str, what: str = "") -> None:
    if importlib.util.find_spec(module) is None:
        raise BadInput(f"{key} needs the library '{module}'; install it with: pip install {what or module}")


def environment(stack: StackConfig, outer: Mapping[str, str]) -> dict[str, str]:
    """`outer`, and what a training's processes read: their devices, their threads, where our code lies."""
    ours = str(Path(__file__).resolve().parents[2])
    paths = [ours, *(p for p in outer.get("PYTHONPATH", "").split(os.pathsep) if p and p != ours)]
    result = {**outer, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
    if stack.backend == "cuda":
        result["CUDA_VISIBLE_DEVICES"] = visible(stack)
    if stack.processes > 1:
        result["OMP_NUM_THREADS"] = str(_threads(stack))
        result[SHARDING] = stack.sharding
        if stack.backend == "cpu":
            result |= {"ACCELERATE_USE_CPU": "true", "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return result


def _threads(stack: StackConfig) -> int:
    return stack.threads or max(1, (os.cpu_count() or 1) // stack.processes)
