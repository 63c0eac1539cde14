"""Units that changed: which conversion maps the window's numbers back onto the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primum.config import Feature
from primum.stats.drift import ks_distance

FAR = 0.5
"""KS distance from which a change of unit is looked for."""
NEAR = 0.15
"""KS distance up to which converted values are taken to be the reference's, where the samples are large."""


@dataclass(frozen=True)
class Conversion:
    """value in the reference's unit = (value - offset) * factor."""

    factor: float
    offset: float
    formula: str
    units: str
    """What was delivered instead of what."""
    of: str = ""
    """The reference's unit, where it has a name."""

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values as the reference has them."""
        return (values - self.offset) * self.factor


TWO_WAY = (
    ("lb", "kg", 0.45359237, "body weight"),
    ("in", "cm", 2.54, ""),
    ("ft", "m", 0.3048, ""),
    ("in", "m", 0.0254, ""),
    ("kPa", "mmHg", 7.50062, ""),
    ("mg/dL", "mmol/L", 1 / 18.016, "glucose"),
    ("mg/dL", "mmol/L", 1 / 38.67, "cholesterol"),
    ("mg/dL", "mmol/L", 1 / 88.57, "triglycerides"),
    ("mg/dL", "mmol/L", 0.357, "urea nitrogen"),
    ("mg/dL", "mmol/L", 0.2495, "calcium"),
    ("mg/dL", "umol/L", 88.42, "creatinine"),
    ("mg/dL", "umol/L", 17.1, "bilirubin"),
    ("mg/dL", "umol/L", 59.48, "uric acid"),
    ("g/dL", "mmol/L", 0.6206, "haemoglobin"),
    ("hours", "minutes", 60.0, ""),
    ("days", "hours", 24.0, ""),
    ("years", "months", 12.0, ""),
    ("years", "days", 365.25, ""),
)
"""(unit, other unit, how many of the other one is, of what)."""


ALIASES = {"C": "Celsius", "°C": "Celsius", "F": "Fahrenheit", "°F": "Fahrenheit", "inch": "in", "h": "hours"}


def conversions(unit: str | None = None) -> list[Conversion]:
    """Every conversion to the declared unit of the feature; every one at all where none leads to that unit."""
    named = [
        Conversion(1 / 1.8, 32.0, "(x - 32) / 1.8", "Fahrenheit instead of Celsius", "Celsius"),
        Conversion(1.8, -32 / 1.8, "1.8 x + 32", "Celsius instead of Fahrenheit", "Fahrenheit"),
        Conversion(1.0, 273.15, "x - 273.15", "kelvin instead of Celsius", "Celsius"),
    ]
    for one, other, factor, what in TWO_WAY:
        of = f" ({what})" if what else ""
        named.append(Conversion(factor, 0.0, f"{factor:.4g} x", f"{one} instead of {other}{of}", other))
        named.append(Conversion(1 / factor, 0.0, f"x / {factor:.4g}", f"{other} instead of {one}{of}", one))
    wanted = ALIASES.get(unit or "", unit)
    tens = []
    for power in (10, 100, 1000):
        tens.append(Conversion(float(power), 0.0, f"{power} x", f"a unit {power} times as large"))
        tens.append(Conversion(1 / power, 0.0, f"x / {power}", f"a unit {power} times as small"))
    return ([c for c in named if c.of == wanted] or named) + tens


def unit_suggestion(feature: Feature, reference: NDArray[Any], current: NDArray[Any]) -> str | None:
    """What a person may want to check, where a conversion brings the window (m,) back onto the reference (n,).

    Of all conversions the nearest one counts, and only where the samples then lie as near as samples of these
    sizes do. Where only part of the window has another unit, it is looked for among the values beyond the
    reference's range.
    """
    reference, current = np.sort(reference), np.sort(current)
    before = ks_distance(reference, current)
    found = _nearest(feature, reference, current) if before >= FAR else None
    start = (
        f"column '{feature.column}': mean {current.mean():.4g} now, {reference.mean():.4g} in the reference"
    )
    if found is not None:
        return f"{start}; {found.formula} would bring it back: {found.units}?"
    outside = current[(current < reference[0]) | (current > reference[-1])]
    if outside.size < max(10, 0.05 * current.size) or outside.size == current.size:
        return None
    found = _nearest(feature, reference, outside)
    if found is None:
        return None
    share = outside.size / current.size
    return (
        f"{start}; {share:.0%} of the window lies outside the reference's range, and {found.formula} would "
        f"bring that part back: {found.units}?"
    )


def _nearest(feature: Feature, reference: NDArray[Any], current: NDArray[Any]) -> Conversion | None:
    if reference[0] == reference[-1]:
        return None
    tried = [(ks_distance(reference, np.sort(c.apply(current))), c) for c in conversions(feature.unit)]
    distance, best = min(tried, key=lambda found: found[0])
    noise = 1.36 * np.sqrt(1 / reference.size + 1 / current.size)  # the 5% point of the KS distance
    return best if distance <= max(NEAR, min(noise, 2 * NEAR)) else None
