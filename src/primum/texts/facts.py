"""Fact checks without another model: what a note holds that its source does not, and what it lost.

Four kinds of facts are read: numbers with their units (ratios and blood pressures too), dates, drug names, and
findings that are affirmed or denied. A check says that a fact is *not to be found*, by kind and position; it does
not understand: what stands there in other words counts as missing, and a figure that stands there in
another sense as held.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from primum.texts.denials import contradictions
from primum.texts.drugs import COMMON, Lexicon, read_drugs
from primum.texts.negation import Mention, read_findings
from primum.texts.quantities import Quantity, agrees, read_quantities

FactKind = Literal["number", "date", "drug", "finding", "denial"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact that one text holds and another does not; the position is in the text that holds it."""

    kind: FactKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of one text by kind."""

    quantities: tuple[Quantity, ...]
    drugs: tuple[tuple[str, int, int], ...]
    findings: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class FactCheck:
    """Distinct facts that were looked for in another text, and those not found there."""

    looked_for: int
    missing: tuple[Finding, ...]

    @property
    def rate(self) -> float:
        """Share of the facts that is missing; 0 where there was nothing to look for."""
        return len(self.missing) / self.looked_for if self.looked_for else 0.0

    def counts(self) -> dict[str, int]:
        """How many are missing of each kind."""
        return dict(Counter(finding.kind for finding in self.missing))


def read_facts(text: str, lexicon: Lexicon = COMMON) -> Facts:
    """Read the facts of a text."""
    return Facts(tuple(read_quantities(text)), tuple(read_drugs(text, lexicon)), tuple(read_findings(text)))


def unsupported(source: Facts, note: Facts) -> FactCheck:
    """What the note holds and the source does not.

    A number or date must stand in the source with a unit that fits, a drug under one of its names. A finding counts
    where the source names it and only ever says the contrary; one that the source does not name is not looked
    for, because a clinician's word for it may be another.
    """
    return _check(note, source)


def omitted(source: Facts, note: Facts, reference: Facts | None = None) -> FactCheck:
    """What the source holds and the note lost; with a reference note only what the reference took over.

    A finding must stand in the note with the same polarity. Positions are in the reference, else in the source.
    """
    told = source if reference is None else _held(reference, source)
    return _check(told, note, named=False)


def contradicted(reference: str, note: str) -> FactCheck:
    """What the note says contrary to its reference, whatever the source holds.

    Phrases that one denies and the other affirms (see `denials`), and quantities that stand in another's place:
    the reference does not hold it, the note does not hold the reference's, and the word before or after is the same.
    """
    shared, places = contradictions(reference, note)
    told, said = read_quantities(reference), read_quantities(note)
    lost = [q for q in told if not q.loose and not any(agrees(q, other) for other in said)]
    new = [q for q in said if not q.loose and not any(agrees(q, other) for other in told)]
    besides = {(q.kind, side) for q in lost for side in _neighbours(reference, q)}
    replaced = [q for q in new if any((q.kind, side) in besides for side in _neighbours(note, q))]
    found = [Finding("denial", start, end) for start, end in places]
    found += [Finding(_kind(q), q.start, q.end) for q in replaced]
    return FactCheck(shared + len(told), tuple(sorted(found, key=lambda finding: finding.start)))


_WORD_BEFORE = re.compile(r"([^\W\d_]{3,})[^\w.;\n]*$")
_WORD_AFTER = re.compile(r"[^\w.;\n]*([^\W\d_]{3,})")


def _neighbours(text: str, quantity: Quantity) -> list[tuple[str, str]]:
    before = _WORD_BEFORE.search(text[max(0, quantity.start - 30) : quantity.start])
    after = _WORD_AFTER.match(text[quantity.end : quantity.end + 30])
    sides = (("before", before), ("after", after))
    return [(side, word[1].casefold()) for side, word in sides if word]


def _held(note: Facts, source: Facts) -> Facts:
    polarities = _polarities(source)
    return Facts(
        tuple(q for q in note.quantities if any(agrees(q, proof) for proof in source.quantities)),
        tuple(d for d in note.drugs if d[0] in {name for name, _, _ in source.drugs}),
        tuple(m for m in note.findings if {m.polarity, "open"} & polarities.get(m.name, set())),
    )


def _polarities(facts: Facts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for mention in facts.findings:
        found.setdefault(mention.name, set()).add(mention.polarity)
    return found


def _check(claims: Facts, proofs: Facts, named: bool = True) -> FactCheck:
    """Look for each distinct claim. `named`: a finding that the proofs do not name is not looked for."""
    numbers = [(q, _kind(q), (q.values, q.unit)) for q in claims.quantities if not q.loose]
    looked: set[Hashable] = set()
    missing: list[Finding] = []
    for quantity, kind, key in numbers:
        if key not in looked:
            looked.add(key)
            if not any(agrees(quantity, proof) for proof in proofs.quantities):
                missing.append(Finding(kind, quantity.start, quantity.end))
    names = {name for name, _, _ in proofs.drugs}
    for name, start, end in claims.drugs:
        if name not in looked:
            looked.add(name)
            if name not in names:
                missing.append(Finding("drug", start, end))
    polarities = _polarities(proofs)
    for mention in claims.findings:
        told = polarities.get(mention.name, set())
        pair = (mention.name, mention.polarity)
        if mention.polarity == "open" or pair in looked or (named and not told):
            continue
        looked.add(pair)
        if not told & {mention.polarity, "open"}:
            missing.append(Finding("finding", mention.start, mention.end))
    return FactCheck(len(looked), tuple(sorted(missing, key=lambda finding: finding.start)))


def _kind(quantity: Quantity) -> FactKind:
    return "date" if quantity.kind == "date" else "number"
