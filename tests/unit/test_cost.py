"""The estimate of a cloud run's cost: linear where it should be, a range, never more precise than known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.config import RunConfig, load_run
from primum.config.cloud import Price, PriceList, load_prices
from primum.cost import Range, bill, computing_hours, estimate, parameters, tokens_per_record
from primum.errors import BadInput

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PRICES = load_prices(CONFIGS)
GPU = Price(low=1.0, high=2.0, teraflops=100)


def run(**changes: object) -> RunConfig:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return load_run(CONFIGS, overrides={"stack": "aws", "model.source": "hub/base-1b", **named})


def test_a_run_on_this_machine_costs_nothing_to_tell() -> None:
    assert estimate(load_run(CONFIGS), PRICES) == []


def test_every_shipped_cloud_with_a_machine_has_a_price() -> None:
    for name in ("aws", "gcp", "skypilot"):
        lines = estimate(load_run(CONFIGS, overrides={"stack": name}), PRICES)
        assert lines[0].startswith("cost: an estimate, $"), name
    assert "names no machine" in estimate(load_run(CONFIGS, overrides={"stack": "kubernetes"}), PRICES)[0]


def test_the_known_answer() -> None:
    """1e9 parameters, 100 tokens, 1 epoch, 1 candidate, shares 0.5/0.25/0.25, 1000 records at 100 teraflops."""
    config = run(
        model__recipe={"ranks": [8], "epochs": 1},
        model__max_length=100,
        task__split={"train": 0.5, "validation": 0.25, "test": 0.25},
    )
    assert tokens_per_record(config) == Range(100, 100)  # 30 columns would be more
    flops = 1000 * 100 * 1e9 * (6 * 0.5 + 2 * (0.25 * 3 + 0.25 * 4))
    hours = computing_hours(config, GPU, 1000)
    assert hours.low == pytest.approx(flops / (100e12 * 0.4) / 3600)
    assert hours.high == pytest.approx(flops / (100e12 * 0.05) / 3600)


@given(st.integers(1, 10**7), st.integers(2, 20))
def test_hours_are_linear_in_records(records: int, times: int) -> None:
    config = run()
    once, more = (computing_hours(config, GPU, n) for n in (records, times * records))
    assert more.low == pytest.approx(times * once.low)
    assert more.high == pytest.approx(times * once.high)


def test_more_epochs_candidates_and_columns_cost_more_and_several_gpus_less_time() -> None:
    plain = computing_hours(run(), GPU, 1000).high
    assert computing_hours(run(model__recipe__epochs=12), GPU, 1000).high > plain
    assert computing_hours(run(model__recipe__ranks=[4, 8, 16, 32]), GPU, 1000).high > plain
    assert computing_hours(run(model__source="hub/base-7b"), GPU, 1000).high == pytest.approx(7 * plain)
    two = run(stack__launcher="torchrun", stack__processes=2, stack__cloud__gpus=2)
    assert computing_hours(two, GPU, 1000).high == pytest.approx(plain / 2)


def test_the_bill_counts_the_start_of_every_step_but_only_one_machine_with_skypilot() -> None:
    idle = Range(0, 0)
    aws, sky = run().stack.cloud, load_run(CONFIGS, overrides={"stack": "skypilot"}).stack.cloud
    assert aws is not None
    assert sky is not None
    assert bill(aws, PRICES, GPU, idle).low == pytest.approx(0.05 * (4 * 1.0 + 8 * 0.19))
    assert bill(sky, PRICES, GPU, idle) == Range(pytest.approx(0.05), pytest.approx(0.4))


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ("hub/Model-7B", 7e9),
        ("hub/model-0.6b-instruct", 0.6e9),
        ("hub/smol-135m", 135e6),
        ("hub/v2-base", None),
        ("/models/4bit", None),
    ],
)
def test_the_size_of_the_base_is_read_from_its_name(source: str, size: float | None) -> None:
    found = parameters(run(model__source=source, model__name="mine").model)
    assert found == (Range(size, size) if size else Range(1e9, 8e9))


def test_the_lines_say_what_is_assumed_and_from_when_prices_are() -> None:
    lines = "\n".join(estimate(run(), PRICES, 20_000))
    for said in (
        "an estimate",
        "20,000 records",
        "6 epochs, 2 candidates",
        "1 billion parameters",
        PRICES.as_of,
    ):
        assert said in lines
    assert "how many there are is not read here" in estimate(run(), PRICES)[0]
    assert "(a guess)" in "\n".join(estimate(run(model__source="hub/base"), PRICES))


def test_one_significant_digit_is_all_that_is_said() -> None:
    first = estimate(run(), PRICES, 123_457)[0]
    amounts = [word.strip("$").replace(",", "") for word in first.split() if word.startswith("$")]
    assert len(amounts) == 2
    for amount in amounts:
        assert len(amount.replace(".", "").strip("0")) <= 1, first
    assert float(amounts[0]) <= float(amounts[1])


def test_ones_own_price_and_an_unknown_machine() -> None:
    own = estimate(run(stack__cloud__price_per_hour=1.25), PRICES)
    assert "$1.25 an hour (yours)" in own[1]
    unknown = estimate(run(stack__cloud__gpu="ml.new.huge"), PRICES)
    assert unknown == [unknown[0]]
    assert "no GPU machine 'ml.new.huge'" in unknown[0]
    assert "add its line there: low, high, teraflops" in unknown[0]
    assert "no GPU machine 'ml.m5.xlarge'" in estimate(run(stack__cloud__gpu="ml.m5.xlarge"), PRICES)[0]


def test_a_price_list_with_a_mistake_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("as_of: 2026-06\nsource: us\nmachines: {a: {low: 3, high: 1}}\n")
    with pytest.raises(BadInput, match=r"prices.yaml: `machines.a`: low is above high"):
        load_prices(tmp_path)
    assert PriceList.model_validate(PRICES.model_dump()) == PRICES
