"""The torch trainer: candidates trained together are those trained alone; each key of the recipe does its work."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_base
import torch
from conftest import LABELS, RECIPE
from one_run import finetune_one
from safetensors.numpy import load_file

from primum.backends import open_backend
from primum.backends.base import Backend, Recipe, Run
from primum.backends.torch.feed import Feed, collate, encode
from primum.backends.torch.fleet import Fleet
from primum.backends.torch.trainer import FleetTrainer
from primum.backends.training import TrainingInputs, training_inputs
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput, PrimumError, Unavailable
from primum.records import Candidate, Example

Parts = tuple[list[Example], list[Example]]
SHORT = RECIPE.model_copy(update={"epochs": 2, "learning_rate": 5e-3})
PAIRS = ((2, 7), (4, 7), (4, 8))


def sweep(
    backend: Any, parts: Parts, out: Path, recipe: Recipe = SHORT, pairs: Any = PAIRS, **more: Any
) -> tuple[Candidate, ...]:
    runs = [Run(rank=rank, seed=seed, out_dir=str(out / f"r{rank}s{seed}")) for rank, seed in pairs]
    return backend.finetune(*parts, labels=LABELS, recipe=recipe, runs=runs, **more)


def one(backend: Any, parts: Parts, out: Path, **changes: Any) -> Candidate:
    recipe = SHORT.model_copy(update=changes)
    return finetune_one(backend, *parts, labels=LABELS, recipe=recipe, rank=4, seed=7, out_dir=out)


def weights(candidate: Candidate) -> dict[str, np.ndarray]:
    return load_file(Path(candidate.path) / "adapter_model.safetensors")


def assert_like(a: Candidate, b: Candidate, tolerance: float = 1e-4) -> None:
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], atol=tolerance, err_msg=key)


@pytest.fixture(scope="module")
def alone(torch_backend: Backend, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    """The sweep's candidates, each by a call of its own."""
    out = tmp_path_factory.mktemp("alone")
    return [sweep(torch_backend, parts, out, pairs=[pair])[0] for pair in PAIRS]


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train as on a GPU: all candidates' rows in one tensor."""
    honest = Feed.__init__
    monkeypatch.setattr(Feed, "__init__", lambda self, *a, **k: honest(self, *a, **{**k, "apart": False}))


@pytest.mark.parametrize("way", ["one batch", "threads"])
def test_candidates_trained_together_are_those_trained_alone(
    torch_backend: Backend,
    parts: Parts,
    alone: list[Candidate],
    tmp_path: Path,
    way: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "one batch":
        request.getfixturevalue("one_batch")
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for made, expected in zip(sweep(torch_backend, parts, tmp_path), alone, strict=True):
        assert_like(made, expected)
        assert made.best_epoch == expected.best_epoch
        assert made.validation_macro_f1 == expected.validation_macro_f1
        assert made.rank == expected.rank
        np.testing.assert_allclose(
            [e.train_loss for e in made.log], [e.train_loss for e in expected.log], atol=1e-4
        )


def losses_and_gradients(
    base: Any,
    parts: Parts,
    recipe: Recipe,
    groups: list[list[int]],
    change: Callable[[Any], None] | None = None,
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Of the first ten records, the candidates of a group in one batch."""
    members = [members_of(recipe, parts, rank, seed) for rank, seed in PAIRS]
    fleet = Fleet(base.shared_copy(), members)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in fleet.model.parameters():  # B is zero at first: then nothing would reach A
            if parameter.requires_grad and parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
    records = encode(base, parts[0][:10])
    found = []
    for group in groups:
        rows = [[[r] for r in records[k : 10 - k]] for k in group]
        batch = collate(rows, base.chat.pad)
        lanes = [(fleet.names[k], n) for k, n in zip(group, batch["tokens"], strict=True)]
        logits = fleet.forward(fleet.model, lanes, batch["read"], input_ids=batch["input_ids"])
        each = torch.nn.functional.cross_entropy(logits, batch["targets"], reduction="none")
        sums = torch.stack([part.sum() for part in each.split(batch["answers"])])
        sums.sum().backward()
        found += sums.tolist()
    return found, {n: p.grad for n, p in fleet.model.named_parameters() if p.grad is not None}


def members_of(recipe: Recipe, parts: Parts, rank: int, seed: int) -> TrainingInputs:
    class AnyBase:
        base_hash, numerics = "0", "0"

    run = Run(rank=rank, seed=seed, out_dir="")
    return training_inputs(*parts, LABELS, recipe, run, AnyBase())


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_rows_reach_their_own_adapter_only(torch_backend: Any, parts: Parts, variant: str) -> None:
    recipe = SHORT.model_copy(update={"variant": variant})
    base = torch_backend._base
    together, gradients = losses_and_gradients(base, parts, recipe, [[0, 1, 2]])
    apart, expected = losses_and_gradients(base, parts, recipe, [[0], [1], [2]])
    np.testing.assert_allclose(together, apart, rtol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-4)
    assert any("magnitude" in name for name in gradients) == (variant == "dora")


def test_the_gradient_is_that_of_pefts_own_forward(torch_backend: Any, parts: Parts) -> None:
    base = torch_backend._base
    _, gradients = losses_and_gradients(base, parts, SHORT, [[0]])
    members = [members_of(SHORT, parts, rank, seed) for rank, seed in PAIRS]
    fleet = Fleet(base.shared_copy(), members)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in fleet.model.parameters():
            if parameter.requires_grad and parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
    batch = collate([[[r] for r in encode(base, parts[0][:10])]], base.chat.pad)
    with fleet.alone(fleet.names[0]) as model:
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits.flatten(0, 1)[batch["read"]]
        torch.nn.functional.cross_entropy(logits, batch["targets"], reduction="sum").backward()
    for name, parameter in fleet.model.named_parameters():
        if name in gradients:
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-4)


class Killed(BaseException):
    pass


def interrupt(epoch: str, step: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(epoch) and done == step:
            raise Killed

    return progress


def test_a_cut_sweep_continues_and_ends_with_the_same_bits(
    torch_backend: Backend, parts: Parts, tmp_path: Path
) -> None:
    recipe = SHORT.model_copy(update={"epochs": 3, "dropout": 0.1})
    whole = sweep(torch_backend, parts, tmp_path / "a", recipe)
    with pytest.raises(Killed):
        sweep(torch_backend, parts, tmp_path / "b", recipe, progress=interrupt("epoch 3", 2))
    steps: list[int] = []
    made = sweep(torch_backend, parts, tmp_path / "b", recipe, progress=lambda *call: steps.append(call[1]))
    assert len(steps) == 5
    assert [c.adapter_sha256 for c in made] == [c.adapter_sha256 for c in whole]
    assert sorted(p.name for p in tmp_path.glob("b/*/*")) == sorted(p.name for p in tmp_path.glob("a/*/*"))
    assert len(list(tmp_path.glob("b/*/*"))) == 9


def test_a_candidate_without_progress_leaves_and_the_others_go_on(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_batch: None
) -> None:
    from primum.backends.torch.trainer import Epochs

    recipe = SHORT.model_copy(update={"epochs": 4, "patience": 2})
    honest, rows = Epochs._judge, []
    judged: list[str] = []

    def judge(self: Any, name: str) -> tuple[float, float]:
        judged.append(name)
        loss = honest(self, name)[1]
        return (0.5, 1.0) if name == "r4s7" else (len(judged) / 100, loss)

    shapes = Fleet.forward
    monkeypatch.setattr(Epochs, "_judge", judge)
    monkeypatch.setattr(
        Fleet, "forward", lambda self, *a, **k: (rows.append(len(k["input_ids"])), shapes(self, *a, **k))[1]
    )
    made = sweep(torch_backend, parts, tmp_path, recipe)
    assert [len(c.log) for c in made] == [4, 3, 4]
    assert [c.best_epoch for c in made] == [4, 1, 4]
    assert judged.count("r4s7") == 3
    assert rows == [24] * 15 + [16] * 5


def poison(monkeypatch: pytest.MonkeyPatch, candidate: int, step: int) -> None:
    honest, seen = FleetTrainer.losses_of, []

    def poisoned(self: Any, model: Any, part: Any, answers: Any) -> Any:
        losses = honest(self, model, part, answers)
        if candidate in part["candidates"]:
            seen.append(candidate)
            factor = torch.ones(len(losses))
            factor[part["candidates"].index(candidate)] = float("nan") if len(seen) == step else 1.0
            losses = losses * factor
        return losses

    monkeypatch.setattr(FleetTrainer, "losses_of", poisoned)


@pytest.mark.parametrize("way", ["one batch", "apart"])
def test_a_candidate_that_diverges_stops_alone(
    torch_backend: Backend,
    parts: Parts,
    alone: list[Candidate],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    way: str,
) -> None:
    if way == "one batch":
        request.getfixturevalue("one_batch")
    poison(monkeypatch, candidate=1, step=7)
    made = sweep(torch_backend, parts, tmp_path)
    assert "rank 4, seed 7: training diverged: the loss is not finite at step 7" in caplog.text
    assert [len(c.log) for c in made] == [2, 1, 2]
    assert_like(made[0], alone[0])
    assert_like(made[2], alone[2])


def test_a_candidate_that_diverges_at_once_stops_the_sweep(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, candidate=2, step=2)
    with pytest.raises(PrimumError, match=r"rank 4, seed 8: .* step 2, before any epoch"):
        sweep(torch_backend, parts, tmp_path)


def test_a_damaged_candidate_is_trained_again_and_the_finished_ones_stay(
    torch_backend: Backend, parts: Parts, tmp_path: Path
) -> None:
    recipe = SHORT.model_copy(update={"epochs": 1})
    first = sweep(torch_backend, parts, tmp_path, recipe)
    steps: list[int] = []
    assert sweep(torch_backend, parts, tmp_path, recipe, progress=lambda *c: steps.append(c[1])) == first
    assert not steps
    (tmp_path / "r4s7" / "adapter_model.safetensors").write_bytes(b"no weights")
    before = (tmp_path / "r2s7" / "candidate.json").stat().st_mtime_ns
    again = sweep(torch_backend, parts, tmp_path, recipe)
    assert [c.adapter_sha256 for c in again] == [c.adapter_sha256 for c in first]
    assert (tmp_path / "r2s7" / "candidate.json").stat().st_mtime_ns == before


def test_what_a_call_that_was_killed_at_its_very_end_left_is_removed(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from primum.backends import training

    with monkeypatch.context() as patch:
        patch.setattr(training.shutil, "rmtree", lambda *_, **__: None)
        first = one(torch_backend, parts, tmp_path / "r")
    assert (tmp_path / "r" / "checkpoints").exists()
    assert one(torch_backend, parts, tmp_path / "r") == first
    assert len(list((tmp_path / "r").iterdir())) == 3


@pytest.mark.parametrize(
    "change", [{"micro_batch_size": 3}, {"gradient_checkpointing": True}, {"packing": True}]
)
def test_what_saves_memory_or_padding_changes_nothing(
    torch_backend: Backend, parts: Parts, alone: list[Candidate], tmp_path: Path, change: dict
) -> None:
    made = one(torch_backend, parts, tmp_path / "r", **change)
    assert_like(made, alone[1])
    np.testing.assert_allclose(
        [e.train_loss for e in made.log], [e.train_loss for e in alone[1].log], atol=1e-5
    )


def test_a_packed_record_sees_no_other(torch_backend: Any, parts: Parts) -> None:
    base = torch_backend._base
    records = encode(base, parts[0][:6])
    model = base.shared_copy()
    packed = collate([[[records[0], records[1], records[2]], [records[3], records[4]], [records[5]]]], 0)
    plain = collate([[[r] for r in records]], 0)
    assert len(packed["input_ids"]) == 3
    found = []
    for batch in (packed, plain):
        places = {k: batch[k] for k in ("input_ids", "position_ids") if k in batch}
        logits = model(**places, use_cache=False).logits.flatten(0, 1)[batch["read"]]
        found.append(torch.nn.functional.cross_entropy(logits, batch["targets"], reduction="none"))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


def test_rows_are_packed_no_longer_than_the_longest_record(torch_backend: Any, parts: Parts) -> None:
    rows = [e.model_copy(update={"prompt": e.prompt[: 8 + 5 * (i % 7)]}) for i, e in enumerate(parts[0])]
    records = encode(torch_backend._base, rows)
    recipe = SHORT.model_copy(update={"packing": True, "batch_size": 20})
    (batch, *_) = next(iter(Feed([members_of(recipe, (rows, parts[1]), 4, 7)], records, 0, apart=True)))
    assert len(batch["input_ids"]) < 20
    assert batch["input_ids"].shape[1] <= max(len(r.tokens) for r in records)
    assert sum(batch["answers"]) == len(batch["read"])


@pytest.mark.parametrize("change", [{"variant": "rslora"}, {"variant": "dora"}, {"neftune_alpha": 5.0}])
def test_variants_train_and_load(
    torch_backend: Backend, parts: Parts, alone: list[Candidate], tmp_path: Path, change: dict
) -> None:
    made = one(torch_backend, parts, tmp_path / "r", **change)
    config = json.loads((tmp_path / "r" / "adapter_config.json").read_text())
    assert config["use_rslora"] == (change.get("variant") == "rslora")
    assert config["use_dora"] == (change.get("variant") == "dora")
    scores = torch_backend.with_adapter(tmp_path / "r").score([e.prompt for e in parts[1]], LABELS)
    gold = [LABELS.index(str(e.answer)) for e in parts[1]]
    assert -scores[np.arange(16), gold].mean() == pytest.approx(made.validation_loss, abs=1e-6)
    assert abs(made.validation_loss - alone[1].validation_loss) > 1e-6
    assert made.log[-1].train_loss < made.log[0].train_loss


def test_only_the_uppermost_layers_carry_adapters(torch_backend: Any, parts: Parts, tmp_path: Path) -> None:
    made = one(torch_backend, parts, tmp_path / "r", layers=1)
    assert all(".layers.1." in key for key in weights(made))
    assert len(weights(made)) == 14
    scores = torch_backend.with_adapter(tmp_path / "r").score([parts[1][0].prompt], LABELS)
    assert np.isfinite(scores).all()
    with pytest.raises(BadInput, match="layers: 3 are more than the 2"):
        one(torch_backend, parts, tmp_path / "s", layers=3)


@pytest.mark.parametrize("change", [{}, {"gradient_checkpointing": True}, {"packing": True}])
def test_lower_layers_computed_once_change_nothing(
    torch_backend: Any, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    from primum.backends.torch import lower

    calls: list[int] = []
    honest = lower.Lower.of
    monkeypatch.setattr(lower.Lower, "of", lambda self, tokens: (calls.append(1), honest(self, tokens))[1])
    cached = one(torch_backend, parts, tmp_path / "a", layers=1, **change)
    assert len(calls) == len(parts[0])
    monkeypatch.setattr(lower, "_MOST", 100)
    plain = one(torch_backend, parts, tmp_path / "b", layers=1)
    assert len(calls) == len(parts[0])
    assert_like(cached, plain)


def test_lm_head_never_carries_an_adapter(torch_backend: Any, parts: Parts, tmp_path: Path) -> None:
    made = one(torch_backend, parts, tmp_path / "r", epochs=1)
    assert not any("lm_head" in key or "embed" in key for key in weights(made))
    assert len(weights(made)) == 28


def test_a_4_bit_base_is_trained(parts: Parts, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    folder = tiny_base.build(tmp_path / "wide", hidden=64)
    model = ModelConfig(name="wide", source=str(folder), quantisation="nf4")
    backend = open_backend(model, StackConfig(threads=1), tmp_path)
    made = finetune_one(backend, *parts, labels=LABELS, recipe=RECIPE, rank=4, seed=7, out_dir=tmp_path / "r")
    assert {str(value.dtype) for value in weights(made).values()} == {"float32"}
    assert made.log[-1].train_loss < 0.8 * made.log[0].train_loss
    scores = backend.with_adapter(tmp_path / "r").score([e.prompt for e in parts[1]], LABELS)
    gold = [LABELS.index(str(e.answer)) for e in parts[1]]
    assert -scores[np.arange(16), gold].mean() == pytest.approx(made.validation_loss, abs=1e-4)


def test_what_this_device_cannot_do_is_refused_in_one_line(
    torch_backend: Any, base_folder: Path, parts: Parts, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="paged_adamw_8bit needs a CUDA device"):
        one(torch_backend, parts, tmp_path / "r", optimizer="paged_adamw_8bit")
    assert not (tmp_path / "r").exists()
    half = ModelConfig(name="half", source=str(base_folder), dtype="float16")
    with pytest.raises(BadInput, match="float16 trains on a CUDA device"):
        one(open_backend(half, StackConfig(), tmp_path), parts, tmp_path / "r")


@pytest.mark.parametrize("writer", ["torch.save", "primum.backends.torch.fleet.save_file"])
def test_a_full_disk_leaves_the_checkpoint_before(
    torch_backend: Backend, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    calls: list[int] = []
    target, _, name = writer.rpartition(".")
    module = torch if target == "torch" else __import__(target, fromlist=[name])
    honest = getattr(module, name)

    def full(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(list(tmp_path.glob("r/checkpoints/*/seal.json"))) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(Unavailable, match="epoch 2 could not be written") as caught:
            one(torch_backend, parts, tmp_path / "r")
    assert "\n" not in str(caught.value)
    assert [p.name for p in (tmp_path / "r" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-5"]
    steps: list[int] = []
    made = finetune_one(
        torch_backend,
        *parts,
        labels=LABELS,
        recipe=SHORT,
        rank=4,
        seed=7,
        out_dir=tmp_path / "r",
        progress=lambda *call: steps.append(call[1]),
    )
    assert len(steps) == 5
    assert made.best_epoch in (1, 2)


def test_trackers_write_beside_the_candidate_and_no_text(
    base_folder: Path, parts: Parts, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stack = StackConfig(threads=1, trackers=("tensorboard",))
    backend = open_backend(ModelConfig(name="tiny", source=str(base_folder)), stack, tmp_path)
    made = one(backend, parts, tmp_path / "r")
    assert len(list((tmp_path / "r").iterdir())) == 3
    (events,) = (tmp_path / "r.log").iterdir()
    assert not any(e.prompt.encode() in events.read_bytes() for e in (*parts[0], *parts[1]))
    found = EventAccumulator(str(events.parent)).Reload()
    losses = [value.value for value in found.Scalars("train/r4s7/validation_loss")]
    np.testing.assert_allclose(losses, [e.validation_loss for e in made.log], rtol=1e-6)


def test_a_tracker_that_is_not_installed_names_its_command(
    base_folder: Path, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    backend = open_backend(
        ModelConfig(name="tiny", source=str(base_folder)), StackConfig(trackers=("mlflow",)), tmp_path
    )
    with pytest.raises(BadInput, match=r"pip install -e .\.\[mlflow\]"):
        one(backend, parts, tmp_path / "r")


def test_packing_under_flash_attention_is_refused(
    torch_backend: Any, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_backend._base.model.config, "_attn_implementation", "flash_attention_2")
    with pytest.raises(BadInput, match=r"packing: flash attention .* set model\.attention: sdpa"):
        one(torch_backend, parts, tmp_path / "r", packing=True)
