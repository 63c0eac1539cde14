"""What does the embedded base bring? Its LoRA against the same LoRA on random weights, and against LASSO.

    python benchmarks/base_model.py [--base FOLDER] [--out benchmarks/results] [--card]

Each set goes through Primum's own functions (ingest, split, prompts, tuner, scorer, baselines), r = 8 with the
shipped recipe, without a ledger: these test parts are no holdouts that decide about a patient. The control is
the same shape and tokenizer with random weights. With --card the figures join the model card of the base.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pandas as pd
import record
import torch
from sklearn.metrics import f1_score
from transformers import AutoConfig, AutoModelForCausalLM

import primum
from primum.backends import open_backend
from primum.backends.base import Run
from primum.baselines import fit_baselines, predict_baselines
from primum.config import RunConfig, load_run
from primum.ingest import ingest
from primum.pretraining.card import JudgedSet, record_judgements
from primum.records import PARTS, Predictions
from primum.scoring import examples, prepare_renderer, score_records
from primum.split import assign

ROOT = Path(__file__).resolve().parents[1]
RANK, MARGIN = 8, 0.02


@dataclass(frozen=True)
class Set:
    """A task, as it is judged here."""

    name: str
    task: str
    seeds: tuple[int, ...] = (42,)
    sample: int | None = None
    epochs: int | None = None


SETS = (
    Set("breast cancer, seeds 42, 1, 2", "breast_cancer", (42, 1, 2)),
    Set("heart, seed 42", "heart"),
    Set("stroke, sample of 2,000, 3 epochs, seed 42", "stroke", sample=2000, epochs=3),
    Set("indo-rct, seed 42", "indo_rct"),
)


def judge(one: Set, base: Path, control: Path) -> JudgedSet:
    """Macro-F1 on the test part of base, adapter, control and LASSO, per seed."""
    found: dict[str, list[float]] = {"zero_shot": [], "adapter": [], "random_weights": [], "lasso": []}
    for seed in one.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = configured(one, base, seed)
            parts = split(config, Path(folder))
            zero, adapter = tuned(config, parts, Path(folder) / "base")
            _, random = tuned(configured(one, control, seed), parts, Path(folder) / "control")
            lasso = fit_and_predict_lasso(config, parts)
        scores = [macro_f1(parts["test"], p) for p in (zero, adapter, random, lasso)]
        for name, score in zip(found, scores, strict=True):
            found[name].append(round(score, 3))
        print(one.name, seed, {name: values[-1] for name, values in found.items()}, flush=True)
    records = sum(len(part) for part in parts.values())
    return JudgedSet(name=one.name, records=records, **{name: tuple(v) for name, v in found.items()})


def configured(one: Set, base: Path, seed: int) -> RunConfig:
    changes: dict = {"task": one.task, "seed": seed, "model.source": str(base)}
    if one.sample:
        changes["task.source.sample"] = one.sample
    if one.epochs:
        changes["model.recipe.epochs"] = one.epochs
    return load_run(ROOT / "configs", None, changes)


def split(config: RunConfig, folder: Path) -> dict[str, pd.DataFrame]:
    records = pd.read_parquet(ingest(config.task, ROOT, folder, config.seed).path)
    part = pd.Series(assign(records, config.task, config.seed).part)
    return {name: records[(part == name).to_numpy()].reset_index(drop=True) for name in PARTS}


def tuned(config: RunConfig, parts: dict[str, pd.DataFrame], out: Path) -> tuple[Predictions, Predictions]:
    """Predictions of the bare base and of its adapter."""
    backend = open_backend(config.model, config.stack, ROOT)
    renderer, _ = prepare_renderer(backend, config.task, config.model, *(parts[name] for name in PARTS))
    (candidate,) = backend.finetune(
        examples(renderer, parts["train"]),
        examples(renderer, parts["validation"]),
        labels=tuple(renderer.verbalizers.values()),
        recipe=config.model.recipe,
        runs=(Run(rank=RANK, seed=config.seed, out_dir=str(out)),),
    )
    adapted = backend.with_adapter(Path(candidate.path))
    test = parts["test"]
    return (
        score_records(backend, renderer, test, system="base"),
        score_records(adapted, renderer, test, system="adapter"),
    )


def fit_and_predict_lasso(config: RunConfig, parts: dict[str, pd.DataFrame]) -> Predictions:
    fits = fit_baselines(parts["train"], parts["validation"], config.task, config.seed)
    return predict_baselines(fits, parts["train"], parts["test"], config.task, config.seed)["lasso"]


def macro_f1(test: pd.DataFrame, predictions: Predictions) -> float:
    labels = list(predictions.labels)
    return float(f1_score(test["label"], predictions.predicted, average="macro", labels=labels))


def randomised(base: Path, out: Path) -> Path:
    """The same folder with random weights."""
    shutil.copytree(base, out)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(out)).save_pretrained(out)
    return out


def rows(judged: JudgedSet) -> list[dict]:
    adapter, random, lasso = (fmean(v) for v in (judged.adapter, judged.random_weights, judged.lasso))
    what = f"macro-F1, {judged.name}"
    return [
        record.row(
            f"{what}: adapter against LASSO", adapter, lasso, ">= LASSO - 0.02", adapter >= lasso - MARGIN
        ),
        record.row(
            f"{what}: adapter against LoRA on random weights", adapter, random, "> random", adapter > random
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--base", type=Path, default=Path(primum.__file__).parent / "base_model")
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    parser.add_argument("--card", action="store_true", help="write the figures into the base's model card")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        control = randomised(options.base, Path(folder) / "random")
        judged = [judge(one, options.base.resolve(), control) for one in SETS]
    record.write(
        "base_model",
        [line for one in judged for line in rows(one)],
        ("torch", "transformers", "peft", "trl", "scikit-learn"),
        options.out,
        sets=[one.model_dump(mode="json") for one in judged],
    )
    if options.card:
        record_judgements(options.base, judged)


if __name__ == "__main__":
    main()
