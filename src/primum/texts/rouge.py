"""ROUGE-1, ROUGE-2 and ROUGE-Lsum (Lin 2004, "ROUGE: a package for automatic evaluation of summaries").

Own code, because the usual package has had no release since 2022, brings NLTK with it, reads English letters only
and fills its tables cell by cell. Its figures are reproduced to the last digit on English text, ties of the
longest common subsequence included; the columns of the table are kept as bits of one integer (Hyyro 2004,
"Bit-parallel LCS-length computation revisited"), which makes a note of 1,000 words a matter of milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from primum.texts.words import sentences, words


@dataclass(frozen=True, slots=True)
class Overlap:
    """Shares in [0, 1]: of the candidate's units that the reference holds, and the other way round."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Rouge:
    """The three overlaps of a candidate with its reference; all 0 where either has no words."""

    rouge1: Overlap
    rouge2: Overlap
    rouge_lsum: Overlap


def rouge(reference: str, candidate: str) -> Rouge:
    """Compare a candidate text with its reference; no stemming, no stop words removed."""
    told = [found for found in map(words, sentences(reference)) if found]
    said = [found for found in map(words, sentences(candidate)) if found]
    all_told, all_said = list(chain(*told)), list(chain(*said))  # n-grams go across the ends of sentences
    return Rouge(_ngrams(all_told, all_said, 1), _ngrams(all_told, all_said, 2), lcs_union(told, said))


def _ngrams(reference: list[str], candidate: list[str], n: int) -> Overlap:
    told = Counter(zip(*(reference[k:] for k in range(n)), strict=False))
    said = Counter(zip(*(candidate[k:] for k in range(n)), strict=False))
    return _overlap(sum((told & said).values()), told.total(), said.total())


def lcs_union(reference: Sequence[list[str]], candidate: Sequence[list[str]]) -> Overlap:
    """ROUGE-L of summaries: per sentence of the reference the union of its LCS with every candidate sentence.

    A word counts at most as often as each side has it (Lin 2004, section 3.2, as ROUGE-1.5.5 computes it).
    """
    left_told = Counter(word for sentence in reference for word in sentence)
    left_said = Counter(word for sentence in candidate for word in sentence)
    total_told, total_said, hits = left_told.total(), left_said.total(), 0
    places = _places(candidate)
    for sentence in reference:
        for position in sorted(_union(sentence, places)):
            word = sentence[position]
            if left_told[word] > 0 and left_said[word] > 0:
                hits += 1
                left_told[word] -= 1
                left_said[word] -= 1
    return _overlap(hits, total_told, total_said)


def _overlap(hits: int, told: int, said: int) -> Overlap:
    return Overlap(hits / said if said else 0.0, hits / told if told else 0.0)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a candidate's words stand: word -> places, counted through; and the sentence of each place."""

    of: dict[str, list[int]]
    sentence: list[int]


def _places(candidate: Sequence[list[str]]) -> _Places:
    of: dict[str, list[int]] = {}
    owner: list[int] = []
    for number, sentence in enumerate(candidate):
        for word in sentence:
            of.setdefault(word, []).append(len(owner))
            owner.append(number)
    return _Places(of, [*owner, -1])


def _union(sentence: list[str], candidate: _Places) -> set[int]:
    """Places in the reference sentence that stand in its LCS with at least one candidate sentence."""
    where: dict[str, int] = {}
    for position, word in enumerate(sentence):
        if word in candidate.of:
            where[word] = where.get(word, 0) | 1 << position
    shared = sorted((place, mask) for word, mask in where.items() for place in candidate.of[word])
    found: set[int] = set()
    for _, group in groupby(shared, key=lambda item: candidate.sentence[item[0]]):
        matches = list(group)
        found |= _lcs_positions(matches, candidate.sentence, (1 << len(sentence)) - 1)
    return found


def _lcs_positions(matches: list[tuple[int, int]], owner: list[int], whole: int) -> set[int]:
    """Positions of one longest common subsequence in the reference sentence, ties broken as the full table does.

    matches: the candidate's words that the reference sentence has, by place, each with its positions there as
    bits; the others change no column of the table, but the way back leaves them at the row where the LCS grew.
    Bit i of a column says that the LCS grows from i to i + 1 reference words.
    """
    row, columns = whole, []
    for _, mask in matches:
        match = row & mask
        row = ((row + match) | (row - match)) & whole
        columns.append(row ^ whole)
    found: set[int] = set()
    i, after = whole.bit_length(), -1
    for (place, mask), column in zip(reversed(matches), reversed(columns), strict=True):
        if place + 1 != after and owner[place + 1] == owner[place]:  # words between that the reference lacks
            i = (column & ((1 << i) - 1)).bit_length()
        # up to the nearest row that matches this word (take it) or where the LCS grew before it (go left)
        i = ((column | mask) & ((1 << i) - 1)).bit_length()
        if not i:
            break
        if mask >> (i - 1) & 1:
            found.add(i - 1)
            i -= 1
        after = place
    return found
