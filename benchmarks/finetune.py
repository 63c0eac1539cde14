"""LoRA fine-tuning on a CPU: Primum against a plain script with trl's SFTTrainer and its defaults.

    python benchmarks/finetune.py [--repetitions 3] [--epochs 2] [--out benchmarks/results]

Same base, records, LoRA (r, alpha, targets), rate, epochs, batch size and seen tokens. Every side trains in a child
process of its own, alternating. Time is that of the training itself (trl's train_runtime; Primum's epochs with their
validation, which gets two records here because the plain script has none); `cpu` in the details is the processor
time of the whole call, which a loaded machine distorts less. Memory: the process's peak, and the peak
during training above what stands after imports and loading the base, which is what a larger base multiplies. trl's
defaults are bfloat16 autocast and gradient checkpointing; a third side has them off, so that its arithmetic is ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import record

import primum

BASE = Path(primum.__file__).parent / "base_model"
RANK, SEED = 8, 42
THEIRS = {"trl": {}, "trl, float32, no checkpointing": {"bf16": False, "gradient_checkpointing": False}}
LIBRARIES = ("torch", "transformers", "peft", "trl")


def prepared(folder: Path, epochs: int) -> Path:
    """The default task's training part as prompts and answers, and the shipped recipe."""
    from base_model import SETS, configured, split

    from primum.backends import open_backend
    from primum.records import PARTS
    from primum.scoring import examples, prepare_renderer

    config = configured(SETS[0], BASE, SEED)
    parts = split(config, folder)
    backend = open_backend(config.model, config.stack, folder)
    renderer, _ = prepare_renderer(backend, config.task, config.model, *(parts[name] for name in PARTS))
    rows = examples(renderer, parts["train"])
    changes = {"epochs": epochs, "patience": epochs, "class_balanced": False}
    recipe = config.model.recipe.model_copy(update=changes)
    found = {
        "examples": [row.model_dump() for row in rows],
        "labels": list(renderer.verbalizers.values()),
        "recipe": recipe.model_dump(),
    }
    (folder / "data.json").write_text(json.dumps(found))
    return folder / "data.json"


def train_ours(data: dict[str, Any], out: Path) -> Callable[[], tuple[float, int]]:
    import primum.backends.torch.finetune  # noqa: F401 - trl's import is no part of the training
    from primum.backends import open_backend
    from primum.backends.base import Recipe, Run
    from primum.backends.torch.feed import encode
    from primum.config import ModelConfig, StackConfig
    from primum.records import Example

    rows = [Example(**row) for row in data["examples"]]
    backend: Any = open_backend(ModelConfig(name="base", source=str(BASE)), StackConfig(), out)
    recipe = Recipe(**data["recipe"])

    def train() -> tuple[float, int]:
        run = Run(rank=RANK, seed=SEED, out_dir=str(out / "r"))
        (made,) = backend.finetune(rows, rows[:2], labels=data["labels"], recipe=recipe, runs=[run])
        return made.train_seconds, sum(len(r.tokens) for r in encode(backend._base, rows)) * recipe.epochs

    return train


def train_theirs(data: dict[str, Any], out: Path, **changes: Any) -> Callable[[], tuple[float, int]]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    recipe = data["recipe"]
    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in data["examples"]
    ]
    model = AutoModelForCausalLM.from_pretrained(BASE)
    tokenizer = AutoTokenizer.from_pretrained(BASE)

    def train() -> tuple[float, int]:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            args=SFTConfig(
                output_dir=str(out),
                num_train_epochs=recipe["epochs"],
                per_device_train_batch_size=recipe["batch_size"],
                learning_rate=recipe["learning_rate"],
                seed=SEED,
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,  # trl asks for it
                **changes,
            ),
            train_dataset=Dataset.from_list(rows),
            peft_config=LoraConfig(
                r=RANK,
                lora_alpha=int(recipe["alpha_ratio"] * RANK),
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        )
        tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset) * recipe["epochs"]
        return trainer.train().metrics["train_runtime"], tokens

    return train


def child(side: str, data: Path, out: Path) -> None:
    """Train once; print seconds, tokens and memory (MB) as the last line."""
    found = json.loads(data.read_text())
    train = train_ours(found, out) if side == "ours" else train_theirs(found, out, **THEIRS[side])
    loaded, before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    started = time.process_time()
    seconds, tokens = train()
    figures = {"seconds": seconds, "cpu": time.process_time() - started, "tokens": tokens}
    _, peak = resident()
    figures |= {"peak": max(before, peak), "above": peak - loaded}
    print(json.dumps(figures))


def resident() -> tuple[float, float]:
    """Resident memory of this process now and at its peak, MB (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, peak


def measured(side: str, data: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--side", side, "--data", str(data), "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-2000:]}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    print(side, {key: round(value, 1) for key, value in figures.items()}, flush=True)
    return figures | {"speed": figures["tokens"] / figures["seconds"]}


def rows(found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    made = []
    for other in THEIRS:
        pairs = list(zip(found["ours"], found[other], strict=True))
        for key, what, goal in (
            ("speed", "tokens/s", 1.5),
            ("peak", "peak memory of the process, MB", 0.7),
            ("above", "peak memory of the training above the loaded base, MB", 0.7),
        ):
            ours, theirs = (median(side[key] for side in found[name]) for name in ("ours", other))
            faster = key == "speed"
            met = ours / theirs >= goal if faster else ours / theirs <= goal
            spread = [round(a[key] / b[key], 2) for a, b in pairs]
            line = record.row(
                f"{what}, against {other}", ours, theirs, f"{'>=' if faster else '<='} {goal}", met
            )
            made.append(line | {"ratios": spread})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        child(options.side, options.data, options.out)
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in ("ours", *THEIRS)}
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(Path(folder), options.epochs)
        for _ in range(options.repetitions):
            for side, figures in found.items():
                figures.append(measured(side, data))
    tokens = {side: {one["tokens"] for one in figures} for side, figures in found.items()}
    record.write(
        "finetune",
        rows(found),
        LIBRARIES,
        options.out,
        repetitions=options.repetitions,
        seen_tokens={side: sorted(counts) for side, counts in tokens.items()},
        each=found,
    )


if __name__ == "__main__":
    main()
