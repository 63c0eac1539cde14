"""`TorchBackend`: the Backend protocol on torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from primum.backends.base import GenerationLimits, Progress, Recipe, TextSizes
from primum.backends.torch.base_model import Base, open_base
from primum.backends.torch.scoring import build_tree, generate_texts, score_tokens
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS, training_inputs
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput
from primum.records import Candidate, Example


def open_torch(model: ModelConfig, stack: StackConfig, root: Path) -> TorchBackend:
    """Load the base of `model`; a folder is relative to `root`. Raises BadInput when it cannot be used."""
    if stack.threads is not None:
        torch.set_num_threads(stack.threads)
    base = open_base(model, root)
    return TorchBackend(base, base.model)


class TorchBackend:
    """A base model in memory, with or without an adapter. See `primum.backends.base.Backend`.

    Backends made by `with_adapter` share the base's weight tensors but have a module tree of their own, so
    neither an adapter nor a training is ever seen by another backend.
    """

    def __init__(self, base: Base, model: Any) -> None:
        self._base = base
        self._model = model

    @property
    def base_id(self) -> str:
        """`primum-base`, a folder's name, or hub id @ revision."""
        return self._base.id

    @property
    def base_hash(self) -> str:
        """SHA-256 over the base's weights, config, tokenizer and chat template."""
        return self._base.hash

    def measure(self, prompts: Sequence[str], labels: Sequence[str]) -> TextSizes:
        """Count tokens of the rendered chat prompts against the context."""
        return self._sizes(self._base.chat.prompts(prompts), labels)

    def with_adapter(self, adapter_dir: Path | None) -> TorchBackend:
        """Return the base with that adapter. Raises BadInput when the folder holds none for this base."""
        if adapter_dir is None:
            return TorchBackend(self._base, self._base.model)
        if not (adapter_dir / ADAPTER_CONFIG).is_file() or not (adapter_dir / ADAPTER_WEIGHTS).is_file():
            raise BadInput(
                f"{adapter_dir}: no {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}; give an adapter's folder"
            )
        try:
            model = PeftModel.from_pretrained(self._base.shared_copy(), str(adapter_dir))
        except Exception as error:  # peft, safetensors and torch each raise their own
            raise BadInput(
                f"{adapter_dir}: this adapter does not load on '{self.base_id}' ({type(error).__name__})"
            ) from None
        return TorchBackend(self._base, model.eval())

    def score(
        self, prompts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        """Normalised log-probabilities (n, K); a prompt that does not fit the context gets a row of NaN."""
        tokens = self._base.chat.prompts(prompts)
        room = self._sizes(tokens, labels).context
        fits = [i for i, row in enumerate(tokens) if len(row) <= room]
        result = np.full((len(prompts), len(labels)), np.nan)
        tree = build_tree(self._answers(labels), self._base.chat.end_of_turn)
        result[fits] = score_tokens(
            self._model, [tokens[i] for i in fits], tree, self._base.chat.pad, progress
        )
        return result

    def generate(
        self, prompts: Sequence[str], limits: GenerationLimits, progress: Progress | None = None
    ) -> list[str]:
        """Greedy completions. Raises BadInput when a prompt and `limits.max_new_tokens` do not fit."""
        tokens = self._base.chat.prompts(prompts)
        longest = max(map(len, tokens), default=0)
        if longest + limits.max_new_tokens > self._base.context:
            raise BadInput(
                f"a prompt of {longest} tokens leaves no room for an answer in {self._base.context} tokens"
            )
        return generate_texts(self._model, self._base.chat, tokens, limits, progress)

    def finetune(  # noqa: PLR0913 - the contract of the design
        self,
        examples: Sequence[Example],
        validation: Sequence[Example],
        *,
        labels: Sequence[str],
        recipe: Recipe,
        rank: int,
        seed: int,
        out_dir: Path,
        progress: Progress | None = None,
    ) -> Candidate:
        """Train one adapter on the bare base. See `primum.backends.base.Backend.finetune`."""
        from primum.backends.torch.finetune import finetune  # trl takes seconds to import

        inputs = training_inputs(examples, validation, labels, recipe, rank, seed, self.base_hash)
        sizes = self.measure([e.prompt for e in (*examples, *validation)], labels)
        if sizes.too_long:
            raise BadInput(
                f"{sizes.too_long} prompt(s) do not fit the context of '{self.base_id}': "
                f"the longest has {sizes.longest} tokens of {sizes.context}; "
                "shorten them or set prompt.truncate"
            )
        return finetune(self._base, inputs, out_dir, progress)

    def _answers(self, labels: Sequence[str]) -> list[list[int]]:
        answers = [self._base.chat.answer(label) for label in labels]
        if len({tuple(a) for a in answers}) < len(answers) or not all(answers):
            raise BadInput(
                "prompt.verbalizers: the base's tokenizer cannot tell them apart; choose other words"
            )
        return answers

    def _sizes(self, tokens: Sequence[Sequence[int]], labels: Sequence[str]) -> TextSizes:
        room = self._base.context - max(map(len, self._answers(labels))) - 1  # 1: the end of the turn
        lengths = [len(row) for row in tokens]
        return TextSizes(
            longest=max(lengths, default=0), context=room, too_long=sum(n > room for n in lengths)
        )
