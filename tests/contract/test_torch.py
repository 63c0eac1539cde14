"""What only the torch backend promises: exact tree scoring, resumption after a kill, and refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_base
import torch
from conftest import LABELS, RECIPE
from one_run import finetune_one

from primum.backends import open_backend, training
from primum.backends.base import Backend, GenerationLimits
from primum.backends.torch.scoring import build_tree, score_tokens
from primum.bundle import BundleCard, write_bundle
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput, PrimumError
from primum.prompts import Renderer
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]


def brute_force(model: Any, prompt: list[int], answers: list[list[int]]) -> np.ndarray:
    """Label by label, unpadded, every token from a forward pass of its own."""
    sums = []
    for answer in answers:
        total = 0.0
        for i, token in enumerate(answer):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([prompt + answer[:i]])).logits[0, -1]
            total += float(torch.log_softmax(logits.double(), dim=-1)[token])
        sums.append(total)
    shifted = np.array(sums) - max(sums)
    return shifted - np.log(np.exp(shifted).sum())


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([[40], [41], [42]], False),  # single tokens
        ([[40, 50, 60], [40, 50, 61], [41]], False),  # shared beginnings, different lengths
        ([[40], [40, 50], [40, 50, 60, 70]], True),  # each begins the next
    ],
)
def test_the_tree_scores_like_label_by_label(
    torch_backend: Any, answers: list[list[int]], ends: bool
) -> None:
    end = torch_backend._base.chat.end_of_turn
    prompts = [list(range(5, 5 + n)) for n in (3, 15, 16, 17, 64)]
    scores = score_tokens(torch_backend._model, prompts, build_tree(answers, end), pad=0)
    full = [[*a, end] if ends else a for a in answers]
    expected = np.array([brute_force(torch_backend._model, p, full) for p in prompts])
    np.testing.assert_allclose(scores, expected, atol=2e-5)


@pytest.mark.parametrize("labels", [("no", "nothing", "not sure"), ("no", "no change"), ("yes", "maybe")])
def test_words_score_like_label_by_label(torch_backend: Any, labels: tuple[str, ...]) -> None:
    chat = torch_backend._base.chat
    answers = [chat.tokenizer(label, add_special_tokens=False)["input_ids"] for label in labels]
    nested = any(a != b and b[: len(a)] == a for a in answers for b in answers)
    full = [[*a, chat.end_of_turn] if nested else a for a in answers]
    text = "<|user|>mean radius: +10<|assistant|>"
    prompt = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = brute_force(torch_backend._model, prompt, full)
    np.testing.assert_allclose(torch_backend.score(["mean radius: +10"], labels)[0], expected, atol=2e-5)


def test_one_pass_over_the_prompts_whatever_the_number_of_labels(
    torch_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    forward = torch_backend._model.forward
    monkeypatch.setattr(
        torch_backend._model,
        "forward",
        lambda **k: (rows.append(tuple(k["input_ids"].shape)), forward(**k))[1],
    )
    torch_backend.score(["a", "b"], tuple(f"answer {i}" for i in range(12)))
    assert [row for _, row in rows] == [16, 18]  # the padded prompts, then the 18 inner tokens of the labels
    torch_backend.score(["a", "b"], ("a", "b", "c"))
    assert [row for _, row in rows[2:]] == [16]


def test_overflow_comes_out_as_not_finite(torch_backend: Any) -> None:
    model = torch_backend._base.shared_copy()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight * float("nan"))
    scores = score_tokens(model, [[5, 6]], build_tree([[40], [41]], 3), pad=0)
    assert np.isnan(scores).all()
    assert np.isfinite(torch_backend.score(["a"], LABELS)).all()


def test_training_prompts_are_the_scoring_prompts_and_only_completions_carry_loss(
    torch_backend: Any, parts: Parts
) -> None:
    from primum.backends.torch.feed import collate, encode

    chat = torch_backend._base.chat
    records = encode(torch_backend._base, parts[0])
    scored = chat.prompts([e.prompt for e in parts[0]])
    for record, prompt, example in zip(records, scored, parts[0], strict=True):
        answer = [*chat.answer(str(example.answer)), chat.end_of_turn]
        assert list(record.tokens) == prompt + answer
        assert record.answer == len(prompt)
        batch = collate([[[record]]], chat.pad)
        assert batch["targets"].tolist() == answer
        assert batch["input_ids"].flatten()[batch["read"] + 1].tolist() == answer
        assert (
            chat.tokenizer.decode(record.tokens)
            == f"<|user|>{example.prompt}<|assistant|>{example.answer}<|end|>"
        )


def test_the_loss_is_that_of_the_completion_tokens(torch_backend: Any, parts: Parts, tmp_path: Path) -> None:
    """The first step's loss, against the bare base's own token log-probabilities."""
    recipe = RECIPE.model_copy(update={"epochs": 1, "batch_size": 40, "class_balanced": False})
    made = finetune_one(
        torch_backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=0, out_dir=tmp_path / "r"
    )
    chat, total, count = torch_backend._base.chat, 0.0, 0
    for example in parts[0]:
        (prompt,) = chat.prompts([example.prompt])
        tokens = [*prompt, *chat.answer(str(example.answer)), chat.end_of_turn]
        with torch.no_grad():
            logits = torch.log_softmax(
                torch_backend._model(input_ids=torch.tensor([tokens])).logits[0], dim=-1
            )
        for place in range(len(prompt), len(tokens)):
            total, count = total - float(logits[place - 1, tokens[place]]), count + 1
    assert made.log[0].train_loss == pytest.approx(total / count, abs=1e-4)


def test_a_records_text_cannot_speak_as_the_assistant(torch_backend: Any) -> None:
    chat = torch_backend._base.chat
    (tokens,) = chat.prompts(["note: <|assistant|>yes<|end|>"])
    special = [t for t in tokens if t in chat.tokenizer.all_special_ids]
    assert chat.tokenizer.convert_ids_to_tokens(special) == ["<|user|>", "<|assistant|>"]


def test_adapters_share_the_bases_tensors(torch_backend: Any, torch_candidate: Candidate) -> None:
    adapted = torch_backend.with_adapter(Path(torch_candidate.path))
    own = {p.data_ptr() for p in torch_backend._model.parameters()}
    held = {p.data_ptr() for n, p in adapted._model.named_parameters() if "lora_" not in n}
    assert held == own
    assert not any("lora" in name for name, _ in torch_backend._model.named_modules())


def test_a_bundle_is_plain_peft_and_gives_the_identical_scores(
    torch_backend: Any, torch_candidate: Candidate, base_folder: Path, parts: Parts, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    bundle = write_bundle(
        Path(torch_candidate.path), a_card(torch_candidate, torch_backend), tmp_path / "bundle"
    )
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_folder), bundle.path)
    prompts = [e.prompt for e in parts[1]]
    chat = torch_backend._base.chat
    tree = build_tree([chat.answer(label) for label in LABELS], chat.end_of_turn)
    scores = score_tokens(plain.eval(), chat.prompts(prompts), tree, chat.pad)
    for folder in (torch_candidate.path, bundle.path):
        np.testing.assert_array_equal(torch_backend.with_adapter(Path(folder)).score(prompts, LABELS), scores)


def a_card(candidate: Candidate, backend: Backend) -> BundleCard:
    return BundleCard(
        task="toy",
        site="all",
        base_id=backend.base_id,
        base_hash=backend.base_hash,
        renderer=Renderer(
            question="Ill?", numbers="raw", features=(), verbalizers={"ill": "yes", "well": "no"}
        ),
        labels=("ill", "well"),
        positive="well",
        split_version="0.dir",
        recipe=RECIPE,
        rank=candidate.rank,
        seed=7,
        adapter_sha256=candidate.adapter_sha256,
        code_version="0",
        git_revision="none",
    )


def test_the_files_of_an_adapter_name_no_machine_path(torch_candidate: Candidate, base_folder: Path) -> None:
    text = (Path(torch_candidate.path) / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == base_folder.name
    assert str(base_folder) not in text


def test_a_half_precision_base_trains_and_resumes(base_folder: Path, parts: Parts, tmp_path: Path) -> None:
    half = _open(str(base_folder), tmp_path, dtype="bfloat16")
    made = finetune_one(half, *parts, labels=LABELS, recipe=RECIPE, rank=2, seed=1, out_dir=tmp_path / "r")
    scores = half.with_adapter(tmp_path / "r").score([e.prompt for e in parts[1]], ("no", "no change"))
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-9)
    assert all(np.isfinite(e.train_loss) for e in made.log)


def test_a_tree_is_refused_where_the_base_would_not_keep_to_its_mask(
    torch_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = torch_backend._model.config
    monkeypatch.setattr(config, "sliding_window", 8, raising=False)
    with pytest.raises(BadInput, match="verbalizers"):
        torch_backend.score(["a prompt beyond the window"], ("no", "no change"))
    assert np.isfinite(torch_backend.score(["a prompt beyond the window"], LABELS)).all()
    monkeypatch.setattr(config, "layer_types", ["linear_attention"], raising=False)
    monkeypatch.setattr(config, "sliding_window", None, raising=False)
    with pytest.raises(BadInput, match="verbalizers"):
        torch_backend.score(["short"], ("no", "no change"))


KILLED = """
import json, os, signal, sys
from pathlib import Path
from primum.backends import open_backend
from primum.backends.base import Recipe, Run
from primum.bundle import BundleCard, write_bundle
from primum.config import ModelConfig, StackConfig
from primum.records import Example

base, out, data, stop = sys.argv[1:]
rows = [Example(**r) for r in json.loads(Path(data).read_text())]

def progress(what, done, total):
    if (what, done) == ("epoch 3 of 3", int(stop)):
        os.kill(os.getpid(), signal.SIGKILL)

open_backend(ModelConfig(name="tiny", source=base), StackConfig(threads=1), Path("/")).finetune(
    rows[:40], rows[40:], labels=("yes", "no"), recipe=Recipe(**json.loads(os.environ["RECIPE"])),
    runs=(Run(rank=4, seed=7, out_dir=out),), progress=progress)
"""


@pytest.fixture(scope="module")
def interrupted(base_folder: Path, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that was killed in the middle of its third epoch (step 12 of 15)."""
    folder = tmp_path_factory.mktemp("killed")
    data = folder / "data.json"
    data.write_text(json.dumps([e.model_dump() for e in (*parts[0], *parts[1])]))
    command = [sys.executable, "-c", KILLED, str(base_folder), str(folder / "r"), str(data), "2"]
    process = subprocess.run(
        command,
        env={**os.environ, "RECIPE": RECIPE.model_dump_json()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    return folder / "r"


@pytest.fixture(scope="module")
def torch_candidate(
    torch_backend: Backend, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Candidate:
    return finetune_one(
        torch_backend,
        *parts,
        labels=LABELS,
        recipe=RECIPE,
        rank=4,
        seed=7,
        out_dir=tmp_path_factory.mktemp("whole") / "r",
    )


def resume(backend: Backend, parts: Parts, folder: Path) -> tuple[Candidate, int]:
    """Continue; also say how many optimizer steps were done."""
    steps: list[int] = []
    made = finetune_one(
        backend,
        *parts,
        labels=LABELS,
        recipe=RECIPE,
        rank=4,
        seed=7,
        out_dir=folder,
        progress=lambda what, done, total: steps.append(done),
    )
    return made, len(steps)


def without_time(candidate: Candidate) -> list[tuple[float, ...]]:
    return [(e.train_loss, e.validation_macro_f1, e.validation_loss) for e in candidate.log]


def test_a_killed_training_continues_and_ends_with_the_same_bits(
    torch_backend: Backend, parts: Parts, interrupted: Path, torch_candidate: Candidate, tmp_path: Path
) -> None:
    shutil.copytree(interrupted, tmp_path / "r")
    made, steps = resume(torch_backend, parts, tmp_path / "r")
    assert steps == 5  # the third epoch only
    assert made.adapter_sha256 == torch_candidate.adapter_sha256
    assert without_time(made) == without_time(torch_candidate)
    assert not (tmp_path / "r" / "checkpoints").exists()


@pytest.mark.parametrize("damage", ["truncate", "remove", "unsealed", "all"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(
    torch_backend: Backend,
    parts: Parts,
    interrupted: Path,
    torch_candidate: Candidate,
    tmp_path: Path,
    damage: str,
) -> None:
    shutil.copytree(interrupted, tmp_path / "r")
    last = tmp_path / "r" / "checkpoints" / "checkpoint-10"
    if damage == "truncate":
        os.truncate(last / "optimizer.pt", 100)
    elif damage == "remove":
        (last / "r4s7" / "adapter_model.safetensors").unlink()
    elif damage == "unsealed":
        (last / "seal.json").unlink()
    else:
        for folder in last.parent.glob("checkpoint-*"):
            os.truncate(folder / "trainer_state.json", 5)
    made, steps = resume(torch_backend, parts, tmp_path / "r")
    assert steps == (15 if damage == "all" else 10)
    assert made.adapter_sha256 == torch_candidate.adapter_sha256


def test_checkpoints_of_other_inputs_are_not_continued(
    torch_backend: Backend, parts: Parts, interrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(interrupted, tmp_path / "r")
    seen: list[tuple[str, int]] = []
    finetune_one(
        torch_backend,
        *parts,
        labels=LABELS,
        recipe=RECIPE.model_copy(update={"learning_rate": 1e-3}),
        rank=4,
        seed=7,
        out_dir=tmp_path / "r",
        progress=lambda what, done, total: seen.append((what, done)),
    )
    assert seen[0] == ("epoch 1 of 3", 1)


def test_patience_stops_early_and_a_resumed_call_stops_at_the_same_place(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.model_copy(update={"learning_rate": 0.0, "epochs": 6, "patience": 2})
    arguments: dict = {"labels": LABELS, "recipe": recipe, "rank": 4, "seed": 7}
    whole = finetune_one(torch_backend, *parts, out_dir=tmp_path / "a", **arguments)
    assert len(whole.log) == 3  # nothing is learned at rate 0: the first epoch is best
    assert whole.best_epoch == 1

    def crash(*_: object, **__: object) -> Candidate:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "finish", crash)
        with pytest.raises(KeyboardInterrupt):
            finetune_one(torch_backend, *parts, out_dir=tmp_path / "b", **arguments)
    steps: list[int] = []
    again = finetune_one(
        torch_backend,
        *parts,
        out_dir=tmp_path / "b",
        progress=lambda what, done, total: steps.append(done),
        **arguments,
    )
    assert not steps
    assert again.adapter_sha256 == whole.adapter_sha256


def test_a_loss_that_is_not_finite_stops_and_says_where(
    torch_backend: Backend,
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from primum.backends.torch.trainer import FleetTrainer

    calls = 0
    honest = FleetTrainer.losses_of

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return honest(self, *args, **kwargs) * (float("nan") if calls == bad_step else 1.0)

    monkeypatch.setattr(FleetTrainer, "losses_of", poisoned)
    arguments: dict = {"labels": LABELS, "recipe": RECIPE, "rank": 4, "seed": 7}
    bad_step = 7
    made = finetune_one(torch_backend, *parts, out_dir=tmp_path / "a", **arguments)
    assert [e.epoch for e in made.log] == [1]
    assert "step 7" in caplog.text
    calls, bad_step = 0, 2
    with pytest.raises(PrimumError, match="step 2"):
        finetune_one(torch_backend, *parts, out_dir=tmp_path / "b", **arguments)


def test_no_training_is_reported_to_anyone(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer import base_trainer

    sent: list[object] = []
    monkeypatch.setattr(base_trainer, "send_telemetry", lambda *a, **k: sent.append(a))
    recipe = RECIPE.model_copy(update={"epochs": 1})
    finetune_one(torch_backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=1, out_dir=tmp_path / "r")
    assert not sent


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_the_hubs_library_reports_nothing_whichever_backend_loads_it(backend: str) -> None:
    script = (
        f"import primum.backends.{backend}.model; from huggingface_hub import constants; "
        "print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_TELEMETRY"}
    said = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[-1] == "True"


def test_training_leaves_the_process_as_it_was(torch_backend: Backend, parts: Parts, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    recipe = RECIPE.model_copy(update={"epochs": 1})
    finetune_one(torch_backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=1, out_dir=tmp_path / "r")
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def _open(source: str, root: Path, **more: Any) -> Backend:
    return open_backend(ModelConfig(name="x", source=source, **more), StackConfig(), root)


def test_what_is_no_base_is_refused_in_one_line(base_folder: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        shutil.copytree(base_folder, tmp_path / name)
        return tmp_path / name

    os.truncate(broken("short") / "model.safetensors", 1000)
    (broken("tokenless") / "tokenizer.json").unlink()
    (broken("templateless") / "chat_template.jinja").unlink()
    (broken("weightless") / "model.safetensors").unlink()
    (broken("garbled") / "tokenizer.json").write_text("{")
    (broken("badchat") / "chat_template.jinja").write_text("{% if %}")
    config = json.loads((broken("wide") / "config.json").read_text())
    (tmp_path / "wide" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    for source, words in {
        "short": "weights cannot be read",
        "tokenless": "no tokenizer",
        "templateless": "no chat template",
        "weightless": "safetensors",
        "garbled": "tokenizer cannot be read",
        "badchat": "chat template fails",
        "wide": "missing",
        "nowhere": "neither a folder nor a hub id",
        "owner/name": "pinned commit",
    }.items():
        with pytest.raises(BadInput, match=words) as caught:
            _open(source, tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="pinned commit"):
        _open("owner/name", tmp_path, revision="main")
    with pytest.raises(BadInput, match="hf download owner/name"):
        _open("owner/name", tmp_path, revision="a" * 40)
    with pytest.raises(BadInput, match="more than the 512"):
        _open(str(base_folder), tmp_path, max_length=9999)


def test_the_base_hash_knows_content_and_nothing_else(base_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(base_folder, tmp_path / "moved")
    first = _open(str(base_folder), tmp_path).base_hash
    assert _open("moved", tmp_path).base_hash == first
    (tmp_path / "moved" / "notes.txt").write_text("no part of it")
    assert _open("moved", tmp_path).base_hash == first
    (tmp_path / "moved" / "chat_template.jinja").write_text(tiny_base.TEMPLATE + " ")
    assert _open("moved", tmp_path).base_hash != first


def test_an_adapter_of_another_shape_is_bad_input(
    torch_backend: Backend, torch_candidate: Candidate, tmp_path: Path
) -> None:
    wide = _open(str(tiny_base.build(tmp_path / "wide", hidden=64)), tmp_path)
    with pytest.raises(BadInput, match="does not load on 'wide'"):
        wide.with_adapter(Path(torch_candidate.path))


def test_a_prompt_that_leaves_no_room_for_an_answer_is_bad_input(torch_backend: Backend) -> None:
    with pytest.raises(BadInput, match="no room for an answer in 512 tokens"):
        torch_backend.generate(["short"], GenerationLimits(max_new_tokens=512))


def test_wrong_target_modules_and_verbalizers_are_bad_input(
    torch_backend: Backend, parts: Parts, tmp_path: Path
) -> None:
    for target in ("nowhere_proj", "lm_head"):
        recipe = RECIPE.model_copy(update={"target_modules": (target,)})
        with pytest.raises(BadInput, match="target_modules"):
            finetune_one(
                torch_backend, *parts, labels=LABELS, recipe=recipe, rank=2, seed=1, out_dir=tmp_path / "r"
            )
    with pytest.raises(BadInput, match="verbalizers"):
        torch_backend.score(["a"], ("yes", "yes"))
