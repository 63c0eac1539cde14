"""Streets with a house number, and postcodes that belong to an address."""

from __future__ import annotations

_CAPITALISED = r"[A-ZÄÖÜ][\w'’-]{0,30}\.?"
_TOWN = rf"{_CAPITALISED}(?: (?:(?:am|an der|im|in|ob der|upon|on|under) )?{_CAPITALISED}){{0,2}}"
_STATES = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|"
    r"V[AT]|W[AIVY])"
)
_ZIP = rf"{_STATES} \d{{5}}(?:-\d{{4}})?\b"
_UK_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b"
_POSTCODE = rf"(?:{_ZIP}|{_UK_POSTCODE})"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Court|Ct|Boulevard|Blvd|Terrace|Crescent|Square|Highway|Hwy|"
    r"Parkway|Pkwy|Gardens|Close|Way|Place|Grove|Mews)\b\.?"
)
_STRASSE = (
    r"(?:(?:[A-ZÄÖÜ][\w-]{0,30}[ -])?Str(?:aße|asse|\.)|"
    r"[A-ZÄÖÜ]\w{1,30}(?:e|er|es|en) (?:Gasse|Weg|Platz|Allee|Ring|Ufer)|"
    r"[A-ZÄÖÜ][\w-]{1,30}(?:straße|strasse|str\.|gasse|allee|chaussee|ufer)|"
    r"(?!Atem|Harn|Luft|Gallen|Infektions|Übertragungs|Arbeits|Rettungs|Zugangs|Schlaf|Behandlungs|Sitz|Heim|Liege)"
    r"[A-ZÄÖÜ][\w-]{3,30}(?:weg|platz|damm|steig|ring))"
)
_LIVES = (
    r"\b(?i:lives (?:in|at)|address|wohnhaft(?: in)?|wohnt in|anschrift|adresse|wohnort|plz|zip(?: code)?|postcode)"
    r"[: ]{1,2}"
)
_PLZ = r"(?:(?:D|DE|A|CH)-)?\d{4,5}"

ADDRESSES = (
    r"(?<![\w/.,-])\d{1,5}[A-Za-z]?(?: (?:North|South|East|West|[NSEW]\.))?"
    rf"(?: {_CAPITALISED}){{1,3}} {_STREET}(?:,? (?:Apt|Unit|Flat|Suite|#)\.? ?\w{{1,6}})?"
    rf"(?:,? {_TOWN}(?=,? {_POSTCODE}))?(?:,? {_POSTCODE})?",
    rf"\b{_STRASSE} \d{{1,4}} ?[a-f]?\b(?:,? {_PLZ} {_TOWN})?",
    rf"\b{_CAPITALISED}(?: {_CAPITALISED}){{0,2}}, {_ZIP}",
    rf"{_LIVES}(?P<x>{_PLZ}(?: {_TOWN})?)(?!\d)",
    rf"(?:{_LIVES}|(?<=[a-z], ))(?P<x>(?:{_TOWN},? )?{_UK_POSTCODE})",
    rf"(?<!\w)D-\d{{5}} {_TOWN}",
    r"\bP\.? ?O\.? Box \d{1,8}",
)
