"""What a CUDA machine does with bases of real size: random weights of public architectures.

    python benchmarks/cuda.py [--only scoring finetune seed mistral nf4] [--repetitions 3] [--out benchmarks/results]

Weights are drawn on the device and saved to a temporary folder (16 GB for the largest), which Primum then opens as
it opens any base. Times of random weights are those of trained ones. Without a CUDA device it says so and leaves
every file as it is. Where the device's peak is known, MFU is 4 N T (see architectures.py) over time and peak.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import record
import scoring
from architectures import LLAMA_3B, LLAMA_8B, MISTRAL_7B, TINYLLAMA, Shape, utilisation

LABELS = {
    "2 labels of one token": scoring.LABELS["2 labels of one token"],
    "4 labels of several tokens": scoring.LABELS["4 labels of several tokens"],
}
BATCH_SIZES = (1, 16, 64, 128)


@contextlib.contextmanager
def opened(shape: Shape, device: str = "cuda", **model: Any) -> Iterator[Any]:
    """A backend on random weights of that shape, through the folder that a user would give."""
    import gc

    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    import primum
    from primum.backends import open_backend
    from primum.config import ModelConfig, StackConfig

    tokenizer = AutoTokenizer.from_pretrained(Path(primum.__file__).parent / "base_model")
    special = {
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device(device):
                drawn = LlamaForCausalLM(LlamaConfig(**shape.config(), **special))
        finally:
            torch.set_default_dtype(torch.float32)
        drawn.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del drawn
        config = ModelConfig(name="random", source=folder, **{"dtype": "auto", **model})
        backend = open_backend(config, StackConfig(backend=device), Path("/"))
        if device == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            yield backend
        finally:
            del backend
            gc.collect()


def records(backend: Any, count: int, tokens: int) -> list[Any]:
    """Made-up records whose prompt and answer have at most, and nearly, so many tokens."""
    from primum.records import Example

    sizes = [backend.measure(["x 1; " * n], ("yes", "no")).longest for n in (100, 200)]
    each = (sizes[1] - sizes[0]) / 100
    times = int((tokens - 4 - (sizes[0] - 100 * each)) / each)
    return [
        Example(record_id=str(i), prompt=f"{i % 7} " + "x 1; " * (times - 2), answer="yes" if i % 2 else "no")
        for i in range(count)
    ]


def trained(backend: Any, rows: list[Any], **recipe: Any) -> tuple[Any, list[float], int]:
    """Candidate, seconds of the steps after the first, and tokens of a step (mean)."""
    from primum.backends.base import Recipe, Run

    ticks: list[float] = []

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith("epoch"):
            ticks.append(time.perf_counter())

    whole = Recipe(**{"ranks": (8,), "epochs": 1, "class_balanced": False, **recipe})
    with tempfile.TemporaryDirectory() as folder:
        run = Run(rank=8, seed=0, out_dir=str(Path(folder) / "r8"))
        (made,) = backend.finetune(
            rows, rows[:8], labels=("yes", "no"), recipe=whole, runs=(run,), progress=progress
        )
    length = backend.measure([rows[0].prompt], ("yes", "no")).longest
    return made, [b - a for a, b in itertools.pairwise(ticks)], length * whole.batch_size


def score_rows(device: str, repetitions: int) -> Iterator[dict[str, Any]]:
    """1,000 prompts x K labels against lm-eval, Llama-3.2-3B."""
    prompts, _ = scoring.breast_cancer_prompts(1000)
    with opened(LLAMA_3B) as backend:
        for what, labels in LABELS.items():
            found = scoring.compare(backend, prompts, labels, repetitions, BATCH_SIZES, tolerance=0.1)
            yield from scoring.rows(f"{LLAMA_3B.name} on {device}, {what}", len(prompts), found, goal=5)


def finetune_rows(device: str, repetitions: int) -> Iterator[dict[str, Any]]:
    """LoRA of Llama-3.2-3B: Primum's against a plain SFTTrainer script with trl's defaults, tokens a second."""
    with opened(LLAMA_3B) as backend:
        rows = records(backend, 256, 512)
        pairs = []
        for _ in range(repetitions):
            _, steps, tokens = trained(backend, rows, batch_size=8)
            pairs.append((tokens / median(steps), plain_sft(backend, rows, 8)))
    ratio = median(a / b for a, b in pairs)
    ours, theirs = (median(pair[side] for pair in pairs) for side in (0, 1))
    what = f"LoRA fine-tune, {LLAMA_3B.name} on {device}: tokens/s against SFTTrainer's defaults"
    yield {**record.row(what, ours, theirs, ">= 1.5x", ratio >= 1.5), "ratio": ratio}


def plain_sft(backend: Any, rows: list[Any], batch: int) -> float:
    """Tokens a second of the script that people would write."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    base = backend._base
    texts = [
        {"prompt": p, "completion": str(e.answer)}
        for p, e in zip(base.chat._render([e.prompt for e in rows]), rows, strict=True)
    ]
    tokens = sum(map(len, base.chat.prompts([e.prompt for e in rows])))
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=base.shared_copy(),
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=batch,
                num_train_epochs=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                **({"use_cpu": True, "bf16": False} if base.device.type == "cpu" else {}),
            ),
            train_dataset=Dataset.from_list(texts),
            processing_class=base.chat.tokenizer,
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        return tokens / trainer.train().metrics["train_runtime"]


def seed_rows(device: str, repetitions: int) -> Iterator[dict[str, Any]]:
    """TinyLlama's shape at 2048 tokens, effective batch 8."""
    with opened(TINYLLAMA) as backend:
        _, steps, tokens = trained(backend, records(backend, 8 * (4 + repetitions), 2048), batch_size=8)
    seconds = median(steps[1:])
    what = f"{TINYLLAMA.name} on {device}, 2048 tokens, effective batch 8"
    yield record.row(f"{what}: seconds an iteration", seconds, None, "<= 0.35 s", seconds <= 0.35)
    yield from limit_rows(what, TINYLLAMA, tokens, 8, seconds, device, 0.4)


def limit_rows(  # noqa: PLR0913
    what: str, shape: Shape, tokens: int, logits: int, seconds: float, device: str, goal: float
) -> Iterator[dict[str, Any]]:
    """MFU, and the time against that of the limit; no row where the device's peak is not known."""
    used = utilisation(shape.training_flops(tokens, 2 * logits), seconds, device)
    if used is not None:
        yield record.row(f"{what}: MFU (4NT)", used, None, f">= {goal:.0%}", used >= goal)
        yield record.row(
            f"{what}: seconds against the limit of 4NT", seconds, seconds * used, "the distance", True
        )


def mistral_rows(device: str, repetitions: int) -> Iterator[dict[str, Any]]:
    """Mistral-7B, r = 8, 569 records x 8 epochs at 512 tokens."""
    with opened(MISTRAL_7B) as backend:
        made, steps, tokens = trained(
            backend, records(backend, 569, 512), batch_size=16, epochs=8, patience=8
        )
    what = f"{MISTRAL_7B.name} on {device}, r = 8, 569 records x 8 epochs at 512 tokens"
    minutes, megabytes = made.train_seconds / 60, made.adapter_bytes / 1e6
    yield record.row(f"{what}: minutes", minutes, None, "<= 1.5 min", minutes <= 1.5)
    yield record.row(f"{what}: adapter in MB", megabytes, None, "41.9 MB", round(megabytes, 1) <= 42.0)
    yield from limit_rows(what, MISTRAL_7B, tokens, 16, median(steps), device, 0.4)


def nf4_rows(device: str, repetitions: int) -> Iterator[dict[str, Any]]:
    """An 8B base in NF4 at 2048 tokens, batch 2."""
    import torch

    with opened(LLAMA_8B, quantisation="nf4") as backend:
        trained(backend, records(backend, 8, 2048), batch_size=2, gradient_checkpointing=True)
        peak = torch.cuda.max_memory_allocated() / 1e9
    what = f"{LLAMA_8B.name} in NF4 on {device}, 2048 tokens, batch 2: peak GB"
    yield record.row(what, peak, None, "<= 12 GB", peak <= 12)


PARTS: dict[str, Callable[[str, int], Iterator[dict[str, Any]]]] = {
    "scoring": score_rows,
    "finetune": finetune_rows,
    "seed": seed_rows,
    "mistral": mistral_rows,
    "nf4": nf4_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    options = parser.parse_args()
    from primum.backends import cuda_devices

    if not cuda_devices():
        print("no CUDA device is visible here: nothing was measured and no file was changed")
        return
    device = cuda_devices()[0].name
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < 20:
        raise SystemExit(f"the largest base takes 16 GB of the temporary folder, which has {free:.0f} GB")
    rows = []
    for part in options.only:
        for line in PARTS[part](device, options.repetitions):
            print(line["what"], line["ours"], line["goal"], "met" if line["met"] else "missed", flush=True)
            rows.append(line)
    record.write(
        "cuda", rows, ("torch", "transformers", "peft", "trl", "lm_eval"), options.out, device=device
    )


if __name__ == "__main__":
    main()
