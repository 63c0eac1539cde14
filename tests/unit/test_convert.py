"""PEFT <-> MLX adapters: the same bytes and the same meaning there and back, or a refusal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primum.backends.mlx import convert
from primum.backends.mlx.convert import Adapter, Tensor, mlx_to_peft, peft_to_mlx, read_mlx, read_peft
from primum.backends.training import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from primum.errors import BadInput

MODULES = (
    *(f"self_attn.{n}_proj" for n in "qkvo"),
    *(f"mlp.{n}_proj" for n in ("gate", "up", "down")),
    "self_attn.qkv_proj",
    "mlp.gate_up_proj",
    "mlp.experts.3.w1",
)
WIDTH = {"F32": 4, "F16": 2, "BF16": 2}
LAYERS = 3
files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def tensor(rng: np.random.Generator, dtype: str, *shape: int) -> Tensor:
    return Tensor(dtype, shape, rng.bytes(math.prod(shape) * WIDTH[dtype]))


@st.composite
def adapters(draw: st.DrawFn) -> tuple[Adapter, bool]:
    """Any adapter of some modules in some layers, and whether its scale is rsLoRA's."""
    rank = draw(st.integers(1, 64))
    alpha = draw(st.one_of(st.integers(1, 256), st.floats(0.01, 300)))
    rslora, dora = draw(st.booleans()), draw(st.booleans())
    dtype = draw(st.sampled_from(sorted(WIDTH)))
    inner = draw(st.sets(st.sampled_from(MODULES), min_size=1))
    chosen = draw(st.sets(st.integers(0, LAYERS - 1), min_size=1))
    names = {f"model.layers.{i}.{m}" for i in chosen for m in inner}
    if len(names) > 1 and draw(st.booleans()):
        names.remove(min(names))  # a set that no rule names
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    tensors = {}
    for name in sorted(names):
        into, out = (int(n) for n in rng.integers(1, 6, size=2))
        tensors[f"{name}.lora_a"] = tensor(rng, dtype, into, rank)
        tensors[f"{name}.lora_b"] = tensor(rng, dtype, rank, out)
        if dora:
            tensors[f"{name}.m"] = tensor(rng, dtype, out)
    scale = alpha / (math.sqrt(rank) if rslora else rank)
    return Adapter(tensors, rank, scale, draw(st.sampled_from([0.0, 0.05])), dora), rslora


def as_peft(folder: Path, adapter: Adapter, rslora: bool = False, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    config = convert.peft_config(adapter, "a base", rslora=rslora)
    convert.write_peft(folder, adapter, {**config, **changes})
    return folder


def plain() -> Adapter:
    rng = np.random.default_rng(0)
    name = "model.layers.0.self_attn.q_proj"
    tensors = {f"{name}.lora_a": tensor(rng, "F32", 5, 2), f"{name}.lora_b": tensor(rng, "F32", 2, 3)}
    return Adapter(tensors, 2, 2.0, 0.0, False)


@files
@given(made=adapters())
def test_peft_to_mlx_and_back_is_the_same_file(made: tuple[Adapter, bool], tmp_path: Path) -> None:
    peft = as_peft(tmp_path / "peft", *made)
    peft_to_mlx(peft, tmp_path / "mlx", LAYERS)
    mlx_to_peft(tmp_path / "mlx", tmp_path / "back")
    assert (tmp_path / "back" / ADAPTER_WEIGHTS).read_bytes() == (peft / ADAPTER_WEIGHTS).read_bytes()
    configs = [json.loads((tmp_path / f / ADAPTER_CONFIG).read_text()) for f in ("peft", "back")]
    assert configs[0] == configs[1]


@files
@given(made=adapters())
def test_mlx_to_peft_and_back_says_the_same(made: tuple[Adapter, bool], tmp_path: Path) -> None:
    """From a folder that mlx-lm wrote, which keeps nothing of PEFT's."""
    adapter, _ = made
    (tmp_path / "mlx").mkdir(exist_ok=True)
    convert._write(tmp_path / "mlx" / convert.MLX_WEIGHTS, adapter.tensors, "mlx")
    said = convert.mlx_config(adapter, LAYERS)
    (tmp_path / "mlx" / ADAPTER_CONFIG).write_text(json.dumps(said))
    mlx_to_peft(tmp_path / "mlx", tmp_path / "peft")
    peft_to_mlx(tmp_path / "peft", tmp_path / "back", LAYERS)
    there, back = (tmp_path / f / convert.MLX_WEIGHTS for f in ("mlx", "back"))
    assert there.read_bytes() == back.read_bytes()
    found = json.loads((tmp_path / "back" / ADAPTER_CONFIG).read_text())
    assert found["lora_parameters"].pop("scale") == pytest.approx(adapter.scale, rel=1e-12)
    said["lora_parameters"].pop("scale")
    assert {key: found[key] for key in said} == said


def test_a_matrix_is_transposed_and_a_scale_is_alpha_over_rank(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    name = "model.layers.1.mlp.up_proj"
    tensors = {
        f"{name}.lora_a": Tensor("F32", (3, 2), values.tobytes()),
        f"{name}.lora_b": Tensor("F32", (2, 1), b"\0" * 8),
    }
    peft = as_peft(tmp_path / "peft", Adapter(tensors, 2, 8.0, 0.0, False))
    from safetensors.numpy import load_file

    written = load_file(peft / ADAPTER_WEIGHTS)
    np.testing.assert_array_equal(written[f"base_model.model.{name}.lora_A.weight"], values.T)
    config = json.loads((peft / ADAPTER_CONFIG).read_text())
    assert (config["lora_alpha"], config["r"], config["target_modules"]) == (16, 2, ["mlp.up_proj"])
    assert config["layers_to_transform"] == [1]


@pytest.mark.parametrize(
    ("layers", "keys"), [(2, ["self_attn.q_proj"]), (4, ["model.layers.1.self_attn.q_proj"])]
)
def test_keys_are_relative_only_where_the_uppermost_layers_are_meant(layers: int, keys: list[str]) -> None:
    tensors = {n.replace("layers.0", "layers.1"): t for n, t in plain().tensors.items()}
    config = convert.mlx_config(plain()._replace(tensors=tensors), layers)
    assert config["lora_parameters"]["keys"] == keys
    assert config["num_layers"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern"),
        ({"bias": "lora_only"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"a_key_of_tomorrow": 1}, "a_key_of_tomorrow"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"r": 4}, "rank 2"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"use_dora": True}, "lacks a tensor"),
    ],
)
def test_what_mlx_cannot_say_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = as_peft(tmp_path / "peft", plain(), **changes)
    with pytest.raises(BadInput, match=words) as caught:
        peft_to_mlx(folder, tmp_path / "mlx", 1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "mlx").exists()


def test_tensors_that_are_no_loras_or_not_whole_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    for name, change in {
        "embedding": lambda t: {**t, "base_model.model.x.lora_embedding_A": np.zeros((2, 2), np.float32)},
        "integers": lambda t: {n: np.zeros(v.shape, np.int32) for n, v in t.items()},
        "half": lambda t: dict(list(t.items())[:1]),
        "empty": lambda t: {},
    }.items():
        folder = as_peft(tmp_path / name, plain())
        save_file(change(load_file(folder / ADAPTER_WEIGHTS)), folder / ADAPTER_WEIGHTS)
        with pytest.raises(BadInput):
            read_peft(folder)
    folder = as_peft(tmp_path / "short", plain())
    (folder / ADAPTER_WEIGHTS).write_bytes((folder / ADAPTER_WEIGHTS).read_bytes()[:50])
    with pytest.raises(BadInput, match="cannot be read"):
        read_peft(folder)


def test_a_folder_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    peft_to_mlx(as_peft(tmp_path / "peft", plain()), tmp_path / "mlx", 1)
    path = tmp_path / "mlx" / ADAPTER_CONFIG
    config = json.loads(path.read_text())
    config["lora_parameters"]["scale"] = 20.0
    path.write_text(json.dumps(config))
    with pytest.raises(BadInput, match="says one thing"):
        read_mlx(tmp_path / "mlx")
    path.write_text(json.dumps({"fine_tune_type": "full"}))
    with pytest.raises(BadInput, match="full"):
        read_mlx(tmp_path / "mlx")
    path.write_text("{}")
    with pytest.raises(BadInput, match="lora_parameters"):
        read_mlx(tmp_path / "mlx")
