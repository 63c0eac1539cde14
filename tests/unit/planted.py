"""Made-up identifiers in made-up clinical sentences, drawn with a seed: what the finder must find.

Every list is invented or taken from ranges that are reserved for fiction. `{x}` marks the identifier.
"""

from __future__ import annotations

import random
from typing import NamedTuple

FIRST = (
    "John",
    "Maria",
    "Ahmed",
    "Siobhan",
    "Wei",
    "Olivia",
    "Kwame",
    "Jürgen",
    "Annegret",
    "Zoë",
    "Łukasz",
    "Ayşe",
)
LAST = ("Doe", "O'Brien", "Müller", "Nowak", "García", "Smith-Jones", "Özdemir", "van der Berg", "Schmidt", "Weiß",
        "McAllister", "Hoffmann", "Achebe", "Fernández", "von Ahlefeld", "Lindqvist")  # fmt: skip
TOWNS_DE = ("Lübbenau", "Bad Orb", "Neustadt", "Kiel", "Görlitz")
STREETS_DE = ("Lindenstraße", "Berliner Str.", "Mozartweg", "Marktplatz", "Schillerallee", "Alte Gasse")
STREETS_EN = (
    "Maple Street",
    "Old Mill Road",
    "Church Lane",
    "Sunset Boulevard",
    "Fifth Ave.",
    "King's Court",
)
MONTHS_EN = (
    "January",
    "Feb",
    "March",
    "Apr",
    "May",
    "June",
    "July",
    "Aug",
    "September",
    "Oct",
    "Nov.",
    "December",
)
MONTHS_DE = (
    "Januar",
    "Feb.",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "Aug.",
    "September",
    "Okt.",
    "November",
    "Dez.",
)

_SENTENCES = {
    "name": """Seen by Dr. {x} for atrial fibrillation. | Mrs {x} reports chest pain since yesterday.
| Mr. {x} takes metoprolol 47.5 mg. | Patient name: {x}, smoker. | Electronically signed by {x} | Next of kin: {x}
| Dear Ms. {x}, your scan | Referred by Prof. {x} to cardiology. | The patient's name is {x}. | Patient: {x}
| Herr {x} klagt über Atemnot. | Frau {x} wurde am Vortag operiert. | Wir berichten über Frau Dr. {x}, Z.n. Infarkt.
| gez. Dr. med. {x} | Hausarzt: {x}, Innere Medizin | Nachname: {x} | mit freundlichen Grüßen, Prof. Dr. {x}
| Sehr geehrter Herr {x}, wir danken | Patientin: {x}, Diabetes mellitus | Mein Name ist {x}.""",
    "date": """Admitted on {x} with pneumonia. | DOB: {x} | MRI of {x}: no change.
| Last visit {x}, BP 130/85. | Fell on {x}.
| Aufnahme am {x} wegen Synkope. | geb. am {x} | Echo vom {x}: EF 55 %.
| OP {x} komplikationslos. | Kontrolle {x}.""",
    "age": """A {x}-year-old woman with a fall. | He is {x} years old. | Age: {x}, female.
| This {x} y/o man | aged {x}, frail
| {x}-jährige Patientin mit Synkope. | Der Patient ist {x} Jahre alt. | Alter: {x}, weiblich | {x}jähriger Mann""",
    "phone": """Call {x} with results. | Phone: {x} | Daughter can be reached at {x}. | Fax {x}. | Pager: {x}, on call
| Tel.: {x} | Rückruf unter {x} erbeten. | Telefon {x} | Angehörige erreichbar: {x}. | Fax: {x}""",
    "email": "Send results to {x}. | E-Mail: {x} | contact {x} for records | Befund bitte an {x} senden.",
    "url": "See {x} for the photo. | Profile: {x} | Bericht unter {x}. | ({x})",
    "ip": "Logged in from {x}. | Portal access {x} recorded | Zugriff von {x} aus.",
    "id": """MRN: {x} | MRN {x}, seen today | Medical record number: {x}. | Account no. {x}
| Policy number {x}, BP 120/80
| Patient ID: {x} | Pat.-Nr. {x} | Patientennummer: {x} | Fallnummer {x} | Versichertennummer: {x} | Fall-Nr.: {x}""",
    "ssn": "SSN {x} on file. | social security number: {x} | He gave {x} at the desk.",
    "nhs": "NHS number {x}. | NHS No: {x} | Referred, {x}, urgent.",
    "kvnr": "Versichert unter {x}. | KVNR {x} | Krankenversicherung AOK, {x}, Zuzahlung frei",
    "address": """Lives at {x}. | Address: {x} | discharged to {x} with oxygen 2 l/min | wohnhaft {x}
| Anschrift: {x}""",
    "iban": "IBAN {x} | Refund to {x} please. | Konto: {x}.",
}
SENTENCES = {
    kind: [one.strip() for one in sentences.replace("\n", " ").split(" | ")]
    for kind, sentences in _SENTENCES.items()
}
KIND = {"ssn": "id", "nhs": "id", "kvnr": "id"}


class Planted(NamedTuple):
    """A text that holds one identifier, its kind as the finder calls it, and where it stands."""

    text: str
    kind: str
    start: int
    end: int


def planted(size: int, seed: int) -> list[Planted]:
    """`size` texts, kinds in turn."""
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    kinds = list(SENTENCES)
    return [_one(kinds[i % len(kinds)], rng) for i in range(size)]


def _one(kind: str, rng: random.Random) -> Planted:
    before, after = rng.choice(SENTENCES[kind]).split("{x}")
    value = VALUES[kind](rng, before)
    lead = rng.choice(
        ("", "Stable. ", "HR 88/min, SpO2 88 %. ", "EKG: Sinusrhythmus. ", "Plan: 3/4 of the dose.\n")
    )
    start = len(lead + before)
    return Planted(lead + before + value + after, KIND.get(kind, kind), start, start + len(value))


def _digits(rng: random.Random, size: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(size))


def _name(rng: random.Random, before: str) -> str:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    whole = (
        f"{first} {last}",
        f"{first[0]}. {last}",
        f"{last}, {first}",
        f"{first} {rng.choice('ABJM')}. {last}",
    )
    title = before.rstrip().endswith(
        ("Dr.", "Mrs", "Mr.", "Ms.", "Prof.", "Herr", "Frau", "med.", "Nachname:")
    )
    return (
        rng.choice((last, last, *whole[:2])) if title else rng.choice(whole if ":" in before else whole[:2])
    )


def _date(rng: random.Random, _: str) -> str:
    y, m, d = rng.randint(1925, 2026), rng.randint(1, 12), rng.randint(1, 28)
    en, de = MONTHS_EN[m - 1], MONTHS_DE[m - 1]
    numeric = [
        f"{y}-{m:02d}-{d:02d}",
        f"{m:02d}/{d:02d}/{y}",
        f"{m}/{d}/{y % 100:02d}",
        f"{d:02d}/{m:02d}/{y}",
    ]
    numeric += [f"{d:02d}.{m:02d}.{y}", f"{d}.{m}.{y % 100:02d}", f"{y}/{m:02d}/{d:02d}"]
    german = [f"{d}. {de} {y}", f"{d}. {de}", f"{de} {y}"]
    english = [
        f"{d} {en} {y}",
        f"{en} {d}, {y}",
        f"{d:02d}-{en[:3]}-{y}",
        f"{en} {d}th",
        f"{d}th of {en} {y}",
    ]
    return rng.choice([*numeric, *german, *english])


def _age(rng: random.Random, _: str) -> str:
    return str(rng.randint(90, 112))


def _phone(rng: random.Random, before: str) -> str:
    n = lambda k: _digits(rng, k)  # noqa: E731
    known = "one", "Fax", "Pager", "Tel", "fon"
    forms = [f"(212) 555-01{n(2)}", f"415-555-01{n(2)}", f"1-800-555-01{n(2)}", f"+1 212 555 01{n(2)}"]
    forms += [f"020 7946 0{n(3)}", f"07700 900{n(3)}", f"+44 20 7946 0{n(3)}"]
    forms += [f"030 23125{n(3)}", f"0171/39200{n(2)}", f"+49 (0)40 66969{n(3)}", f"0049 221 4710{n(3)}"]
    forms += [f"089-99998{n(3)}", f"0171920{n(4)}", f"+41 44 668 18 {n(2)}", f"+33 1 99 00 {n(2)} 12"]
    return rng.choice([*forms, f"555-01{n(2)}"] if any(k in before for k in known) else forms)


def _id(rng: random.Random, _: str) -> str:
    forms = [_digits(rng, 7), _digits(rng, 10), f"{_digits(rng, 3)}-{_digits(rng, 4)}", f"H{_digits(rng, 8)}"]
    return rng.choice([*forms, f"{_digits(rng, 4)}/{_digits(rng, 2)}", f"AB-{_digits(rng, 6)}"])


def _nhs(rng: random.Random, _: str) -> str:
    while True:
        head = _digits(rng, 9)
        check = 11 - sum(int(d) * w for d, w in zip(head, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            number = f"{head}{check % 11}"
            return f"{number[:3]} {number[3:6]} {number[6:]}"


def _kvnr(rng: random.Random, _: str) -> str:
    letter, number = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), _digits(rng, 8)
    expanded = f"{ord(letter) - 64:02d}{number}"
    products = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(expanded)]
    return f"{letter}{number}{sum(sum(divmod(p, 10)) for p in products) % 10}"


def _iban(rng: random.Random, _: str) -> str:
    country, body = rng.choice(
        (("DE", _digits(rng, 18)), ("GB", "WEST" + _digits(rng, 14)), ("AT", _digits(rng, 16)))
    )
    rest = int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    whole = f"{country}{98 - rest:02d}{body}"
    return rng.choice((whole, " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))))


def _address(rng: random.Random, _: str) -> str:
    de = f"{rng.choice(STREETS_DE)} {rng.randint(1, 199)}{rng.choice(('', 'a', ' b'))}"
    en = f"{rng.randint(1, 9999)} {rng.choice(STREETS_EN)}"
    uk = f"{rng.choice(('SW1A', 'M1', 'LS11', 'W1T'))} {rng.randint(1, 9)}{rng.choice(('AA', 'BQ', 'XE'))}"
    town = f"{rng.randint(10000, 99998)} {rng.choice(TOWNS_DE)}"
    american = f"{en}, Springfield, MA 0{_digits(rng, 4)}"
    return rng.choice((de, en, f"{de}, {town}", american, f"{en}, Leeds {uk}", f"{en}, Apt 4B"))


VALUES = {
    "name": _name,
    "date": _date,
    "age": _age,
    "phone": _phone,
    "id": _id,
    "nhs": _nhs,
    "kvnr": _kvnr,
    "iban": _iban,
    "address": _address,
    "ssn": lambda rng, _: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
    "email": lambda rng, _: (
        f"{rng.choice(('j.doe', 'anna_k', 'k+records'))}{_digits(rng, 2)}@mail.example.org"
    ),
    "url": lambda rng, _: (
        f"{rng.choice(('https://example.org/p/', 'www.example.de/akte?id='))}{_digits(rng, 5)}"
    ),
    "ip": lambda rng, _: rng.choice(
        (f"192.0.2.{rng.randint(1, 254)}", f"2001:db8:0:1::{rng.randint(1, 99)}")
    ),
}
