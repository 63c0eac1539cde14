"""A tiny pretraining run leaves a folder that transformers loads, and it has learned something."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from primum.pretraining.config import PretrainConfig, PretrainReport

TINY = PretrainConfig(
    tokens=40_000,
    vocab_size=600,
    hidden_size=32,
    intermediate_size=64,
    layers=2,
    heads=2,
    batch_tokens=2048,
    conditions=4,
    judge_contexts=120,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PretrainReport]:
    from primum.backends.torch.pretrain import pretrain

    folder = tmp_path_factory.mktemp("pretrain") / "base"
    seen: list[tuple[int, int]] = []
    report = pretrain(TINY, folder, lambda _, done, total: seen.append((done, total)))
    assert seen[-1] == (TINY.tokens, TINY.tokens)
    return folder, report


def test_the_folder_is_complete_and_says_how_it_was_made(made: tuple[Path, PretrainReport]) -> None:
    folder, report = made
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {"training_log.csv", "README.md", "LICENSE", "pretrain.json"} <= names
    assert not list(folder.parent.glob("*.draft"))
    assert json.loads((folder / "pretrain.json").read_text())["config"] == TINY.model_dump(mode="json")
    with (folder / "training_log.csv").open() as file:
        losses = [float(row["answer_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == report.steps
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 1
    assert report.tokens >= TINY.tokens
    assert set(report.accuracy) == {"in_context", "lasting", "stated"}


def test_transformers_loads_it_and_its_chat_template_is_what_it_was_trained_on(
    made: tuple[Path, PretrainReport],
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from primum.backends.torch.corpus import encode
    from primum.pretraining.worlds import Conversation, Turn

    folder, report = made
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings == TINY.context
    assert model.num_parameters() == report.parameters
    turns = (Turn("Is age above +05?\nage: +13\nAnswer no or yes.", "yes", ("no", "yes")),) * 2
    user = {"role": "user", "content": turns[0].message}
    chat = [user, {"role": "assistant", "content": "yes"}] * 2
    templated = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    assert templated == encode(tokenizer, [Conversation("stated", turns)])[0].ids
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, tokenize=False)
    assert prompt.endswith("<|end|><|assistant|>")
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    made_ids = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert made_ids.shape[1] <= ids.shape[1] + 3


def test_the_same_config_gives_the_same_weights(made: tuple[Path, PretrainReport], tmp_path: Path) -> None:
    from primum.backends.torch.pretrain import pretrain

    assert pretrain(TINY, tmp_path / "again").weights_sha256 == made[1].weights_sha256


def test_judgements_join_the_model_card(made: tuple[Path, PretrainReport]) -> None:
    from primum.pretraining.card import JudgedSet, record_judgements

    folder, report = made
    judged = JudgedSet(
        name="heart",
        records=303,
        zero_shot=(0.4, 0.5),
        adapter=(0.8, 0.9),
        random_weights=(0.7, 0.8),
        lasso=(0.8, 0.8),
    )
    record_judgements(folder, [judged])
    card = (folder / "README.md").read_text()
    assert "| heart | 303 | 0.450 | 0.850 | 0.750 | 0.800 |" in card
    assert report.weights_sha256 in card
    assert json.loads((folder / "judgements.json").read_text())[0]["adapter"] == [0.8, 0.9]
    assert not list(folder.glob("*.draft"))
