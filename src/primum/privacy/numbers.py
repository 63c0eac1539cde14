"""Telephone numbers, electronic addresses, and the numbers that offices and insurers give to people."""

from __future__ import annotations

from primum.privacy.soundness import has_digits, is_ip, is_kvnr, is_nhs, is_ssn

_START = r"(?<![\w.,/-])"
_DIGITS = r"\d(?:[ ./-]?\d)"
_PHONE = (
    r"\b(?i:tel(?:efon|ephone)?|phone|fax|mobile?|handy|cell|pager|ruf|durchwahl|rückruf)"
    r"(?:nummer|[ -]?(?:no|nr|number|#))?\.?(?: (?:is|ist|at|unter))?:? ?"
)
PHONES = (
    rf"(?<![\w+])(?:\+|00(?=[1-9]))[1-9]\d{{0,2}}[ ./-]?(?:\(0?\d{{0,4}}\)[ ./-]?)?{_DIGITS}{{5,12}}(?!\d)",
    rf"{_START}(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{{4}}"
    r"(?:,? ?(?:x|ext\.?) ?\d{1,5})?(?![\d-])",
    rf"{_START}\([2-9]\d\d\) ?\d{{3}}[- ]\d{{4}}(?!\d)",
    rf"{_START}\(?0[1-9]\d{{1,4}}\)?(?: ?[/-] ?| ){_DIGITS}{{4,9}}(?![\d,]|\.\d)",
    rf"{_START}0[1-9]\d{{8,10}}(?![\d.,]\d|\w)",
    rf"{_PHONE}(?P<x>[+(]?\d(?:[ ()./-]{{0,2}}\d){{5,14}})(?!\d)",
)
"""International (+, 00), North American, national with a leading 0, and what a label announces."""

EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"
URL = r"(?i)\b(?:https?://|ftp://|www\.)[^\s<>\"]{1,500}[^\s<>\"().,;:!?\]]"
IPS = (
    (r"(?<![\w.])(?<!ersion )(?<!ection )\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)", is_ip),
    (r"(?i)(?<![\w:])(?=[0-9a-f:]{0,40}[a-f:]{2})[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])", is_ip),
)

_LABEL = (
    r"(?<!\w)(?i:mrn|mr ?#|medical record|patient id|patienten?-?id|hospital|chart|account|acct|member|policy|"
    r"insurance|subscriber|group|medicare|medicaid|nhs|ssn|social security|passport|driver'?s licen[cs]e|"
    r"licen[cs]e|accession|encounter|visit id|case|serial|vin|dea|npi|hicn|pat(?:ienten)?|fall|aufnahme|"
    r"versicherten|versicherungs|vers|kvnr|krankenversicherungs?|krankenkassen?|sozialversicherungs|sv|"
    r"rentenversicherungs|steuer|ausweis|personalausweis|reisepass|kassen|akten|befund|auftrags|serien|record|id)"
)
_NUMBER_OF = (  # "case 3" is none; "case no. 3456" is one, and so is whatever follows MRN, SSN, KVNR ...
    r"(?:[ .-]{0,2}(?i:no|nr|number|num|nummer|id|zeichen)\b\.?:?#?| ?#|"
    r"(?<=(?i:mrn|ssn|.id|vin|npi|vnr))(?: is)?)[: ]{0,3}"
)
_VALUE = (
    r"(?P<x>(?:[A-Z]{1,4}[ /-]?)?\d[\dA-Z]{0,19}(?:[ ./-](?=[A-Z]{0,3}\d)[\dA-Z]{1,12}){0,5})(?![\w%]|\.\d)"
)
IDS = (
    (rf"{_LABEL}{_NUMBER_OF}{_VALUE}", has_digits),
    (r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\w-])", is_ssn),
    (r"(?<![\w.,-])\d{3}[ -]\d{3}[ -]\d{4}(?![\w-]|[.,]\d)", is_nhs),
    (r"(?<!\w)[A-Z]\d{9}(?!\w)", is_kvnr),
    (r"(?<!\w)\d\d ?(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d\d ?[A-Z] ?\d{3}(?!\w)", None),
)
"""What a label announces; US, UK and German numbers that their form or check digit gives away."""

IBAN = r"(?<!\w)[A-Z]{2}\d\d(?: ?[\dA-Z]{4}){2,7}(?: ?[\dA-Z]{1,3})?(?!\w)"
