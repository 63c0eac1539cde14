"""The model card and the licence note that lie beside the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from primum.pretraining.config import PretrainConfig, PretrainReport
from primum.records import Frozen

LICENSE = """MIT License

These weights, the tokenizer and the chat template were made by Primum from synthetic data that its own
generator wrote; they contain no third-party material and carry Primum's licence (see LICENSE at the root
of the project).
"""

_CARD = """---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags: [synthetic, tabular, clinical]
---
# primum-base

The base model that ships with Primum, so that the main job runs on a closed machine. It is small and knows
nothing about medicine: it has learned to *read records as Primum writes them*, so that LoRA has something to
adapt. It has seen no real record. It is no medical device and answers nothing by itself.

| | |
|---|---|
| architecture | Llama (`LlamaForCausalLM`), tied embeddings, RoPE |
| parameters | {parameters:,} ({layers} layers, width {hidden_size}, {heads} heads, MLP {intermediate_size}) |
| context | {context:,} positions; trained on conversations of up to {longest} tokens |
| tokenizer | its own byte-level BPE, {vocab_size:,} entries, digits one by one, any UTF-8 text |
| chat template | `<\\|user\\|>...<\\|end\\|><\\|assistant\\|>...<\\|end\\|>`, several turns |
| numbers | z-scores of the training part in tenths, sign and two digits: `+13` is 1.3 standard deviations |
| training | {tokens:,} tokens, {steps:,} steps, {minutes:.0f} min on {threads} CPU thread(s), seed {seed} |
| optimizer | Muon {muon_learning_rate} (matrices), AdamW {adam_learning_rate} (embeddings, norms) |
| weights | SHA-256 `{weights_sha256}` |

## Data
Synthetic patient worlds from a seeded generator (`primum.pretraining.worlds`): 1 to 32 named columns
drawn from a word list and made-up names, correlated, skewed, stepped, partly categories, partly not
recorded; written by the very renderer that fine-tuning uses. Three kinds of conversation: *stated* (the
question states the rule: thresholds, signed sums, comparisons, counts), *lasting* ({conditions} made-up
conditions that last through the corpus: a record's values are summed up, each weighed by its words, and
asked for as a score and as a class, several labelled records of one world in one context) and *in context*
(the rule has to be inferred from the labelled records before). The words' weights are random: no clinical
knowledge is in them. Most are positive, so that a sum can be learned at all; which answer stands for a high
score is random for each condition.

## Held-out synthetic worlds
Accuracy of the most probable allowed answer, conversations of a seed that training never used:

| kind | accuracy | guessing |
|---|---|---|
{worlds}
{judgements}
## Rebuild
```
python run.py --pipeline pretrain
```
The same config, library versions, threads and kind of processor give the same weights; `pretrain.json` holds
the config, `training_log.csv` every step.
"""


def model_card(config: PretrainConfig, report: PretrainReport, judgements: str = "") -> str:
    """The README.md of the model folder; `judgements` is a Markdown section on fine-tuning with real sets."""
    worlds = "\n".join(
        f"| {kind.replace('_', ' ')} | {accuracy:.3f} | {report.chance[kind]:.3f} |"
        for kind, accuracy in report.accuracy.items()
    )
    values = {**config.model_dump(), **report.model_dump()}
    section = f"\n{judgements.strip()}\n" if judgements.strip() else ""
    return _CARD.format(**values, minutes=report.seconds / 60, worlds=worlds, judgements=section)


class JudgedSet(Frozen):
    """Macro-F1 on the test part of one real set, one figure per seed."""

    name: str
    records: int
    zero_shot: tuple[float, ...]
    adapter: tuple[float, ...]
    random_weights: tuple[float, ...]
    """The same fine-tuning on random weights of the same shape: what it reaches, pretraining did not bring."""
    lasso: tuple[float, ...]


def record_judgements(folder: Path, judged: Sequence[JudgedSet]) -> None:
    """Add figures of real sets to the folder's model card, and keep them in judgements.json."""
    made = json.loads((folder / "pretrain.json").read_text(encoding="utf-8"))
    config = PretrainConfig(**made["config"])
    report = PretrainReport(path=str(folder), **made["report"])
    _replace(folder / "README.md", model_card(config, report, _judgements(judged)))
    figures = [one.model_dump(mode="json") for one in judged]
    _replace(folder / "judgements.json", json.dumps(figures, indent=1) + "\n")


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _judgements(judged: Sequence[JudgedSet]) -> str:
    columns = ("zero_shot", "adapter", "random_weights", "lasso")
    rows = (
        f"| {one.name} | {one.records:,} | {' | '.join(f'{fmean(getattr(one, c)):.3f}' for c in columns)} |"
        for one in judged
    )
    return _JUDGEMENTS + "\n".join(rows)


_JUDGEMENTS = """## Fine-tuned on real sets
Macro-F1 on the test part, mean over seeds; 50/15/35 stratified split; LoRA r = 8 on all linear layers,
learning rate 2e-3, batches of 8, 6 epochs, the epoch that was best on validation. The control is the same LoRA
on *random* weights of the same shape: pretraining gains the distance between the two, not the adapter's score.

| set | records | zero-shot | adapter | control: random weights | LASSO |
|---|---|---|---|---|---|
"""
