"""Bases that are no Llama: the right numbers, or one line. All of these gave wrong numbers or a traceback once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_base
import torch
from conftest import LABELS, RECIPE
from one_run import finetune_one
from safetensors.numpy import load_file
from test_torch import brute_force

from primum.backends import open_backend
from primum.backends.base import Run
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]
WORDS = ("no", "no change", "not sure")
PROMPTS = ["a", "mean radius: +3", "x" * 40]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
    "opt": ("opt", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "falcon": ("falcon", {"multi_query": True, "new_decoder_architecture": False}),
    "falcon, alibi": ("falcon", {"multi_query": True, "new_decoder_architecture": False, "alibi": True}),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 4}),
    "mpt": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 512}),
    "gpt_neo": (
        "gpt_neo",
        {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4, "window_size": 24},
    ),
    "mixtral": ("mixtral", {"num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": None}),
    "mamba": ("mamba", {}),
}


def opened(kind: str, tmp_path: Path) -> Any:
    name, more = KINDS[kind]
    folder = tiny_base.of_kind(tmp_path / "base", name, **more)
    model = ModelConfig(
        name="x", source=str(folder), max_length=512 if kind in ("bloom", "mamba", "mpt") else None
    )
    return open_backend(model, StackConfig(threads=1), Path("/"))


def trained(backend: Any, parts: Parts, out: Path, **changes: Any) -> Candidate:
    recipe = RECIPE.model_copy(update={"epochs": 1, **changes})
    return finetune_one(backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=7, out_dir=out)


def weights(candidate: Candidate) -> dict[str, np.ndarray]:
    return load_file(Path(candidate.path) / "adapter_model.safetensors")


def expected(backend: Any, words: tuple[str, ...], *, ended: bool) -> np.ndarray:
    chat = backend._base.chat
    answers = [[*chat.answer(w), *([chat.end_of_turn] if ended else [])] for w in words]
    return np.array([brute_force(backend._model, p, answers) for p in chat.prompts(PROMPTS)])


@pytest.mark.parametrize("kind", KINDS)
def test_one_token_answers_score_like_label_by_label(kind: str, tmp_path: Path) -> None:
    """OPT calls its decoder past the module that the logits were once cut behind: 5 nats off, without a word."""
    backend = opened(kind, tmp_path)
    np.testing.assert_allclose(
        backend.score(PROMPTS, LABELS), expected(backend, LABELS, ended=False), atol=1e-4
    )


@pytest.mark.parametrize("kind", ["gpt2", "opt", "falcon"])
def test_trees_score_like_label_by_label(kind: str, tmp_path: Path) -> None:
    backend = opened(kind, tmp_path)
    np.testing.assert_allclose(backend.score(PROMPTS, WORDS), expected(backend, WORDS, ended=True), atol=1e-4)


@pytest.mark.parametrize("kind", ["falcon, alibi", "bloom", "mpt", "gpt_neo", "mamba"])
def test_trees_are_refused_where_positions_or_windows_are_the_bases_own(kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot score answers of several tokens"):
        opened(kind, tmp_path).score(PROMPTS, WORDS)


def test_such_a_training_is_refused_before_its_first_step(parts: Parts, tmp_path: Path) -> None:
    steps: list[str] = []
    rows = [[e.model_copy(update={"answer": "no change"}) for e in part] for part in parts]
    with pytest.raises(BadInput, match="cannot score answers of several tokens"):
        finetune_one(
            opened("bloom", tmp_path),
            *rows,
            labels=WORDS,
            recipe=RECIPE,
            rank=2,
            seed=7,
            out_dir=tmp_path / "r",
            progress=lambda what, *_: steps.append(what),
        )
    assert steps == []


@pytest.mark.parametrize("kind", ["opt", "falcon", "bloom", "mpt"])
def test_packing_is_refused_where_records_would_see_each_other(
    kind: str, parts: Parts, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="packing: this base's layers would mix the records"):
        trained(opened(kind, tmp_path), parts, tmp_path / "r", packing=True)
    assert not (tmp_path / "r").exists()


def test_packing_changes_nothing_on_gpt2(parts: Parts, tmp_path: Path) -> None:
    backend = opened("gpt2", tmp_path)
    rows = [e.model_copy(update={"prompt": e.prompt[: 8 + 5 * (i % 5)]}) for i, e in enumerate(parts[0])]
    made = [
        weights(trained(backend, (rows, parts[1]), tmp_path / f"{packing}", packing=packing))
        for packing in (False, True)
    ]
    for key, value in made[0].items():
        np.testing.assert_allclose(made[1][key], value, atol=1e-4)


def test_a_bases_own_dropout_is_not_the_recipes(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2's is 0.1: candidates in threads would draw it in any order, and together they were not those alone."""
    backend = opened("gpt2", tmp_path)
    alone = [trained(backend, parts, tmp_path / "alone", epochs=2)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    runs = [Run(rank=2, seed=seed, out_dir=str(tmp_path / f"s{seed}")) for seed in (7, 8)]
    recipe = RECIPE.model_copy(update={"epochs": 2})
    together = backend.finetune(*parts, labels=LABELS, recipe=recipe, runs=runs)
    for key, value in weights(alone[0]).items():
        np.testing.assert_allclose(weights(together[0])[key], value, atol=1e-4)


def test_the_uppermost_layers_of_gpt2(parts: Parts, tmp_path: Path) -> None:
    made = trained(opened("gpt2", tmp_path), parts, tmp_path / "r", layers=1)
    assert {key.split(".")[4] for key in weights(made)} == {"1"}
    assert len(weights(made)) == 8


@pytest.mark.parametrize("kind", ["mixtral", "mamba"])
def test_layers_that_lora_cannot_adapt_are_named(kind: str, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="target_modules: this base has layers that LoRA cannot adapt"):
        trained(opened(kind, tmp_path), parts, tmp_path / "r")


def test_the_attention_of_a_base_with_experts_is_trained(parts: Parts, tmp_path: Path) -> None:
    made = trained(opened("mixtral", tmp_path), parts, tmp_path / "r", target_modules=("q_proj", "v_proj"))
    assert {key.split(".")[6] for key in weights(made)} == {"q_proj", "v_proj"}
