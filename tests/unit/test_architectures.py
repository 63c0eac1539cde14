"""The arithmetic of benchmarks/cuda.py against the published numbers of the models."""

from __future__ import annotations

import pytest
from architectures import (
    LLAMA_3B,
    LLAMA_8B,
    MISTRAL_7B,
    TINYLLAMA,
    Shape,
    peak_flops,
    utilisation,
)


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        (LLAMA_3B, 3_212_749_824),
        (TINYLLAMA, 1_100_048_384),
        (MISTRAL_7B, 7_241_732_096),
        (LLAMA_8B, 8_030_261_248),
    ],
)
def test_parameters_are_those_of_the_published_models(shape: Shape, parameters: int) -> None:
    assert shape.parameters() == parameters


def test_the_adapter_of_the_goal_is_all_linear_modules_in_half_precision() -> None:
    assert MISTRAL_7B.adapter_parameters(8) == 20_971_520
    assert MISTRAL_7B.adapter_bytes(8, 2) == 41_943_040
    assert MISTRAL_7B.adapter_bytes(8, 4) == 83_886_080


def test_the_vocabulary_is_the_share_of_a_forward_pass_that_the_issue_names() -> None:
    vocabulary = LLAMA_3B.vocabulary * LLAMA_3B.hidden
    assert vocabulary / (LLAMA_3B.layer_parameters() + vocabulary) == pytest.approx(0.12, abs=0.005)


def test_a_step_needs_four_operations_a_weight_and_token() -> None:
    one = Shape("one", 2, 3, 1, 1, 1, 5, head=2)
    assert one.layer_parameters() == 4 * 4 + 3 * 6
    assert one.training_flops(10, 2) == 4 * (34 * 10 + 10 * 2)
    assert MISTRAL_7B.training_flops(1, 1) == 4 * (MISTRAL_7B.parameters() - 32000 * 4096 - 65 * 4096)


def test_utilisation_is_known_where_the_peak_is() -> None:
    assert peak_flops("NVIDIA H200") == 989e12
    assert peak_flops("NVIDIA L40S") == 362e12
    assert utilisation(989e12 / 2, 1.0, "NVIDIA H100 80GB HBM3") == pytest.approx(0.5)
    assert utilisation(1.0, 1.0, "a device of next year") is None
