"""What a run on a cloud stack may cost: a range with its assumptions in words. Pure: reads nothing.

Training a token costs about 6 floating point operations per parameter of the base, reading one 2 (Kaplan et al.
2020); adapters change little of that. A GPU reaches a part of its data sheet's peak. Each step starts a machine.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from primum.config.cloud import CloudConfig, Price, PriceList
from primum.config.run import ModelConfig, RunConfig

PEAK_SHARE = (0.05, 0.4)
"""Part of the peak that training and scoring reach: small batches and short prompts little, long ones more."""
START_HOURS = (0.05, 0.2)
"""Billed per step until it computes: image, libraries, the base."""
DEVICE_STEPS, OTHER_STEPS = 4, 8
"""Steps of a run that load the base (prompts, fine-tune, select, evaluate), and the others."""
TOKENS_PER_FIELD = (8, 25)
TOKENS_PER_TEXT = (50, 1000)
TOKENS_OF_FRAME = (20, 120)
PARAMETERS_UNKNOWN = (1e9, 8e9)
PARAMETERS_EMBEDDED = 1e6
SYSTEMS_JUDGED = 4
"""On the holdout: candidate, base, champion, anchor."""
RECORDS_ASKED = 1000


@dataclass(frozen=True)
class Range:
    """From the most favourable assumptions to the least."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Range) -> Range:
        return Range(self.low * other.low, self.high * other.high)


def estimate(config: RunConfig, prices: PriceList, records: int | None = None) -> list[str]:
    """Lines for the plan of a run on `config.stack.cloud`; none where the run stays on this machine.

    `records`: how many there are; where nobody knows yet, the estimate is for 1,000.
    """
    cloud = config.stack.cloud
    if cloud is None:
        return []
    device = _device(cloud, prices)
    if device is None:
        return [_unknown(cloud, prices)]
    hours = computing_hours(config, device, records or RECORDS_ASKED)
    total = bill(cloud, prices, device, hours)
    count = (
        f"{records:,} records"
        if records
        else f"{RECORDS_ASKED:,} records (how many there are is not read here)"
    )
    return [
        f"cost: an estimate, ${_rough(total.low)} to ${_rough(total.high, up=True)} for {count}",
        f"  {_rough(hours.low)} to {_rough(hours.high, up=True)} hours of computing on {cloud.gpu} at "
        f"{_rate(cloud, device)}, and the start of each step's machine",
        f"  assumes {_words(config)}, and {PEAK_SHARE[0]:.0%} to {PEAK_SHARE[1]:.0%} of the GPU's peak",
        f"  prices of {prices.as_of}; configs/prices.yaml says where they are from",
        "  without storage, traffic and taxes; set stack.cloud.price_per_hour to what you pay",
    ]


def computing_hours(config: RunConfig, device: Price, records: int) -> Range:
    """Hours that training the sweep and scoring every part take on `device`.

    Linear in records, tokens a record, epochs and candidates.
    """
    recipe, split = config.model.recipe, config.task.split
    passes = recipe.epochs * len(recipe.ranks)
    trained = split.train * passes
    scored = split.validation * (passes + 2) + split.test * SYSTEMS_JUDGED
    per_parameter = 6 * trained + 2 * scored  # floating point operations of a record's token
    tokens, size = tokens_per_record(config), parameters(config.model)
    work = Range(records * per_parameter, records * per_parameter) * tokens * size
    peak = (device.teraflops or 0) * 1e12 * 3600 * config.stack.processes
    return Range(work.low / (peak * PEAK_SHARE[1]), work.high / (peak * PEAK_SHARE[0]))


def bill(cloud: CloudConfig, prices: PriceList, device: Price, computing: Range) -> Range:
    """US dollars: computing and starts at the device's price, the other steps' starts at theirs."""
    rate = Range(device.low, device.high)
    start = Range(*START_HOURS)
    if cloud.provider == "skypilot":  # one machine from start to end
        return (computing + start) * rate
    other = prices.machines.get(cloud.cpu or "")
    other_rate = Range(other.low, other.high) if other else rate
    device_hours = computing + start * Range(DEVICE_STEPS, DEVICE_STEPS)
    return device_hours * rate + start * Range(OTHER_STEPS, OTHER_STEPS) * other_rate


def tokens_per_record(config: RunConfig) -> Range:
    """A guess from the task's columns; at most the base's context."""
    texts = sum(feature.kind == "text" for feature in config.task.features)
    fields = len(config.task.features) - texts
    low, high = (
        frame + fields * field + texts * text
        for frame, field, text in zip(TOKENS_OF_FRAME, TOKENS_PER_FIELD, TOKENS_PER_TEXT, strict=True)
    )
    most = config.model.max_length or high
    return Range(min(low, most), min(high, most))


def parameters(model: ModelConfig) -> Range:
    """Of the base, as its name tells (`...-7b`, `...-135m`); 1 to 8 billion where it does not."""
    if model.source == "embedded":
        return Range(PARAMETERS_EMBEDDED, PARAMETERS_EMBEDDED)
    found = _SIZE.search(f"{model.source} {model.name}".lower())
    if not found:
        return Range(*PARAMETERS_UNKNOWN)
    size = float(found["number"]) * {"b": 1e9, "m": 1e6}[found["unit"]]
    return Range(size, size)


_SIZE = re.compile(r"(?<![\w.])(?P<number>\d+(?:\.\d+)?)(?P<unit>[bm])(?![a-z0-9])")


def _unknown(cloud: CloudConfig, prices: PriceList) -> str:
    known = ", ".join(name for name, price in prices.machines.items() if price.teraflops)
    if cloud.gpu is None:
        return f"cost: unknown, for stack.cloud.gpu names no machine; configs/prices.yaml has {known}"
    return (
        f"cost: unknown, for configs/prices.yaml has no GPU machine '{cloud.gpu}' (it has {known}); "
        "add its line there: low, high, teraflops"
    )


def _device(cloud: CloudConfig, prices: PriceList) -> Price | None:
    found = prices.machines.get(cloud.gpu or "")
    if found is None or found.teraflops is None:
        return None
    own = cloud.price_per_hour
    return found.model_copy(update={"low": own, "high": own}) if own else found


def _words(config: RunConfig) -> str:
    tokens, size, recipe = tokens_per_record(config), parameters(config.model), config.model.recipe
    return (
        f"{tokens.low:,.0f} to {tokens.high:,.0f} tokens a record, {recipe.epochs} epochs, "
        f"{len(recipe.ranks)} candidates, a base of {_count(size)} parameters"
    )


def _count(size: Range) -> str:
    def short(number: float) -> str:
        return f"{number / 1e9:.2g} billion" if number >= 1e9 else f"{number / 1e6:.3g} million"

    return short(size.low) if size.low == size.high else f"{short(size.low)} to {short(size.high)} (a guess)"


def _rate(cloud: CloudConfig, device: Price) -> str:
    if cloud.price_per_hour:
        return f"${cloud.price_per_hour:g} an hour (yours)"
    return f"${device.low:g} to ${device.high:g} an hour"


def _rough(amount: float, *, up: bool = False) -> str:
    """One significant digit, the low end rounded down and the high end up: no more is known."""
    if amount < 0.1:
        return "0.1" if up else "0"
    unit = 10 ** math.floor(math.log10(amount))
    rounded = (math.ceil if up else math.floor)(round(amount / unit, 6)) * unit
    return f"{rounded:,.1f}" if rounded < 1 else f"{rounded:,.0f}"
