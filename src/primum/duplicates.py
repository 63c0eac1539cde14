"""Which records are copies of one another: identical rows, identical texts, texts that share long passages.

The search for near-duplicate texts is exact, by an inverted index of word n-grams. The measure is the share
of the *shorter* text's n-grams (containment); MinHash libraries such as datasketch only approximate it, and a
copy that they miss would leak into the holdout. Two observations keep it fast on real notes: an n-gram that
stands in one text only joins nothing, and boilerplate is not looked up where it could not make a pair by
itself (prefix filtering: Chaudhuri, Ganti & Kaushik, A primitive operator for similarity joins in data
cleaning, ICDE 2006).
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from primum.config import TaskConfig

CHUNK_CHARS = 4_000_000
"""Characters of text whose words are held at once."""
BLOCK_WORK = 4_000_000
"""Entries of the inverted index that are read for one block of texts, or as many as it has: bounds memory."""
FREQUENT = 32
"""An n-gram that stands in more texts than this is boilerplate."""
SETTLED = -1
"""Owner of a text that no pair is sought for any more."""
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Edges = list[tuple[np.ndarray, np.ndarray]]


def normalise(text: object) -> str:
    """The words of a text in lower case, joined by one space (Unicode NFKC); '' where nothing is recorded."""
    if not isinstance(text, str):
        return ""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def comparable(records: pd.DataFrame, task: TaskConfig) -> pd.DataFrame:
    """The features of the records, with every free text normalised."""
    frame = records[[feature.column for feature in task.features]].copy()
    for column in _texts(task):
        frame[column] = records[column].map(normalise, na_action=None).astype(object)
    return frame


def row_keys(frame: pd.DataFrame) -> np.ndarray:
    """(n,) 64-bit keys of a `comparable` frame's rows: equal where all features are equal; -0.0 is 0.0."""
    numbers = frame.select_dtypes("number").columns
    hashes = [
        pd.util.hash_pandas_object(frame[c] + 0.0 if c in numbers else frame[c], index=False).to_numpy()
        for c in frame.columns
    ]
    total: np.ndarray = np.zeros(len(frame), dtype=np.uint64)
    for column in hashes:  # the golden ratio and the shift make the key depend on the order of the columns
        total = (total ^ (total >> np.uint64(31))) * MULTIPLIER + column
    return total


def duplicate_groups(records: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """(n,) group of each record: equal for records joined by identical rows, identical or near-equal texts.

    Two texts are near-duplicates when they share at least `split.near_duplicate_overlap` of the distinct
    n-grams of the one that has fewer. Groups are closed under "copy of a copy".
    """
    frame = comparable(records, task)
    n = len(frame)
    edges: Edges = [same_key(row_keys(frame))]
    for column in _texts(task):
        codes, texts = pd.factorize(frame[column], use_na_sentinel=False)
        owner = np.arange(len(texts))
        for left, right in near_duplicates(list(texts), task, owner):
            owner[:] = components(len(texts), [(left, right), same_key(owner)])
        empty = (frame[column] == "").to_numpy()
        edges.append(same_key(np.where(empty, len(texts) + np.arange(n), owner[codes])))
    return components(n, edges)


def copied_rows(training: pd.DataFrame, holdout: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """(len(holdout),) True where the holdout record's features are those of a training record."""
    return np.isin(row_keys(comparable(holdout, task)), row_keys(comparable(training, task)))


def copied_texts(training: pd.DataFrame, holdout: pd.DataFrame, task: TaskConfig) -> np.ndarray:
    """(len(holdout),) True where a text of the holdout record is identical or near-equal to training's."""
    found = np.zeros(len(holdout), dtype=bool)
    for column in _texts(task):
        ours = holdout[column].map(normalise, na_action=None).astype(object)
        known = pd.unique(training[column].map(normalise, na_action=None).astype(object))
        found |= (ours.isin(known) & (ours != "")).to_numpy()
        codes, texts = pd.factorize(ours[~found], use_na_sentinel=False)
        side = np.repeat([0, 1], [len(known), len(texts)])
        for left, right in near_duplicates([*known, *texts], task, side):
            pair = np.concatenate([left, right])
            side[pair[pair >= len(known)]] = SETTLED
        found[~found] = side[len(known) :][codes] == SETTLED
    return found


def _texts(task: TaskConfig) -> list[str]:
    return [feature.column for feature in task.features if feature.kind == "text"]


def same_key(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges that join every record to the first one with the same key."""
    codes, uniques = pd.factorize(keys)
    first = np.empty(len(uniques), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(keys))[::-1]
    return np.arange(len(keys)), first[codes]


def components(n: int, edges: Edges) -> np.ndarray:
    """(n,) connected component of each of n records."""
    left, right = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def near_duplicates(
    texts: Sequence[str], task: TaskConfig, owner: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Near-duplicate pairs (i, j) of distinct normalised texts whose owners differ, block by block.

    The caller may change `owner` between blocks: pairs within one owner are then no longer looked at, nor are
    texts that were SETTLED.
    """
    sizes, index = _inverted_index(texts, task.split.near_duplicate_ngram)
    need = np.ceil(task.split.near_duplicate_overlap * sizes - 1e-9).astype(np.int64)
    todo = np.arange(len(texts))
    while len(todo) and (index := _across_owners(index, owner)).nnz:
        query, work = _rare_part(index, need)
        todo = todo[work[todo] > 0]
        most = max(BLOCK_WORK, index.nnz)
        block = todo[: max(1, int(np.searchsorted(np.cumsum(work[todo]), most)))]
        todo = todo[len(block) :]
        skipped = np.diff(index.indptr)[block] - np.diff(query.indptr)[block]
        shared = coo_array(query[block] @ index.T)
        left, right = block[shared.row], shared.col
        least = np.minimum(need[left], need[right])
        keep = (owner[left] != owner[right]) & (shared.data + skipped[shared.row] >= least)
        left, right, least = left[keep], right[keep], least[keep]
        joined = _overlap(index, left, right) >= least
        yield left[joined], right[joined]


def _inverted_index(texts: Sequence[str], n: int) -> tuple[np.ndarray, csr_array]:
    """Distinct n-grams per text (m,), and the texts x n-grams matrix of those that stand in several texts."""
    docs, grams = (np.concatenate(part) for part in zip(*ngrams(texts, n), strict=True))
    sizes = np.bincount(docs, minlength=len(texts))
    ordered = np.sort(grams)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    column = np.searchsorted(repeated, grams)
    several = column < len(repeated)
    several[several] = repeated[column[several]] == grams[several]
    shape = (len(texts), len(repeated))
    ones = np.ones(int(several.sum()), dtype=np.int32)
    return sizes, csr_array((ones, (docs[several], column[several])), shape=shape)


def ngrams(texts: Sequence[str], n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Distinct (text number, 64-bit n-gram hash) pairs; a text of fewer than n words has none."""
    yield np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uint64)
    chunk = np.cumsum([0, *(len(text) for text in texts[:-1])]) // CHUNK_CHARS
    bounds = [0, *(np.flatnonzero(np.diff(chunk)) + 1), len(texts)]
    for start, stop in itertools.pairwise(bounds):
        words = [text.split() for text in texts[start:stop]]
        doc = np.repeat(np.arange(start, stop, dtype=np.int32), [len(w) for w in words])
        if len(doc) < n:
            continue
        flat = np.array([word for some in words for word in some], dtype=object)
        hashes = pd.util.hash_array(flat)
        windows = np.zeros(len(doc) - n + 1, dtype=np.uint64)
        for offset in range(n):  # polynomial hash of the window, modulo 2**64
            windows = windows * MULTIPLIER + hashes[offset : offset + len(windows)]
        whole = doc[: len(windows)] == doc[n - 1 :]
        order = np.lexsort((windows[whole], doc[: len(windows)][whole]))
        docs, grams = doc[: len(windows)][whole][order], windows[whole][order]
        new = np.ones(len(docs), dtype=bool)
        new[1:] = (docs[1:] != docs[:-1]) | (grams[1:] != grams[:-1])
        yield docs[new], grams[new]


def _across_owners(index: csr_array, owner: np.ndarray) -> csr_array:
    """The n-grams that still stand with more than one owner; the others join nothing new."""
    entries = coo_array(index)
    live = owner[entries.row] != SETTLED
    rows, columns = entries.row[live], entries.col[live]
    low = np.full(index.shape[1], np.iinfo(np.int64).max)
    high = np.full(index.shape[1], -1)
    np.minimum.at(low, columns, owner[rows])
    np.maximum.at(high, columns, owner[rows])
    mixed = (low < high)[columns]
    if mixed.all() and live.all():
        return index
    rows, columns = rows[mixed], np.unique(columns[mixed], return_inverse=True)[1]
    shape = (index.shape[0], int(columns.max(initial=-1)) + 1)
    return csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)


def _rare_part(index: csr_array, need: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """The index without the boilerplate of each text, and the postings that its query reads, per text.

    Of each text the most frequent n-grams are left out, fewer than `need` of them: a text that shares `need`
    n-grams with it then still shares one that is left.
    """
    frequency = np.bincount(index.indices, minlength=index.shape[1])
    entries = coo_array(index)
    common = frequency[entries.col] > FREQUENT
    rows, columns = entries.row[common], entries.col[common]
    order = np.lexsort((-frequency[columns], rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = rank >= need[rows] - 1
    rows = np.concatenate([rows[kept], entries.row[~common]])
    columns = np.concatenate([columns[kept], entries.col[~common]])
    query = csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=index.shape)
    return query, np.bincount(rows, weights=frequency[columns], minlength=index.shape[0])


def _overlap(index: csr_array, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many n-grams the texts of each pair share."""
    width = max(1, int(np.diff(index.indptr).max(initial=1)))
    step = max(1, BLOCK_WORK // width)
    parts = [
        index[left[i : i + step]].multiply(index[right[i : i + step]]).sum(axis=1)
        for i in range(0, len(left), step)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
