"""Every shipped model configuration on a tiny random base of its architecture, with its family's kind of template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from conftest import LABELS
from families import FAMILIES
from one_run import finetune_one
from safetensors.numpy import load_file
from test_torch import brute_force

from primum.backends import open_backend
from primum.backends.base import GenerationLimits
from primum.backends.base_files import hash_base, locate
from primum.backends.chat import Chat
from primum.config import ModelConfig, StackConfig, load_run
from primum.errors import BadInput
from primum.records import Example

Parts = tuple[list[Example], list[Example]]
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
WORDS = ("no", "no change", "not sure")
PROMPTS = ["Ill?", "mean radius: +3", "x" * 40]


def shipped(name: str) -> ModelConfig:
    return load_run(CONFIGS, None, {"model": name}).model


def on(folder: Path, name: str, **changes: Any) -> Any:
    """The shipped configuration with the tiny base in place of the hub's, in float32 and its own context."""
    model = shipped(name).model_copy(
        update={"source": str(folder), "dtype": "float32", "max_length": None, **changes}
    )
    return open_backend(model, StackConfig(threads=1), Path("/"))


@pytest.fixture(scope="module", params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.build(tmp_path_factory.mktemp("family") / name, FAMILIES[name])


@pytest.fixture(scope="module")
def backend(name: str, folder: Path) -> Any:
    return on(folder, name)


def test_every_shipped_model_has_a_family_here() -> None:
    assert {path.stem for path in (CONFIGS / "models").glob("*.yaml")} == {*FAMILIES, "primum-base"}


def test_the_configuration_asks_for_a_revision_and_tells_its_licence(name: str, tmp_path: Path) -> None:
    model = shipped(name)
    assert model.base_licence
    assert model.thinking == "off"
    with pytest.raises(BadInput, match=f"needs a pinned commit .*`primum model pin {name}`.*--set"):
        locate(model, tmp_path)


def test_the_prompt_is_what_the_family_expects(name: str, backend: Any) -> None:
    chat = backend._base.chat
    family = FAMILIES[name]
    assert chat.tokenizer.decode(chat.prompts(["Ill?"])[0]) == family.prompt
    assert chat.tokenizer.convert_ids_to_tokens(chat.end_of_turn) == family.end
    assert 0 <= chat.pad < backend._model.get_input_embeddings().num_embeddings


def test_no_mark_of_a_turn_survives_in_a_records_text(name: str, backend: Any) -> None:
    chat, family = backend._base.chat, FAMILIES[name]
    marks = [*family.special, *family.plain, *family.named.values()]
    added = chat.tokenizer.added_tokens_decoder
    plain, hostile = chat.prompts(["x", f"x{''.join(marks)} yes {' '.join(marks)}"])
    assert [t for t in hostile if t in added] == [t for t in plain if t in added]


def test_scores_are_those_of_each_label_alone_in_any_batch(backend: Any) -> None:
    chat = backend._base.chat
    answers = [[*chat.answer(w), chat.end_of_turn] for w in WORDS]
    expected = np.array([brute_force(backend._model, p, answers) for p in chat.prompts(PROMPTS)])
    together = backend.score(PROMPTS, WORDS)
    np.testing.assert_allclose(together, expected, atol=1e-4)
    np.testing.assert_array_equal(backend.score(PROMPTS[1:2], WORDS), together[1:2])


def test_two_steps_change_the_adapter_alone_and_reach_every_linear_layer(
    name: str, backend: Any, parts: Parts, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in backend._model.state_dict().items()}
    bare = backend.score(PROMPTS, LABELS)
    recipe = shipped(name).recipe.model_copy(update={"epochs": 1, "batch_size": 20, "learning_rate": 0.02})
    finetune_one(backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=7, out_dir=tmp_path / "r")
    after = backend._model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert np.abs(backend.with_adapter(tmp_path / "r").score(PROMPTS, LABELS) - bare).max() > 1e-4
    adapted = {
        key.removeprefix("base_model.model.").rpartition(".lora_")[0]
        for key in load_file(tmp_path / "r" / "adapter_model.safetensors")
    }
    head = backend._model.get_output_embeddings()
    linear = {
        n for n, m in backend._model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head
    }
    assert adapted == linear
    assert {n.rpartition(".")[2] for n in linear} == set(recipe.target_modules)


def test_generation_ends_with_the_turn(backend: Any) -> None:
    """A hook lets the base say two tokens and then the end of the turn."""
    chat, calls = backend._base.chat, []
    two = chat.answer("no")[:1] * 2

    def say(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        wanted = [*two, chat.end_of_turn, *chat.answer("yes") * 20][len(calls)]
        calls.append(wanted)
        return torch.full_like(logits, -100.0).index_fill(-1, torch.tensor([wanted]), 100.0)

    hook = backend._model.get_output_embeddings().register_forward_hook(say)
    try:
        texts = backend.generate(["Ill?"], GenerationLimits(max_new_tokens=12))
    finally:
        hook.remove()
    assert texts == [chat.text(two)]
    assert len(calls) == 3


def test_mlx_makes_the_same_tokens(name: str, folder: Path, backend: Any) -> None:
    from primum.backends.mlx.base_model import _open_chat

    here = _open_chat(folder, name, shipped(name))
    there = backend._base.chat
    assert here.prompts(PROMPTS) == there.prompts(PROMPTS)
    assert (here.end_of_turn, here.answer("yes")) == (there.end_of_turn, there.answer("yes"))


# The thinking switch


@pytest.fixture(scope="module")
def reasoning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.build(tmp_path_factory.mktemp("r") / "r", FAMILIES["deepseek-r1-distill"])


def chat_of(folder: Path, template: str | None = None, **more: Any) -> Chat:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template or tokenizer.chat_template
    return Chat(tokenizer, "x", **more)


@pytest.mark.parametrize(
    ("written", "closed"),
    [
        ("<think>", "<think>\n\n</think>\n\n"),
        ("<think>\n", "<think>\n\n</think>\n\n"),
        ("<think>\nWell, ", "<think>\nWell, \n</think>\n\n"),
        ("<thinking>", "<thinking>\n\n</thinking>\n\n"),
        ("[THINK]", "[THINK]\n\n[/THINK]\n\n"),
        ("◁think▷", "◁think▷\n\n◁/think▷\n\n"),
        ("<think></think>", "<think></think>"),
        ("", ""),
    ],
)
def test_a_thought_that_the_template_leaves_open_is_closed(
    reasoning: Path, written: str, closed: str
) -> None:
    template = f"{{{{ '<｜User｜>' + messages[0].content + '<｜Assistant｜>' + {written!r} }}}}"
    chat = chat_of(reasoning, template)
    said = chat.tokenizer.decode(chat.prompts(["is <think> open?"])[0])
    assert said == f"<｜User｜>is < think> open?<｜Assistant｜>{closed}"


def test_the_other_name_of_the_switch_is_told_too(reasoning: Path) -> None:
    template = "{{ messages[0].content }}{% if thinking %}<think>{% else %}</think>{% endif %}"
    assert chat_of(reasoning, template)._render(["x"]) == ["x</think>"]
    assert chat_of(reasoning, template, thinking="on")._render(["x"]) == ["x<think>"]


def test_with_thinking_on_text_is_generated_and_nothing_scored(reasoning: Path) -> None:
    backend = on(reasoning, "deepseek-r1-distill", thinking="on")
    chat = backend._base.chat
    assert chat.tokenizer.decode(chat.prompts(["Ill?"])[0]).endswith("<｜Assistant｜><think>\n")
    assert len(backend.generate(["Ill?"], GenerationLimits(max_new_tokens=2))) == 1
    with pytest.raises(BadInput, match=r"model\.thinking: on is for generating text only"):
        backend.score(["Ill?"], LABELS)
    assert backend.base_hash == hash_base(reasoning, "x", thinking="on") != hash_base(reasoning, "x")


def test_yaml_reads_on_and_off_as_true_and_false() -> None:
    assert ModelConfig(name="x", thinking=True).thinking == "on"  # type: ignore[arg-type]
    assert ModelConfig(name="x", thinking=False).thinking == "off"  # type: ignore[arg-type]
