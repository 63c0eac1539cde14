"""Label scoring of 1,000 prompts x K labels on the embedded base: Primum against lm-eval's HFLM.loglikelihood.

    python benchmarks/scoring.py [--repetitions 3] [--prompts 1000] [--threads 1] [--out benchmarks/results]

Same weights, same prompts (the breast-cancer records, chat template included, repeated to the number), same
tokens, one process, both sides in turns; both score a prompt that comes again once.
HFLM runs as it comes (batch size 1) and with the batch size that is fastest
of a few, found on a part of the prompts first. It reads labels that differ in their last token only from one
forward pass as well (its logits cache); for others it needs one a label. Before any time counts, both sides'
normalised log-probabilities must agree to 1e-3.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import record

ROOT = Path(__file__).resolve().parents[1]
LABELS = {
    "2 labels of one token": ("benign", "malignant"),
    "4 labels of one token": ("benign", "malignant", "yes", "no"),
    "2 labels of several tokens": ("benign mass", "malignant mass"),
    "4 labels of several tokens": ("benign mass", "malignant mass", "not recorded", "unclear finding"),
}
BATCH_SIZES = (1, 4, 8, 16, 32)
GOAL, TOLERANCE = 3.0, 1e-3
Scores = Callable[[Sequence[str]], np.ndarray]


def breast_cancer_prompts(count: int) -> tuple[list[str], Any]:
    """The rendered records, repeated up to `count`, and the backend on the embedded base."""
    from primum.backends import open_backend
    from primum.config import load_run
    from primum.ingest import ingest
    from primum.prompts import fit_renderer
    from primum.scoring import messages

    config = load_run(ROOT / "configs", None, {"stack.backend": "cpu"})
    with tempfile.TemporaryDirectory() as folder:
        records = pd.read_parquet(ingest(config.task, ROOT, Path(folder), config.seed).path)
    rendered = messages(fit_renderer(config.task, config.model, records), records)
    times = -(-count // len(rendered))
    return (rendered * times)[:count], open_backend(config.model, config.stack, ROOT)


def harness(backend: Any, prompts: Sequence[str], batch_size: int) -> Scores:
    """lm-eval on the very weights of the backend; its answers normalised over the labels as Primum's are."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    base = backend._base
    texts = base.chat._render(prompts)
    lm = HFLM(
        pretrained=base.shared_copy(),
        tokenizer=base.chat.tokenizer,
        batch_size=batch_size,
        device=str(base.device),
    )

    def score(labels: Sequence[str]) -> np.ndarray:
        requests = [Instance("loglikelihood", {}, (text, label), 0) for text in texts for label in labels]
        sums = np.array([s for s, _ in lm.loglikelihood(requests, disable_tqdm=True)]).reshape(
            -1, len(labels)
        )
        return sums - np.logaddexp.reduce(sums, axis=1, keepdims=True)

    return score


def seconds(score: Scores, labels: Sequence[str]) -> float:
    began = time.perf_counter()
    score(labels)
    return time.perf_counter() - began


def fastest(
    backend: Any, prompts: Sequence[str], labels: Sequence[str], sizes: Sequence[int]
) -> tuple[int, dict[int, float]]:
    """lm-eval's batch size with the most prompts a second, and seconds for all of them."""
    found = {size: seconds(harness(backend, prompts, size), labels) for size in sizes}
    return min(found, key=found.__getitem__), {size: round(s, 2) for size, s in found.items()}


def compare(  # noqa: PLR0913
    backend: Any,
    prompts: Sequence[str],
    labels: Sequence[str],
    repetitions: int,
    sizes: Sequence[int] = BATCH_SIZES,
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Both sides in turns, `repetitions` times after one that warms up and compares the results."""
    size, tried = fastest(backend, prompts[:: max(1, len(prompts) // 100)], labels, sizes)
    theirs = harness(backend, prompts, size)

    def ours(labels: Sequence[str]) -> np.ndarray:
        return backend.score(prompts, labels)

    difference = float(np.abs(ours(labels) - theirs(labels)).max())
    if difference > tolerance:
        raise SystemExit(
            f"the two sides do not compute the same: log-probabilities differ by {difference:.2g}"
        )
    plain = harness(backend, prompts, 1)
    runs = [tuple(seconds(side, labels) for side in (ours, theirs, plain)) for _ in range(repetitions)]
    return {
        "labels": labels,
        "batch_size": size,
        "seconds_by_batch_size": tried,
        "largest_difference": difference,
        "seconds": runs,
    }


def rows(what: str, prompts: int, found: dict[str, Any], goal: float = GOAL) -> list[dict[str, Any]]:
    """Prompts a second; the ratio is the median of the turns', its spread is in the words."""
    made = []
    for side, name in (
        (1, f"at its best batch size, {found['batch_size']}"),
        (2, "as it comes, batch size 1"),
    ):
        ours, theirs = (prompts / median(run[k] for run in found["seconds"]) for k in (0, side))
        ratios = sorted(run[side] / run[0] for run in found["seconds"])
        words = f"label scoring, {what}: prompts/s against lm-eval {name} "
        spread = f"(ratio {ratios[0]:.2f} to {ratios[-1]:.2f})"
        row = record.row(words + spread, ours, theirs, f">= {goal:g}x", median(ratios) >= goal)
        made.append({**row, "ratio": median(ratios)})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    options = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    prompts, backend = breast_cancer_prompts(options.prompts)
    import torch

    torch.set_num_threads(options.threads)
    found = {}
    for what, labels in LABELS.items():
        found[what] = compare(backend, prompts, labels, options.repetitions)
        print(what, found[what]["seconds"], found[what]["seconds_by_batch_size"], flush=True)
    record.write(
        "scoring",
        [
            r
            for what, one in found.items()
            for r in rows(f"{len(prompts)} prompts x {what}", len(prompts), one)
        ],
        ("torch", "transformers", "lm_eval"),
        options.out,
        threads=options.threads,
        runs=found,
    )


if __name__ == "__main__":
    main()
