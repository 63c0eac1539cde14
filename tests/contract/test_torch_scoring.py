"""The torch scorer: every architecture that it takes short cuts on, buckets, and the end of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_torch import brute_force
from transformers import AutoConfig, AutoModelForCausalLM

from primum.backends.torch import columns, scoring
from primum.backends.torch.columns import one_column
from primum.backends.torch.scoring import score_tokens
from primum.backends.tree import build_tree
from primum.errors import PrimumError

SHAPE = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PROMPTS = [list(range(5, 5 + n)) for n in (1, 3, 15, 16, 17, 60)]
ANSWERS = {
    "single": [[40], [41], [42]],
    "shared": [[40, 50, 60], [40, 50, 61], [41]],
    "nested": [[40], [40, 50]],
}


def random_model(kind: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SHAPE)).eval()


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("kind", [*sorted(columns._TRIMMED), "gpt_neox"])
def test_every_architecture_scores_like_label_by_label(kind: str, answers: str) -> None:
    model, labels = random_model(kind), ANSWERS[answers]
    scores = score_tokens(model, PROMPTS, build_tree(labels, 3), pad=0)
    full = [[*a, 3] for a in labels] if answers == "nested" else labels
    expected = np.array([brute_force(model, p, full) for p in PROMPTS])
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1  # the prompts matter, or the test would show nothing


def test_the_same_prompt_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tree, forward, rows = random_model("llama"), build_tree(ANSWERS["shared"], 3), scoring._forward, []

    def counted(model: Any, columns: Any, prompts: list, *rest: Any) -> torch.Tensor:
        rows.extend(map(tuple, prompts))
        return forward(model, columns, prompts, *rest)

    expected = score_tokens(model, PROMPTS, tree, pad=0)
    monkeypatch.setattr(scoring, "_forward", counted)
    monkeypatch.setattr(scoring, "_TOKENS_PER_BATCH", {"cpu": 1})  # no spare rows
    repeated = [0, 3, 3, 5, 0, 1]
    scores = score_tokens(model, [PROMPTS[i] for i in repeated], tree, pad=0)
    np.testing.assert_allclose(scores, expected[repeated], atol=1e-5)
    assert sorted(rows) == sorted(tuple(PROMPTS[i]) for i in {*repeated})


def test_the_last_layer_is_computed_where_it_is_read_and_only_while_scoring() -> None:
    model, seen = random_model("llama"), []
    for i in (0, 1):
        model.model.layers[i].mlp.up_proj.register_forward_hook(
            lambda _, given, __: seen.append(given[0].shape[1])
        )
    score_tokens(model, PROMPTS[-1:], build_tree(ANSWERS["single"], 3), pad=0)
    assert seen == [64, 1]
    seen.clear()
    assert model(input_ids=torch.tensor([PROMPTS[-1]])).logits.shape == (1, 60, 128)
    assert seen == [60, 60]
    with pytest.raises(RuntimeError, match="stop"), one_column(model):
        raise RuntimeError("stop")
    assert model(input_ids=torch.tensor([PROMPTS[-1]])).logits.shape == (1, 60, 128)


def test_flash_attention_hands_the_tree_to_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = random_model("llama"), []
    monkeypatch.setattr(model, "set_attn_implementation", seen.append)
    monkeypatch.setattr(model.config, "_attn_implementation_internal", "flash_attention_2")
    with scoring._masked_attention(model):
        assert seen == ["sdpa"]
    assert seen == ["sdpa", "flash_attention_2"]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 64, 65, 204, 1000, 2047])
def test_a_bucket_pads_little_and_holds_its_own_width(length: int) -> None:
    width = scoring._width(length)
    assert length <= width < length + max(16, length / 4)
    assert scoring._width(width) == width


@pytest.mark.parametrize("fits", [24, 5, 1])
def test_where_memory_ends_the_bucket_is_scored_in_halves(fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one bucket keep one shape: never one part in large batches and the rest in small ones."""
    model = random_model("llama")
    prompts = [[5 + i % 90, 6 + i % 7, 7] for i in range(100)]
    tree = build_tree(ANSWERS["shared"], 3)
    expected = score_tokens(model, prompts, tree, pad=0)
    forward, shapes = scoring._forward, []

    def narrow(model: Any, columns: Any, rows: list, *rest: Any) -> torch.Tensor:
        if len(rows) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        shapes.append(len(rows))
        return forward(model, columns, rows, *rest)

    monkeypatch.setattr(scoring, "_forward", narrow)
    told: list[int] = []
    scores = score_tokens(model, prompts, tree, 0, lambda what, done, total: told.append(done))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert set(shapes) == {24 if fits == 24 else 3 if fits == 5 else 1}
    assert told == sorted(told)
    assert told[-1] == 100


def test_any_other_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def broken(*_: Any) -> None:
        calls.append(1)
        raise RuntimeError("a defect")

    monkeypatch.setattr(scoring, "_forward", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        score_tokens(random_model("llama"), PROMPTS, build_tree(ANSWERS["single"], 3), pad=0)
    assert len(calls) == 1


def test_when_not_one_row_fits_it_is_one_line(torch_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 4 GiB")

    monkeypatch.setattr(scoring, "_forward", no_memory)
    with pytest.raises(PrimumError, match="out of memory in scoring: not even one prompt") as caught:
        torch_backend.score(["Jane Doe is ill"], ("yes", "no"))
    assert "\n" not in str(caught.value)
    assert "Jane" not in str(caught.value)


STARVED = """
import resource, sys
from pathlib import Path
import numpy as np
from primum.backends import open_backend
from primum.backends.torch import scoring
from primum.config import ModelConfig, StackConfig

backend = open_backend(ModelConfig(name="tiny", source=sys.argv[1]), StackConfig(threads=1), Path("/"))
prompts = [f"{i:02}" + "x" * 398 for i in range(64)]
expected = backend.score(prompts, ("yes", "no"))
scoring._TOKENS_PER_BATCH["cpu"] = 1 << 20  # 2,500 rows: a gigabyte
sizes, forward = [], scoring._forward
scoring._forward = lambda m, c, rows, *rest: (sizes.append(len(rows)), forward(m, c, rows, *rest))[1]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (150 << 20), resource.RLIM_INFINITY))
scores = backend.score(prompts, ("yes", "no"))
assert sizes[0] > sizes[-1] > 1, sizes
assert np.abs(scores - expected).max() < 1e-5
print("scored in halves")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits its own address space")
def test_a_real_allocation_that_fails_is_met_by_smaller_batches(base_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(base_folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "scored in halves", done.stderr[-2000:]
