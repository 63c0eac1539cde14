"""Whether a number can be what its form says: check digits, calendar, ranges. All functions are pure."""

from __future__ import annotations

import ipaddress
import re

OLDEST = 125
"""Years that nobody has outlived."""


def digits(text: str) -> str:
    """The decimal digits of the text."""
    return "".join(re.findall(r"[0-9]", text))


def is_nhs(text: str) -> bool:
    """NHS number: ten digits, the last one modulo 11 (NHS Data Dictionary, attribute NHS NUMBER)."""
    number = [int(d) for d in digits(text)]
    if len(number) != 10:
        return False
    check = 11 - sum(d * w for d, w in zip(number, range(10, 1, -1), strict=False)) % 11
    return number[9] == (0 if check == 11 else check)


def is_iban(text: str) -> bool:
    """IBAN: country, two check digits; the rearranged number is 1 modulo 97 (ISO 13616, ISO 7064 MOD 97-10)."""
    number = "".join(text.split()).upper()
    if not 15 <= len(number) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def is_kvnr(text: str) -> bool:
    """German health insurance number: letter, eight digits, check digit (GKV-Spitzenverband, § 290 SGB V).

    The letter counts as its two-digit place in the alphabet; weights 1, 2, 1, 2 ...; cross sums; modulo 10.
    """
    number = f"{ord(text[0].upper()) - 64:02d}{text[1:]}"
    products = [int(d) * (1 + i % 2) for i, d in enumerate(number[:-1])]
    return sum(p // 10 + p % 10 for p in products) % 10 == int(number[-1])


def is_ssn(text: str) -> bool:
    """US social security number: area not 000, 666 or 9xx, group not 00, serial not 0000 (SSA, POMS RM 10201)."""
    area, group, serial = re.findall(r"\d+", text)
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def is_ip(text: str) -> bool:
    """IPv4 or IPv6 address (RFC 791, RFC 4291)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_numeric_date(text: str) -> bool:
    """Three numbers that are day, month and year in some customary order."""
    one, two, three = (int(part) for part in re.findall(r"\d+", text)[:3])
    if one > 31:  # year first
        return 1 <= two <= 12 and 1 <= three <= 31
    return min(one, two) >= 1 and min(one, two) <= 12 and max(one, two) <= 31


def is_month_day(text: str) -> bool:
    """Two numbers that are day and month."""
    one, two = (int(part) for part in re.findall(r"\d+", text)[:2])
    return min(one, two) >= 1 and min(one, two) <= 12 and max(one, two) <= 31


def is_over_89(text: str) -> bool:
    """An age that HIPAA's Safe Harbor counts as an identifier."""
    return 89 < int(digits(text)) <= OLDEST


def is_phone(text: str) -> bool:
    """7 to 15 digits (ITU-T E.164 allows 15; a local number has 7)."""
    return 7 <= len(digits(text)) <= 15


def has_digits(text: str) -> bool:
    """At least four digits: shorter ones are bed or case counts."""
    return len(digits(text)) >= 4
