"""The verbalizers' tokens as a tree: what has to be computed to score all of them at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tree:
    """The verbalizers' tokens, common beginnings only once.

    Column 0 is the prompt's last token, column i + 1 is node i. `steps[k]` lists, for verbalizer k, the
    (column, token) pairs whose log-probabilities add up to its own.
    """

    tokens: tuple[int, ...]
    depth: tuple[int, ...]
    sees: np.ndarray
    """(T, T) bool: node i attends to node j."""
    steps: tuple[tuple[tuple[int, int], ...], ...]


def build_tree(answers: Sequence[Sequence[int]], end_of_turn: int) -> Tree:
    """Build the tree of the answers' tokens.

    Where one answer begins another ("no", "no change"), the events "the answer begins with ..." are nested
    and the short one could never lose, so every answer then ends in `end_of_turn`, which makes them
    disjoint. Otherwise they are disjoint already, and no end is asked for: a full stop after the label
    costs nothing.
    """
    sequences = [tuple(a) for a in answers]
    if any(a != b and b[: len(a)] == a for a in sequences for b in sequences):
        sequences = [(*s, end_of_turn) for s in sequences]
    prefixes = sorted({s[:i] for s in sequences for i in range(1, len(s))}, key=lambda p: (len(p), p))
    column = {(): 0, **{p: i + 1 for i, p in enumerate(prefixes)}}
    sees = np.array([[a[: len(b)] == b for b in prefixes] for a in prefixes], dtype=bool)
    return Tree(
        tokens=tuple(p[-1] for p in prefixes),
        depth=tuple(len(p) for p in prefixes),
        sees=sees.reshape(len(prefixes), len(prefixes)),
        steps=tuple(tuple((column[s[:i]], s[i]) for i in range(len(s))) for s in sequences),
    )


def chains(tree: Tree) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The tree as rows, for a base that knows plain causal attention only.

    Returns the tokens (C, depth) of the C paths from the root to a leaf, filled up on the right with a repeated
    token, and the (row, place) of every node in them.
    """
    leaves = [i for i in range(len(tree.tokens)) if tree.sees[:, i].sum() == 1]
    paths = [sorted(np.flatnonzero(tree.sees[leaf]), key=lambda j: tree.depth[j]) for leaf in leaves]
    longest = max(map(len, paths), default=0)
    tokens = [[tree.tokens[j] for j in path] for path in paths]
    filled = np.array([row + row[-1:] * (longest - len(row)) for row in tokens]).reshape(len(paths), longest)
    where = {int(j): (row, tree.depth[j] - 1) for row, path in enumerate(paths) for j in path}
    return filled, [where[i] for i in range(len(tree.tokens))]
