"""Numbers of a clinical text with their units, ratios such as 3/6, blood pressures and dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from primum.texts.spelled import Digits, in_digits

_UNITS: dict[str, tuple[str, float, str]] = {
    "mcg": ("mass", 1e-6, "mcg|µg|μg|ug|micrograms?"),
    "mg": ("mass", 1e-3, "mgs?|milligrams?"),
    "g": ("mass", 1.0, "g|gm|gms|grams?"),
    "kg": ("mass", 1e3, "kgs?|kilos?|kilograms?"),
    "lb": ("mass", 453.59237, "lbs?|pounds?"),
    "oz": ("mass", 28.349523125, "oz|ounces?"),
    "ml": ("volume", 1e-3, "mls?|ccs?|milliliters?|millilitres?"),
    "l": ("volume", 1.0, "l|liters?|litres?"),
    "mm": ("length", 1e-3, "mm|millimeters?|millimetres?"),
    "cm": ("length", 1e-2, "cms?|centimeters?|centimetres?"),
    "m": ("length", 1.0, "meters?|metres?"),
    "in": ("length", 0.0254, "inch|inches|\"|”|''"),
    "ft": ("length", 0.3048, "foot|feet|ft|'(?=\\s?\\d)|’(?=\\s?\\d)"),
    "mile": ("length", 1609.344, "miles?"),
    "s": ("time", 1 / 86400, "secs?|seconds?"),
    "min": ("time", 1 / 1440, "mins?|minutes?"),
    "h": ("time", 1 / 24, "h|hrs?|hours?"),
    "day": ("time", 1.0, "days?"),
    "week": ("time", 7.0, "wks?|weeks?"),
    "month": ("time", 365.25 / 12, "mos?|months?"),
    "year": ("time", 365.25, "yrs?|years?|y\\.?\\s?/?o\\.?|year-old"),
    "%": ("percent", 1.0, "%|percent"),
    "mmHg": ("pressure", 1.0, "mm\\s?hg|millimeters? of mercury"),
    "/min": ("rate", 1.0, "bpm|beats? (?:per|a) minute|breaths? (?:per|a) minute"),
    "°F": ("temperature", 1.0, "°\\s?f|degrees? f(?:ahrenheit)?|fahrenheit|f"),
    "°C": ("temperature", 1.0, "°\\s?c|degrees? c(?:elsius)?|celsius|c"),
    "°": ("angle", 1.0, "°|degrees?"),
    "/day": ("per day", 1.0, "(?:times?|x) ?(?:a |per |each |every |/ ?)?(?:day|daily)"),
    "/week": ("per week", 1.0, "(?:times?|x) ?(?:a |per |each |every |/ ?)?(?:week|weekly)"),
    "times": ("times", 1.0, "times?|x"),
    "decade": ("decade", 1.0, "[’']?s"),
    "unit": ("units", 1.0, "units?|iu"),
    "mEq": ("mEq", 1.0, "meq"),
    "mmol": ("mmol", 1.0, "mmol"),
}
"""Unit -> dimension, factor to the dimension's own unit, and how it is written (a pattern)."""

_PER = r"(?:\s?(?:/|per)\s?(dl|deciliters?|ml|l|liters?|kg|hour|h|min|minute)\b)"
_UNIT = re.compile(
    r"(?:\s|-)?\s?(?:"
    + "|".join(
        f"(?P<u{k}>(?:{pattern})(?![a-z]))"
        for k, (_, _, pattern) in sorted(
            enumerate(_UNITS.values()), key=lambda item: -max(map(len, item[1][2].split("|")))
        )
    )
    + rf"){_PER}?",
    re.IGNORECASE,
)
_NAMES = list(_UNITS)

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"\b(?P<m1>\d{{1,2}})(?P<sep>[/-])(?P<d1>\d{{1,2}})(?P=sep)(?P<y1>{_YEAR}|\d\d)\b"
    rf"|\b(?P<m2>\d{{1,2}})/(?P<y2>{_YEAR})\b"
    r"|(?<![\w/.])(?P<m7>1[0-2]|0?[1-9])/(?P<y7>0\d|[5-9]\d)(?![\d/%])"
    rf"|\b(?P<y3>{_YEAR})-(?P<m3>\d\d)(?:-(?P<d3>\d\d))?\b"
    rf"|\b{_MONTH.format('w4')}\s+(?:the\s+)?(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?/)(?:[\s,]+(?:of\s+)?(?P<y4>{_YEAR})\b)?"
    rf"|\b(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH.format('w5')}\b(?:[\s,]+(?P<y5>{_YEAR})\b)?"
    rf"|\b{_MONTH.format('w6')}[\s,]+(?:of\s+)?(?P<y6>{_YEAR})\b"
    rf"|\b(?:in|since|until|last|this|next|of|by|early|late|around)\s+{_MONTH.format('w8')}(?!\w)",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"(?<![\w./])(\d{1,3}(?:\.\d+)?)\s?(?:/|\s(?:over|out of)\s)\s?(\d{1,3}(?:\.\d+)?)(?![\d/]|\.\d)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)(?!\d)(?P<th>(?:st|nd|rd|th)\b)?", re.IGNORECASE
)
_ONE = re.compile(r"\b(?:a|an|last|past|next|per|each|every)(?=\s[a-z])", re.IGNORECASE)
_SPANS = ("h", "day", "week", "month", "year")
_NAMED = re.compile(r"[a-z]\d{0,2}-$", re.IGNORECASE)
_ENUMERATED = re.compile(r"(?:^|(?<=[.:;]))[ \t]*#?\d{1,2}[.)](?=[ \t]+[A-Z\"'])", re.MULTILINE)


Kind = Literal["number", "ratio", "date"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number, ratio or date of a text and where it stands in it."""

    kind: Kind
    values: tuple[float, ...]
    """(value,), (upper, lower) or (year, month, day) with 0 for what is not said."""
    unit: str
    """A key of the unit table, with "/dl" and the like behind it; "" where none is said."""
    start: int
    end: int
    loose: bool = False
    """Written in words and without a unit: it may be a pronoun ("one of them"), so it proves but claims nothing."""


def read_quantities(text: str) -> list[Quantity]:
    """All quantities of a text by position, spelled numbers included; numbering of lists is left out.

    Digits that belong to a name are no numbers: COVID-19, B12, L4-L5, A1c.
    """
    digits = in_digits(text)
    found: list[tuple[int, int, Quantity]] = []
    taken = bytearray(len(digits.text))
    for item in _ENUMERATED.finditer(digits.text):
        taken[item.start() : item.end()] = b"\1" * (item.end() - item.start())
    for reader in (_dates, _pairs, _numbers, _single):
        for start, end, quantity in list(reader(digits)):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append((start, end, quantity))
    return [quantity for _, _, quantity in sorted(found, key=lambda item: item[0])]


_Found = Iterator[tuple[int, int, Quantity]]


def _made(
    digits: Digits, span: tuple[int, int], kind: Kind, values: tuple[float, ...], unit: str = ""
) -> tuple[int, int, Quantity]:
    loose = kind == "number" and unit in ("", "times") and digits.spelled(span[0])
    unit = "" if unit == "°" else unit  # of a temperature or of a joint: the number decides
    return *span, Quantity(kind, values, unit, digits.origin(span[0]), digits.end(span[1]), loose)


def _dates(digits: Digits) -> _Found:
    for found in _DATE.finditer(digits.text):
        part = {name[0]: text for name, text in found.groupdict().items() if text and name != "sep"}
        month = int(part["m"]) if "m" in part else MONTHS.index(part["w"][:3].casefold()) + 1
        year, day = int(part.get("y", 0)), int(part.get("d", 0))
        if year and year < 100:
            year += 2000 if year < 50 else 1900
        if month > 12 and day <= 12:
            month, day = day, month
        if 1 <= month <= 12 and day <= 31:
            yield _made(digits, found.span(), "date", (year, month, day))


def _pairs(digits: Digits) -> _Found:
    for found in _PAIR.finditer(digits.text):
        upper, lower = float(found[1]), float(found[2])
        unit = "mmHg" if upper >= 50 and lower >= 30 and upper > lower else ""
        yield _made(digits, found.span(), "ratio", (upper, lower), unit)


def _numbers(digits: Digits) -> _Found:
    text = digits.text
    for found in _NUMBER.finditer(text):
        if found["th"] or _NAMED.search(text, max(0, found.start() - 4), found.start()):
            continue
        unit, end = _unit_after(text, found.end())
        value = float(found[1].replace(",", ""))
        if not unit and re.match(r"[a-z]{2}", text[found.end() : found.end() + 2], re.IGNORECASE):
            continue  # "5HT"
        yield _made(digits, (found.start(), end), "number", (value,), unit)


def _single(digits: Digits) -> _Found:
    """ "A week ago", "the last year": one of them, said without a number."""
    for found in _ONE.finditer(digits.text):
        unit, end = _unit_after(digits.text, found.end())
        if unit in _SPANS:
            start, end, one = _made(digits, (found.start(), end), "number", (1.0,), unit)
            yield start, end, replace(one, loose=True)


def _unit_after(text: str, place: int) -> tuple[str, int]:
    found = _UNIT.match(text, place)
    if found is None:
        return "", place
    name = next(_NAMES[int(key[1:])] for key, value in found.groupdict().items() if value)
    per = (found[found.lastindex or 0] or "") if found.re.groups == found.lastindex else ""
    return (f"{name}/{per.casefold()[0]}" if per else name), found.end()


def agrees(claim: Quantity, proof: Quantity) -> bool:
    """Whether one quantity bears out another: the same value in units that can be converted, or without one.

    A date bears out another of the same month and day; a year that the proof does not say may be added, as
    a clinician does who knows today's date. A ratio a/b is borne out by a/b, or by a number a without a unit
    ("pain is a seven": 7/10).
    """
    if claim.kind == "date" or proof.kind == "date":
        return claim.kind == proof.kind and _same_day(claim.values, proof.values)
    if claim.kind == "ratio" and proof.kind == "ratio":
        return claim.values == proof.values
    if claim.kind == "ratio":
        return claim.unit == "" == proof.unit and claim.values[0] == proof.values[0]
    if proof.kind == "ratio":
        return claim.values[0] in proof.values and claim.unit in ("", proof.unit)
    if claim.unit and proof.unit and claim.unit != proof.unit:
        return _converted(claim, proof)
    return claim.values == proof.values


def _same_day(claim: tuple[float, ...], proof: tuple[float, ...]) -> bool:
    (year, month, day), (proof_year, proof_month, proof_day) = claim, proof
    return month == proof_month and day in (0, proof_day) and (year == proof_year or 0 in (year, proof_year))


def _converted(claim: Quantity, proof: Quantity) -> bool:
    a, b = _standard(claim), _standard(proof)
    if a is None or b is None or a[0] != b[0]:
        return False
    tolerance = 0.06 if a[0] == "temperature" else 0.005 * max(abs(a[1]), abs(b[1]))
    return abs(a[1] - b[1]) <= tolerance


def _standard(quantity: Quantity) -> tuple[str, float] | None:
    """Dimension and value in its own unit (kg and g in g, °F in °C); None for concentrations in other units."""
    name, _, per = (
        quantity.unit.partition("/") if not quantity.unit.startswith("/") else (quantity.unit, "", "")
    )
    dimension, factor, _ = _UNITS[name]
    value = quantity.values[0]
    if name in ("°F", "°C"):
        return "temperature", (value - 32) / 1.8 if name == "°F" else value
    return f"{dimension}/{per}", value * factor
