"""`FakeBackend`: a backend without a neural network, for tests and for trying a pipeline out in seconds.

It ships, so that tests use it instead of patching. The bare base answers by a hash of prompt and label. Its
"adapter" is a linear softmax model over hashed words, in the files of a real adapter (adapter_config.json and
adapter_model.safetensors, which PEFT itself cannot load).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from primum.backends import epochs, training
from primum.backends.base import GenerationLimits, Progress, Recipe, Run, TextSizes
from primum.backends.sampling import drawn, stream_of
from primum.backends.starts import check_starts, files_of, require_fit, require_unchanged
from primum.errors import BadInput
from primum.records import Candidate, Example, TrainingLog

_CONTEXT = 4096
_WEIGHTS = "fake.lora.weight"
_KIND = "FAKE"


class FakeBackend:
    """See `primum.backends.base.Backend`. A token is a word; a number counts as its sign."""

    def __init__(self, name: str = "fake", weights: np.ndarray | None = None) -> None:
        self._name = name
        self._weights = weights
        """(buckets,): the score of every hashed (word, label) pair."""

    @property
    def base_id(self) -> str:
        """The model's configured name."""
        return f"fake:{self._name}"

    @property
    def base_hash(self) -> str:
        """SHA-256 of the name: there is nothing else to the base."""
        return hashlib.sha256(self.base_id.encode()).hexdigest()

    @property
    def numerics(self) -> str:
        """`fake/float64`."""
        return "fake/float64"

    def measure(self, prompts: Sequence[str], labels: Sequence[str]) -> TextSizes:
        """Count words against a context of 4,096."""
        room = _CONTEXT - max(len(label.split()) for label in labels)
        lengths = [len(prompt.split()) for prompt in prompts]
        return TextSizes(
            longest=max(lengths, default=0), context=room, too_long=sum(n > room for n in lengths)
        )

    def with_adapter(self, adapter_dir: Path | None) -> FakeBackend:
        """Return the base with the weights of that folder. Raises BadInput when it holds none."""
        if adapter_dir is None:
            return FakeBackend(self._name)
        try:
            weights = load_file(adapter_dir / training.ADAPTER_WEIGHTS)[_WEIGHTS]
        except (OSError, SafetensorError, KeyError):
            raise BadInput(
                f"{adapter_dir}: holds no adapter of the fake backend; train one with it"
            ) from None
        return FakeBackend(self._name, weights)

    def score(
        self, prompts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        """Normalised log-probabilities (n, K); a prompt that does not fit the context gets a row of NaN."""
        rows = [self._logits(prompt, labels) for prompt in prompts]
        if progress:
            progress("scoring", len(rows), len(rows))
        return np.array(rows).reshape(len(prompts), len(labels))

    def generate(
        self, prompts: Sequence[str], limits: GenerationLimits, progress: Progress | None = None
    ) -> list[str]:
        """Answer with the best, or a drawn one, of the answers that the prompt's last line allows."""
        texts = []
        for prompt in prompts:
            allowed = prompt.splitlines()[-1].removeprefix("Answer ").removesuffix(".").split(" or ")
            scores = self._logits(prompt, allowed)
            if limits.temperature:
                scores = drawn(scores, limits, stream_of(list(prompt.encode())), 0)
            text = allowed[int(scores.argmax())]
            stops = [text.find(s) for s in limits.stop if s in text]
            texts.append(" ".join(text[: min(stops, default=len(text))].split()[: limits.max_new_tokens]))
        if progress:
            progress("generating", len(texts), len(texts))
        return texts

    def likelihood(self, examples: Sequence[Example], progress: Progress | None = None) -> np.ndarray:
        """A hash of prompt and word for each word of the answer: (n, 2), see `Backend.likelihood`."""
        rows = [
            [-_hash(f"{self._name}\0{e.prompt}\0{word}") / 2**30 for word in [*str(e.answer).split(), ""]]
            for e in examples
        ]
        if progress:
            progress("likelihood", len(rows), len(rows))
        return np.array([[sum(row), len(row)] for row in rows]).reshape(len(rows), 2)

    def finetune(  # noqa: PLR0913 - the contract of the design
        self,
        examples: Sequence[Example],
        validation: Sequence[Example],
        *,
        labels: Sequence[str],
        recipe: Recipe,
        runs: Sequence[Run],
        progress: Progress | None = None,
    ) -> tuple[Candidate, ...]:
        """Fit the linear model by gradient descent; the rank decides how many hash buckets it has."""
        if not labels:
            raise BadInput("stack.backend: fake learns labels, no free texts; use cpu, cuda or mlx")
        check_starts(runs, recipe, _KIND)
        made = [training.training_inputs(examples, validation, labels, recipe, run, self) for run in runs]
        sizes = self.measure([e.prompt for e in (*examples, *validation)], labels)
        if sizes.too_long:
            raise BadInput(f"{sizes.too_long} prompt(s) do not fit the context of {sizes.context} words")
        first = [self._first(run, inputs) for run, inputs in zip(runs, made, strict=True)]
        return tuple(
            training.begin(Path(run.out_dir), inputs.content_hash())
            or self._train(inputs, run, weights, progress)
            for inputs, run, weights in zip(made, runs, first, strict=True)
        )

    def _first(self, run: Run, inputs: training.TrainingInputs) -> np.ndarray:
        """The weights (buckets,) that a training begins with."""
        size = 64 * run.rank
        if run.start is None:
            return np.asarray(np.random.default_rng(inputs.seed).normal(0, 1e-3, size))
        require_fit(run, {_WEIGHTS: (size,)}, {_WEIGHTS}, self.base_id)
        weights: np.ndarray = load_file(Path(run.start) / training.ADAPTER_WEIGHTS)[_WEIGHTS]
        require_unchanged(run, inputs)
        return weights

    def _train(
        self,
        inputs: training.TrainingInputs,
        run: Run,
        weights: np.ndarray,
        progress: Progress | None,
    ) -> Candidate:
        x, gold = _design(inputs.examples, inputs.labels, 64 * inputs.rank)
        seen, truth = _design(inputs.validation, inputs.labels, 64 * inputs.rank)
        history = [weights]
        log: list[TrainingLog] = []

        def judged(train_loss: float | None) -> TrainingLog:
            macro_f1, loss = epochs.judge(truth.tolist(), _log_softmax(seen @ weights))
            return TrainingLog(
                epoch=len(history) - 1,
                train_loss=train_loss,
                validation_macro_f1=macro_f1,
                validation_loss=loss,
                seconds=0.0,
            )

        if run.start:
            log.append(judged(None))
        while not epochs.is_over(log, inputs.recipe):
            for index in epochs.epoch_order(
                [str(e.answer) for e in inputs.examples],
                len(history) - 1,
                inputs.seed,
                balanced=inputs.recipe.class_balanced,
                lengths=[1] * len(gold),
                batch=inputs.recipe.batch_size,
            ):
                miss = np.eye(len(inputs.labels))[gold[index]] - np.exp(_log_softmax(x[index] @ weights))
                weights = weights + 0.1 * miss @ x[index]
            history.append(weights)
            log.append(judged(epochs.judge(gold.tolist(), _log_softmax(x @ weights))[1]))
            if progress:
                progress(f"epoch {log[-1].epoch} of {inputs.recipe.epochs}", len(gold), len(gold))
        best = epochs.best_epoch(log).epoch
        file, config = (
            self._files(inputs, Path(run.out_dir), history[best]) if best else files_of(run, self.base_id)
        )
        return training.finish(Path(run.out_dir), inputs, log, weights=file, config=config)

    def _files(
        self, inputs: training.TrainingInputs, out_dir: Path, weights: np.ndarray
    ) -> tuple[Path, dict[str, object]]:
        """Weights and configuration of an adapter, as `finish` takes them."""
        file = out_dir / training.CHECKPOINTS / training.ADAPTER_WEIGHTS
        save_file({_WEIGHTS: weights}, file)
        return file, {
            "peft_type": _KIND,
            "r": inputs.rank,
            "lora_alpha": inputs.recipe.alpha_ratio * inputs.rank,
            "use_rslora": inputs.recipe.variant == "rslora",
            "use_dora": inputs.recipe.variant == "dora",
            "base_model_name_or_path": self.base_id,
        }

    def _logits(self, prompt: str, labels: Sequence[str]) -> np.ndarray:
        if len(prompt.split()) > _CONTEXT:
            return np.full(len(labels), np.nan)
        if self._weights is None:
            return _log_softmax(
                np.array([_hash(f"{self._name}\0{prompt}\0{label}") / 2**32 for label in labels])
            )
        return _log_softmax(_features(prompt, labels, self._weights.size) @ self._weights)


def _design(rows: Sequence[Example], labels: Sequence[str], buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, K, buckets) and label indices (n,)."""
    x = np.stack([_features(row.prompt, labels, buckets) for row in rows])
    return x, np.array([labels.index(str(row.answer)) for row in rows])


def _features(prompt: str, labels: Sequence[str], buckets: int) -> np.ndarray:
    """Counts (K, buckets) of the hashed pairs of a `name: value` piece, digits left out, and a label."""
    pieces = [re.sub(r"\d+", "", piece).strip() for piece in re.split(r"[;\n]", prompt)]
    x = np.zeros((len(labels), buckets))
    for k, label in enumerate(labels):
        for piece in pieces:
            x[k, _hash(f"{piece}\0{label}") % buckets] += 1.0
    return x


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
