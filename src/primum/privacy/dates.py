"""Dates and high ages in English and German text. A year alone is no date."""

from __future__ import annotations

from primum.privacy.soundness import is_month_day, is_numeric_date

_MONTHS = (
    r"January|February|March|April|June|July|August|September|October|November|December|Januar|Jänner|Februar|März|"
    r"Maerz|Juni|Juli|Oktober|Dezember|May|Mai|Jan|Feb|Mar|Mär|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Okt|Nov|Dec|Dez"
)
_MONTH = rf"(?:{_MONTHS}|{_MONTHS.upper()})\b\.?"
_YEAR = r"(?:(?:1[89]|20)\d\d)"
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_ALONE = r"(?<![\d.,/-])"
"""What stands before a number is no part of it."""
_NO_UNIT = r"(?! ?(?:mg|ml|g|kg|mcg|µg|mm|cm|mmol|units?|tablets?|tabs?|x\b|%|/|\.\d|,\d|\d))"
"""After "May 5": it may be a dose."""
_EVENT = (
    r"\b(?i:admitted|discharged|seen|dated|date|scheduled|appointment|visit|surgery|follow-up|aufnahme|entlassung|"
    r"termin)(?: (?:on|for))?:? "
)
_BIRTH = (
    r"(?i:\bdob|\bdate of birth|\bborn(?: on)?|\bgeb(?:oren)?\.?(?: am)?|\bgeburts(?:datum|tag))[: ]{1,2}"
)

DATES = (
    (rf"{_ALONE}{_YEAR}([-/.])\d\d?\1\d\d?(?:T\d\d:\d\d[\d:.Z+]{{0,12}})?(?!\d)", is_numeric_date),
    (rf"{_ALONE}\d\d?([./-])\d\d?\1{_YEAR}(?!\d)", is_numeric_date),
    (rf"{_ALONE}\d\d?([./])\d\d?\1\d\d(?![\d/-]|[.,]\d)", is_numeric_date),
    (rf"{_ALONE}\d\d?\. ?\d\d?\. ?{_YEAR}(?!\d)", is_numeric_date),
    (rf"{_ALONE}{_DAY}(?:st|nd|rd|th|\.)?(?: of)?[ -]?{_MONTH}(?:,?[ -]?'?(?:{_YEAR}|\d\d\b))?", None),
    (rf"\b{_MONTH}[ -]{_DAY}(?:st|nd|rd|th)?\b(?:,? {_YEAR}|{_NO_UNIT})", None),
    (rf"\b{_MONTH},?[ -]{_YEAR}\b", None),
    (rf"(?<![\d./-])(?:0?[1-9]|1[0-2])/{_YEAR}(?![\d/])", None),
    (rf"\b(?i:am|vom|bis|seit) (?P<x>{_DAY}\.(?:1[0-2]|0?[1-9])\.)(?!\d)", None),
    (rf"{_EVENT}(?P<x>\d\d?/\d\d?)(?![\d/])(?! ?(?:mmHg|mm Hg|of\b))", is_month_day),
    (rf"{_BIRTH}(?P<x>\d[\d./ -]{{4,8}}\d)(?!\d)", None),
)
"""Day, month and year in digits or words, two of them, and whatever follows "born"."""

_OLD = r"(?P<x>9\d|1[0-2]\d)"
_LIMITS = ("over ", "above ", "than ", "über ", "ab ", "to ", "bis ", "and ", "und ", "[<>≤≥]", "[<>≤≥] ")
_SINGLE = r"(?<![\d.,/–-])(?=9\d|1[0-2]\d)" + "".join(f"(?<!{limit})" for limit in _LIMITS)
"""No range and no limit: "over 90 years", "60 to 95 years" describe no person."""
AGES = (
    rf"{_SINGLE}{_OLD}(?: ?- ?|[ -]?)(?:years?|yrs?|y)?[ /-]?(?:old|of age|y/?o|o)\b",
    rf"{_SINGLE}{_OLD}[ -]?(?:jährige?[nrsm]?|Jahre alt|J\.)(?!\w)",
    rf"\b(?i:aged?|alter|age is|im alter von)[: ]{{1,2}}{_OLD}"
    r"(?! ?[\d%/.–-]\d|\d| (?:to|bis|and|und|years? (?!old|of age)))",
)
"""An age in years, on its own."""
