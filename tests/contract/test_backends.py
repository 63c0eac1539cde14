"""The contract of `primum.backends.base.Backend`, kept by every backend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, RECIPE, Train
from one_run import finetune_one

from primum.backends.base import Backend, GenerationLimits
from primum.backends.training import sha256
from primum.errors import BadInput
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]


def prompts_of(parts: Parts) -> list[str]:
    return [e.prompt for e in parts[1]]


def test_scores_are_normalised_log_probabilities(backend: Backend, parts: Parts) -> None:
    scores = backend.score(prompts_of(parts), ("yes", "no", "maybe"))
    assert scores.shape == (16, 3)
    assert (scores < 0).all()
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-9)


def test_no_prompts_give_no_rows(backend: Backend) -> None:
    assert backend.score([], LABELS).shape == (0, 2)
    assert backend.generate([], GenerationLimits()) == []


def test_a_label_keeps_its_score_whatever_the_order_of_labels(backend: Backend, parts: Parts) -> None:
    there, back = (backend.score(prompts_of(parts), order) for order in (("yes", "no"), ("no", "yes")))
    np.testing.assert_allclose(there, back[:, ::-1], atol=1e-5)


def test_a_row_has_the_same_bits_whatever_it_is_batched_with(backend: Backend, parts: Parts) -> None:
    """The same prompt alone, among others, doubled, and in another order."""
    prompts = [p + " " * (i % 5) + "x" * (7 * i % 40) for i, p in enumerate(prompts_of(parts))]
    together = backend.score(prompts, LABELS)
    rng = np.random.default_rng(0)
    for _ in range(8):
        order = rng.integers(0, len(prompts), size=int(rng.integers(1, 40)))
        np.testing.assert_array_equal(backend.score([prompts[i] for i in order], LABELS), together[order])


def test_measure_counts_what_does_not_fit(backend: Backend) -> None:
    sizes = backend.measure(["short", "word " * 5000], LABELS)
    assert sizes.too_long == 1
    assert sizes.longest > sizes.context


def test_a_prompt_beyond_the_context_scores_nan_and_touches_no_other(backend: Backend, parts: Parts) -> None:
    prompts = prompts_of(parts)
    scores = backend.score([prompts[0], "word " * 5000, prompts[1]], LABELS)
    assert np.isnan(scores[1]).all()
    np.testing.assert_array_equal(scores[[0, 2]], backend.score(prompts[:2], LABELS))


def test_generation_is_greedy_and_stops(backend: Backend, parts: Parts) -> None:
    prompts = prompts_of(parts)[:3]
    first = backend.generate(prompts, GenerationLimits(max_new_tokens=4))
    assert first == backend.generate(prompts, GenerationLimits(max_new_tokens=4))
    letter = next(text for text in first if text)[0]
    stopped = backend.generate(prompts, GenerationLimits(max_new_tokens=4, stop=(letter,)))
    assert all(letter not in text for text in stopped)


def test_a_drawn_text_depends_on_prompt_and_seed_alone(backend: Backend, parts: Parts) -> None:
    prompts = list(dict.fromkeys(prompts_of(parts)))[:6]
    limits = GenerationLimits(max_new_tokens=6, temperature=3.0, seed=1)
    together = backend.generate(prompts, limits)
    assert backend.generate(prompts, limits) == together
    assert [backend.generate([p], limits)[0] for p in prompts] == together
    assert backend.generate(prompts[::-1], limits) == together[::-1]
    others = [backend.generate(prompts, limits.model_copy(update={"seed": seed})) for seed in range(2, 8)]
    assert any(other != together for other in others)
    nucleus = limits.model_copy(update={"top_p": 1e-6})  # the most probable token alone
    assert backend.generate(prompts, nucleus) == backend.generate(prompts, GenerationLimits(max_new_tokens=6))


def test_training_learns_and_describes_itself(backend: Backend, trained: Candidate, parts: Parts) -> None:
    folder = Path(trained.path)
    assert trained.adapter_sha256 == sha256(folder / "adapter_model.safetensors")
    assert trained.adapter_bytes == (folder / "adapter_model.safetensors").stat().st_size
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == trained.rank == 4
    assert sorted(p.name for p in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "candidate.json",
    ]
    assert [entry.epoch for entry in trained.log] == [1, 2, 3]
    assert trained.log[trained.best_epoch - 1].validation_macro_f1 == trained.validation_macro_f1
    assert trained.validation_macro_f1 == max(entry.validation_macro_f1 for entry in trained.log)
    scores = backend.with_adapter(folder).score(prompts_of(parts), LABELS)
    gold = [LABELS.index(str(e.answer)) for e in parts[1]]
    assert -scores[np.arange(16), gold].mean() == pytest.approx(trained.validation_loss, abs=1e-6)
    bare = backend.score(prompts_of(parts), LABELS)
    assert trained.validation_loss < -bare[np.arange(16), gold].mean()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    train: Train, trained: Candidate, tmp_path: Path
) -> None:
    assert train(tmp_path / "again").adapter_sha256 == trained.adapter_sha256
    assert train(tmp_path / "other", seed=8).adapter_sha256 != trained.adapter_sha256


def test_a_finished_folder_answers_at_once(train: Train, trained: Candidate) -> None:
    before = (Path(trained.path) / "candidate.json").stat().st_mtime_ns
    assert train(Path(trained.path)) == trained
    assert (Path(trained.path) / "candidate.json").stat().st_mtime_ns == before


def test_a_finished_folder_of_other_inputs_is_not_believed(train: Train, tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    first = train(tmp_path / "r", recipe=short)
    second = train(tmp_path / "r", recipe=short, seed=11)
    assert second.adapter_sha256 != first.adapter_sha256


def test_altered_weights_are_trained_again(train: Train, trained: Candidate, tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    first = train(tmp_path / "r", recipe=short)
    (tmp_path / "r" / "adapter_model.safetensors").write_bytes(b"not weights")
    assert train(tmp_path / "r", recipe=short).adapter_sha256 == first.adapter_sha256


def test_no_adapter_is_the_base_and_the_base_is_never_touched(
    backend: Backend, trained: Candidate, parts: Parts
) -> None:
    prompts = prompts_of(parts)
    bare = backend.score(prompts, LABELS)
    adapted = backend.with_adapter(Path(trained.path))
    assert np.abs(adapted.score(prompts, LABELS) - bare).max() > 1e-3
    np.testing.assert_array_equal(backend.score(prompts, LABELS), bare)
    np.testing.assert_array_equal(adapted.with_adapter(None).score(prompts, LABELS), bare)
    assert adapted.base_hash == backend.base_hash
    assert len(backend.base_hash) == 64


def test_an_unknown_answer_or_an_empty_part_is_bad_input(
    backend: Backend, parts: Parts, tmp_path: Path
) -> None:
    arguments: dict = {"labels": LABELS, "recipe": RECIPE, "rank": 4, "seed": 1, "out_dir": tmp_path / "r"}
    odd = parts[0][0].model_copy(update={"answer": "perhaps"})
    with pytest.raises(BadInput, match="1 training record"):
        finetune_one(backend, [*parts[0], odd], parts[1], **arguments)
    with pytest.raises(BadInput, match="validation part holds no records"):
        finetune_one(backend, parts[0], [], **arguments)
    long = parts[0][0].model_copy(update={"prompt": "word " * 5000})
    with pytest.raises(BadInput, match=r"1 prompt\(s\) do not fit"):
        finetune_one(backend, [*parts[0], long], parts[1], **arguments)
    assert not (tmp_path / "r").exists()


def test_a_folder_without_an_adapter_is_bad_input(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="adapter"):
        backend.with_adapter(tmp_path)


def test_progress_is_told(backend: Backend, parts: Parts, train: Train, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    backend.score(prompts_of(parts), LABELS, lambda *call: seen.append(call))
    assert seen[-1] == ("scoring", 16, 16)
    seen.clear()
    short = RECIPE.model_copy(update={"epochs": 1})
    train(tmp_path / "r", recipe=short, progress=lambda *call: seen.append(call))
    assert seen[-1][0] == "epoch 1 of 1"
    assert seen[-1][1] == seen[-1][2]
