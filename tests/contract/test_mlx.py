"""What the mlx backend promises beyond the contract: torch's numbers, resumption after a kill, and refusals."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
import tiny_base
import torch
import transformers
from conftest import LABELS, RECIPE
from mlx_lm.tuner import trainer as tuner
from one_run import finetune_one

from primum.backends import open_backend
from primum.backends.base import Backend, GenerationLimits
from primum.backends.mlx import finetune as training_of_mlx
from primum.backends.mlx import optimizer as optimizer_of_mlx
from primum.backends.mlx.convert import mlx_to_peft, peft_to_mlx, read_peft
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput, PrimumError
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]
SHORT = RECIPE.model_copy(update={"epochs": 1})
MANY = ("no", "no change", "not sure", "maybe nothing")
PARITY = 1e-3
"""The contract: nats, in float32."""


def open_on(backend: Any, source: Path | str, **more: Any) -> Backend:
    return open_backend(
        ModelConfig(name="x", source=str(source), **more), StackConfig(backend=backend), Path("/")
    )


def prompts_of(parts: Parts) -> list[str]:
    return [e.prompt + "x" * (7 * i % 40) for i, e in enumerate(parts[1])]


def trained_on(backend: Backend, parts: Parts, folder: Path, **changes: Any) -> Candidate:
    """A short training; keywords replace keys of the recipe."""
    recipe = SHORT.model_copy(update=changes)
    return finetune_one(backend, *parts, labels=LABELS, recipe=recipe, rank=4, seed=7, out_dir=folder)


# --- the same numbers as torch -----------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [LABELS, MANY, tuple(f"answer {i}" for i in range(12))])
def test_the_bare_base_says_what_it_says_on_torch(
    torch_backend: Backend, mlx_backend: Backend, parts: Parts, labels: tuple[str, ...]
) -> None:
    there, here = (b.score(prompts_of(parts), labels) for b in (torch_backend, mlx_backend))
    np.testing.assert_allclose(here, there, atol=PARITY)
    assert mlx_backend.base_hash == torch_backend.base_hash
    assert mlx_backend.numerics == "mlx/float32"


def test_the_embedded_base_says_what_it_says_on_torch() -> None:
    prompts = [f"Is it ill?\nage: +{i}0; pressure: -1{i}\nAnswer yes or no." for i in range(3)]
    scores = [
        open_on(backend, "embedded").score(prompts, ("yes", "no change", "no")) for backend in ("cpu", "mlx")
    ]
    np.testing.assert_allclose(scores[1], scores[0], atol=PARITY)


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
@pytest.mark.parametrize("trained", ["torch", "mlx"])
def test_an_adapter_of_either_says_the_same_on_both(
    torch_backend: Backend, mlx_backend: Backend, parts: Parts, tmp_path: Path, variant: str, trained: str
) -> None:
    trainer = mlx_backend if trained == "mlx" else torch_backend
    made = trained_on(trainer, parts, tmp_path / "r", variant=variant)
    there, here = (
        b.with_adapter(Path(made.path)).score(prompts_of(parts), MANY) for b in (torch_backend, mlx_backend)
    )
    np.testing.assert_allclose(here, there, atol=PARITY)
    assert np.abs(here - mlx_backend.score(prompts_of(parts), MANY)).max() > 0.01


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
    "llama-scaled": {
        "rope_parameters": {
            "rope_theta": 5000.0,
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        }
    },
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma2": {
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "final_logit_softcapping": 3.0,
        "sliding_window": 512,
    },
    "phi3": {"original_max_position_embeddings": 512},
}


def family_base(name: str, folder: Path) -> Path:
    return tiny_base.of_kind(
        folder, name.partition("-")[0], tie_word_embeddings=name == "gemma2", **FAMILIES[name]
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_other_architectures_say_what_they_say_on_torch(name: str, parts: Parts, tmp_path: Path) -> None:
    folder = family_base(name, tmp_path / name)
    here, there = open_on("mlx", folder), open_on("cpu", folder)
    prompts = prompts_of(parts)[:4]
    np.testing.assert_allclose(here.score(prompts, MANY), there.score(prompts, MANY), atol=PARITY)
    trained_on(here, parts, tmp_path / "r")
    scores = [b.with_adapter(tmp_path / "r").score(prompts, MANY) for b in (here, there)]
    np.testing.assert_allclose(scores[0], scores[1], atol=PARITY)


def test_a_window_that_mlx_lm_leaves_out_is_the_context(parts: Parts, tmp_path: Path) -> None:
    """Beyond it another model would answer: 0.8 nats apart."""
    folder = tiny_base.of_kind(tmp_path / "m", "mistral", sliding_window=60)
    here, there = open_on("mlx", folder), open_on("cpu", folder)
    short, long = "Ill?", parts[1][0].prompt + "x" * 60
    assert here.measure([short, long], LABELS).too_long == 1
    scores = here.score([short, long], LABELS)
    np.testing.assert_allclose(scores[0], there.score([short], LABELS)[0], atol=PARITY)
    assert np.isnan(scores[1]).all()
    whole = tiny_base.of_kind(tmp_path / "q", "qwen2", sliding_window=60, use_sliding_window=False)
    assert open_on("mlx", whole).measure([short, long], LABELS).too_long == 0


def test_the_routers_of_experts_are_left_out(parts: Parts, tmp_path: Path) -> None:
    """transformers has no linear layer in their place, so nothing else could read the adapter."""
    folder = tiny_base.of_kind(
        tmp_path / "moe",
        "qwen2_moe",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
    )
    here, there = open_on("mlx", folder), open_on("cpu", folder)
    trained_on(here, parts, tmp_path / "r")
    prompts = prompts_of(parts)[:4]
    scores = [b.with_adapter(tmp_path / "r").score(prompts, LABELS) for b in (here, there)]
    np.testing.assert_allclose(scores[0], scores[1], atol=PARITY)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_written_answers_are_torchs(
    torch_backend: Backend, mlx_backend: Backend, parts: Parts, temperature: float
) -> None:
    limits = GenerationLimits(max_new_tokens=8, temperature=temperature, top_p=0.9)
    assert mlx_backend.generate(prompts_of(parts), limits) == torch_backend.generate(
        prompts_of(parts), limits
    )


@pytest.mark.parametrize("labels", [LABELS, MANY])
def test_a_prompt_goes_through_the_layers_once(
    mlx_backend: Any, monkeypatch: pytest.MonkeyPatch, labels: tuple[str, ...]
) -> None:
    """Two short prompts are one batch; answers of several tokens add passes over those tokens alone."""
    seen: list[tuple[int, ...]] = []
    fresh = mlx_backend.with_adapter(None)
    layers = fresh._parts.layers
    spied = fresh._parts._replace(layers=lambda ids, **k: (seen.append(ids.shape), layers(ids, **k))[1])
    monkeypatch.setattr(fresh, "_parts", spied)
    fresh.score(["a", "b"], labels)
    assert [width for _, width in seen if width > 4] == [16]
    assert len(seen) == (1 if labels == LABELS else 3)


def test_a_window_that_the_prompt_passes_is_refused_for_answers_of_several_tokens(
    base_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(base_folder, tmp_path / "windowed")
    config = json.loads((base_folder / "config.json").read_text())
    windows = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
    (tmp_path / "windowed" / "config.json").write_text(json.dumps({**config, **windows}))
    here = open_on("mlx", tmp_path / "windowed")
    with pytest.raises(BadInput, match="verbalizers"):
        here.score(["a prompt beyond the window"], MANY)
    assert np.isfinite(here.score(["a prompt beyond the window"], LABELS)).all()


# --- training -----------------------------------------------------------------------------------------------


def test_the_rates_are_transformers(tmp_path: Path) -> None:
    for ratio, steps in ((0.1, 15), (0.0, 7), (0.5, 4), (3, 10)):
        recipe = RECIPE.model_copy(update={"warmup_ratio": ratio})
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
        arguments = transformers.TrainingArguments(output_dir=str(tmp_path), warmup_steps=ratio)
        schedule = transformers.get_scheduler("cosine", optimizer, arguments.get_warmup_steps(steps), steps)
        expected = []
        for _ in range(steps):
            expected.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        assert optimizer_of_mlx.learning_rates(recipe, steps) == pytest.approx(expected, abs=0, rel=1e-15)


def test_a_training_takes_the_very_steps_of_torch(
    mlx_backend: Any, base_folder: Path, parts: Parts, tmp_path: Path
) -> None:
    """Twenty-two records in batches of eight, in micro-batches of three, against torch's AdamW by hand."""
    from peft import PeftModel

    from primum.backends import epochs

    recipe = SHORT.model_copy(
        update={"weight_decay": 0.1, "micro_batch_size": 3, "learning_rate": 5e-3, "class_balanced": False}
    )
    few = parts[0][:22]
    at_rest = recipe.model_copy(update={"learning_rate": 1e-30})
    arguments: dict = {"labels": LABELS, "rank": 4, "seed": 7}
    finetune_one(mlx_backend, few, parts[1], recipe=at_rest, out_dir=tmp_path / "start", **arguments)
    made = finetune_one(mlx_backend, few, parts[1], recipe=recipe, out_dir=tmp_path / "r", **arguments)

    base = transformers.AutoModelForCausalLM.from_pretrained(base_folder)
    model = PeftModel.from_pretrained(base, str(tmp_path / "start"), is_trainable=True)
    chat = mlx_backend._base.chat
    prompts = chat.prompts([e.prompt for e in few])
    answers = [[*chat.answer(str(e.answer)), chat.end_of_turn] for e in few]
    order = epochs.epoch_order(
        [str(e.answer) for e in few],
        0,
        7,
        balanced=False,
        lengths=[len(p) + len(a) for p, a in zip(prompts, answers, strict=True)],
        batch=8,
    )
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.1)
    losses = []
    for step, rate in enumerate(optimizer_of_mlx.learning_rates(recipe, 3)):
        rows = order[8 * step : 8 * step + 8]
        total, count = torch.zeros(()), 0
        for i in rows:
            ids = torch.tensor([prompts[i] + answers[i]])
            logits = model(input_ids=ids).logits[0, len(prompts[i]) - 1 : -1]
            total = total + torch.nn.functional.cross_entropy(
                logits, torch.tensor(answers[i]), reduction="sum"
            )
            count += len(answers[i])
        optimizer.zero_grad()
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        losses.append(float(total.detach() / count))
    assert made.log[0].train_loss == pytest.approx(np.mean(losses), abs=1e-4)
    got = mlx_backend.with_adapter(tmp_path / "r").score(prompts_of(parts), LABELS)
    model.save_pretrained(tmp_path / "reference")
    want = mlx_backend.with_adapter(tmp_path / "reference").score(prompts_of(parts), LABELS)
    np.testing.assert_allclose(got, want, atol=2e-4)
    assert np.abs(got - mlx_backend.score(prompts_of(parts), LABELS)).max() > 0.01


def test_only_the_uppermost_layers_and_the_named_modules_are_trained(
    mlx_backend: Backend, torch_backend: Backend, parts: Parts, tmp_path: Path
) -> None:
    trained_on(mlx_backend, parts, tmp_path / "r", layers=1, target_modules=("q_proj", "down_proj"))
    adapter, config = read_peft(tmp_path / "r")
    assert adapter.modules == ["model.layers.1.mlp.down_proj", "model.layers.1.self_attn.q_proj"]
    assert config["layers_to_transform"] == [1]
    scores = [
        b.with_adapter(tmp_path / "r").score(prompts_of(parts), LABELS) for b in (mlx_backend, torch_backend)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=PARITY)


def test_the_head_is_never_trained(parts: Parts, tmp_path: Path) -> None:
    untied = open_on("mlx", family_base("llama", tmp_path / "untied"))
    trained_on(untied, parts, tmp_path / "r")
    assert not any("lm_head" in name for name in read_peft(tmp_path / "r")[0].modules)
    for target in ("nowhere_proj", "lm_head"):
        with pytest.raises(BadInput, match="target_modules"):
            trained_on(untied, parts, tmp_path / "x", target_modules=(target,))


def test_nothing_of_the_process_is_changed(mlx_backend: Any, parts: Parts, tmp_path: Path) -> None:
    """Random states, the tuner's display, and the layers' class, which checkpointing replaces."""
    layer = type(mlx_backend._base.model.layers[0])
    call, display = layer.__call__, tuner.TrainUI
    np.random.seed(5)
    mx.random.seed(5)
    expected = np.random.rand(3), mx.random.uniform(shape=(3,))
    np.random.seed(5)
    mx.random.seed(5)
    trained_on(mlx_backend, parts, tmp_path / "a", dropout=0.3)
    first = trained_on(mlx_backend, parts, tmp_path / "b", gradient_checkpointing=True)
    assert (layer.__call__, tuner.TrainUI) == (call, display)
    np.testing.assert_array_equal(np.random.rand(3), expected[0])
    assert mx.array_equal(mx.random.uniform(shape=(3,)), expected[1])
    again = trained_on(mlx_backend, parts, tmp_path / "c", gradient_checkpointing=False)
    assert again.log[0].validation_loss == pytest.approx(first.log[0].validation_loss, abs=1e-4)


def test_an_adapter_shares_the_bases_arrays(mlx_backend: Any, parts: Parts, tmp_path: Path) -> None:
    from mlx.utils import tree_flatten

    trained_on(mlx_backend, parts, tmp_path / "r")
    adapted = mlx_backend.with_adapter(tmp_path / "r")
    own = {id(a) for _, a in tree_flatten(mlx_backend._base.model.parameters())}
    held = {id(a) for n, a in tree_flatten(adapted._model.parameters()) if ".lora_" not in n}
    assert held == own
    assert not any("lora" in name for name, _ in mlx_backend._base.model.named_modules())


def test_a_loss_that_is_not_finite_keeps_the_last_good_epoch(
    mlx_backend: Backend,
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rates = optimizer_of_mlx.learning_rates

    def explode(epoch: int) -> Callable[..., list[float]]:
        return lambda recipe, steps: [
            r if i < epoch * 5 else math.inf for i, r in enumerate(rates(recipe, steps))
        ]

    monkeypatch.setattr(training_of_mlx, "learning_rates", explode(1))
    made = trained_on(mlx_backend, parts, tmp_path / "r", epochs=3)
    assert [e.epoch for e in made.log] == [1]
    assert "not finite at step 7" in caplog.text
    assert np.isfinite(mlx_backend.with_adapter(tmp_path / "r").score(prompts_of(parts), LABELS)).all()
    monkeypatch.setattr(training_of_mlx, "learning_rates", explode(0))
    with pytest.raises(PrimumError, match="not finite at step 2, before any epoch"):
        trained_on(mlx_backend, parts, tmp_path / "never", epochs=3)


@pytest.mark.parametrize(
    "change",
    [
        {"packing": True},
        {"neftune_alpha": 5.0},
        {"optimizer": "paged_adamw_8bit"},
        {"gradient_checkpointing": True, "dropout": 0.1},
    ],
    ids=str,
)
def test_what_the_tuner_cannot_do_is_refused_first(
    mlx_backend: Backend, parts: Parts, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(BadInput, match=f"model.recipe.{next(iter(change))}"):
        trained_on(mlx_backend, parts, tmp_path / "r", **change)
    assert not (tmp_path / "r").exists()


# --- after a kill -------------------------------------------------------------------------------------------

KILLED = """
import json, os, signal, sys
from pathlib import Path
from primum.backends import open_backend
from primum.backends.base import Recipe, Run
from primum.config import ModelConfig, StackConfig
from primum.records import Example

base, out, data = sys.argv[1:]
rows = [Example(**r) for r in json.loads(Path(data).read_text())]

def progress(what, done, total):
    if (what, done) == ("epoch 3 of 3", 2):
        os.kill(os.getpid(), signal.SIGKILL)

open_backend(ModelConfig(name="tiny", source=base), StackConfig(backend="mlx"), Path("/")).finetune(
    rows[:40], rows[40:], labels=("yes", "no"), recipe=Recipe(**json.loads(os.environ["RECIPE"])),
    runs=(Run(rank=4, seed=7, out_dir=out),), progress=progress)
"""
DROPPING = RECIPE.model_copy(update={"dropout": 0.2})
"""Dropout draws random numbers, which a resumed training must draw again."""


@pytest.fixture(scope="module")
def interrupted(base_folder: Path, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that was killed in the middle of its third epoch (step 12 of 15)."""
    folder = tmp_path_factory.mktemp("killed")
    data = folder / "data.json"
    data.write_text(json.dumps([e.model_dump() for e in (*parts[0], *parts[1])]))
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(base_folder), str(folder / "r"), str(data)],
        env={**os.environ, "RECIPE": DROPPING.model_dump_json()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert process.stdout == ""  # mlx-lm's own display stays away
    return folder / "r"


@pytest.fixture(scope="module")
def whole(mlx_backend: Backend, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    folder = tmp_path_factory.mktemp("whole") / "r"
    return finetune_one(mlx_backend, *parts, labels=LABELS, recipe=DROPPING, rank=4, seed=7, out_dir=folder)


@pytest.mark.parametrize("damage", ["none", "truncate", "remove", "all"])
def test_a_killed_training_continues_and_ends_with_the_same_bits(
    mlx_backend: Backend, parts: Parts, interrupted: Path, whole: Candidate, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(interrupted, tmp_path / "r", symlinks=True)
    last = tmp_path / "r" / "checkpoints" / "checkpoint-10"
    if damage == "truncate":
        os.truncate(last / "optimizer.safetensors", 100)
    elif damage == "remove":
        (last / "adapter_model.safetensors").unlink()
    elif damage == "all":
        for folder in last.parent.glob("checkpoint-*"):
            shutil.rmtree(folder)
    steps: list[int] = []
    made = finetune_one(
        mlx_backend,
        *parts,
        labels=LABELS,
        recipe=DROPPING,
        rank=4,
        seed=7,
        out_dir=tmp_path / "r",
        progress=lambda what, done, total: steps.append(done),
    )
    assert len(steps) == {"none": 5, "truncate": 10, "remove": 10, "all": 15}[damage]
    assert made.adapter_sha256 == whole.adapter_sha256
    found = [[(e.train_loss, e.validation_macro_f1, e.validation_loss) for e in c.log] for c in (made, whole)]
    assert found[0] == found[1]
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "candidate.json",
    ]


# --- conversion, with the libraries themselves ---------------------------------------------------------------


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_mlx_lm_and_peft_read_the_converted_adapter(
    mlx_backend: Any, parts: Parts, base_folder: Path, tmp_path: Path, variant: str
) -> None:
    from peft import PeftModel

    trained_on(mlx_backend, parts, tmp_path / "r", variant=variant)
    peft_to_mlx(tmp_path / "r", tmp_path / "mlx", 2)
    ids = mlx_backend._base.chat.prompts(prompts_of(parts)[:1])
    adapted, _ = mlx_lm.load(str(base_folder), adapter_path=str(tmp_path / "mlx"))
    here = np.array(adapted(mx.array(ids)))
    ours = np.array(mlx_backend.with_adapter(tmp_path / "r")._model(mx.array(ids)))
    np.testing.assert_allclose(here, ours, atol=1e-5)
    config = json.loads((tmp_path / "mlx" / "adapter_config.json").read_text())
    del config["peft"]  # as mlx-lm would have left it
    (tmp_path / "mlx" / "adapter_config.json").write_text(json.dumps(config))
    mlx_to_peft(tmp_path / "mlx", tmp_path / "back")
    base = transformers.AutoModelForCausalLM.from_pretrained(base_folder)
    model = PeftModel.from_pretrained(base, str(tmp_path / "back")).eval()
    with torch.no_grad():
        there = torch.log_softmax(model(input_ids=torch.tensor(ids)).logits, dim=-1).numpy()
    np.testing.assert_allclose(
        np.array(mx.array(here) - mx.logsumexp(mx.array(here), axis=-1, keepdims=True)), there, atol=PARITY
    )


# --- bases and adapters that are refused -----------------------------------------------------------------


def test_what_is_no_base_is_refused_in_one_line(base_folder: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        shutil.copytree(base_folder, tmp_path / name)
        return tmp_path / name

    os.truncate(broken("short") / "model.safetensors", 1000)
    (broken("tokenless") / "tokenizer.json").unlink()
    (broken("templateless") / "chat_template.jinja").unlink()
    (broken("weightless") / "model.safetensors").unlink()
    (broken("garbled") / "tokenizer.json").write_text("{")
    config = json.loads((broken("wide") / "config.json").read_text())
    (tmp_path / "wide" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    (broken("strange") / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    tiny_base.of_kind(tmp_path / "keyless", "gpt2")
    (broken("layered") / "config.json").write_text(
        json.dumps({**config, "rope_parameters": {"full_attention": {"rope_theta": 1.0}}})
    )
    for source, words in {
        "short": "weights cannot be read",
        "tokenless": "no tokenizer",
        "templateless": "model.chat_template: plain",
        "weightless": "safetensors",
        "garbled": "tokenizer cannot be read",
        "wide": "missing",
        "strange": "does not know its architecture",
        "keyless": "does not know its architecture",
        "layered": "rope_parameters",
        "nowhere": "neither a folder nor a hub id",
    }.items():
        folder = tmp_path / source if (tmp_path / source).exists() else source
        with pytest.raises(BadInput, match=words) as caught:
            open_on("mlx", folder)
        assert "\n" not in str(caught.value)
    plain, own = open_on("mlx", tmp_path / "templateless", chat_template="plain"), open_on("mlx", base_folder)
    assert np.isfinite(plain.score(["a"], LABELS)).all()
    assert plain.base_hash != own.base_hash
    with pytest.raises(BadInput, match="more than the 512"):
        open_on("mlx", base_folder, max_length=9999)
    with pytest.raises(BadInput, match="MLX's own 4 bits"):
        open_on("mlx", base_folder, quantisation="nf4")


def test_a_base_in_mlxs_own_4_bits_scores_and_trains(base_folder: Path, parts: Parts, tmp_path: Path) -> None:
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model

    shutil.copytree(base_folder, tmp_path / "q4")
    model, config = quantize_model(*load_model(base_folder), 32, 4)
    (tmp_path / "q4" / "model.safetensors").unlink()
    save_model(tmp_path / "q4", model)
    save_config(config, tmp_path / "q4" / "config.json")
    q4 = open_on("mlx", tmp_path / "q4")
    assert q4.numerics == "mlx/float32+q4"
    for variant in ("lora", "dora"):
        made = trained_on(q4, parts, tmp_path / variant, variant=variant)
        scores = q4.with_adapter(Path(made.path)).score(prompts_of(parts), LABELS)
        assert np.abs(scores - q4.score(prompts_of(parts), LABELS)).max() > 0.01


def test_a_half_precision_base_trains(base_folder: Path, parts: Parts, tmp_path: Path) -> None:
    half = open_on("mlx", base_folder, dtype="bfloat16")
    assert half.numerics == "mlx/bfloat16"
    made = trained_on(half, parts, tmp_path / "r")
    assert np.isfinite(half.with_adapter(Path(made.path)).score(prompts_of(parts), MANY)).all()


def test_an_adapter_of_another_base_is_bad_input(
    mlx_backend: Backend, parts: Parts, base_folder: Path, tmp_path: Path
) -> None:
    trained_on(mlx_backend, parts, tmp_path / "r")
    wide = open_on("mlx", tiny_base.build(tmp_path / "wide", hidden=64))
    flat = open_on("mlx", tiny_base.build(tmp_path / "flat", layers=1))
    for other in (wide, flat):
        with pytest.raises(BadInput, match="does not load on"):
            other.with_adapter(tmp_path / "r")


def test_no_room_and_verbalizers_alike_are_bad_input(mlx_backend: Backend) -> None:
    with pytest.raises(BadInput, match="no room for an answer in 512 tokens"):
        mlx_backend.generate(["short"], GenerationLimits(max_new_tokens=512))
    with pytest.raises(BadInput, match="verbalizers"):
        mlx_backend.score(["a"], ("yes", "yes"))
