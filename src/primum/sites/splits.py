"""The split of a task at one site: its holdout holds only patients that no split of the task has seen before.

A site's split knows as seen what stood in the pooled split, in that of `fallback_site`, and in its own earlier
ones. Its holdout is drawn from the fresh patients that were kept to judge; see `rotation.kept_to_judge`.
"""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from pathlib import Path
from re import fullmatch

import numpy as np
import pandas as pd

from primum.config import RunConfig
from primum.errors import BadInput
from primum.generations import (
    current_split,
    keep,
    lineage,
    make_split,
    opened_holdouts,
    require_known,
    seen_rows,
)
from primum.ledger import Ledger
from primum.pointer import SPLIT_HASH
from primum.records import ALL_SITES, PARTS, Lineage, SplitVersion
from primum.rotation import rotate_site
from primum.sites.champions import Keys
from primum.split import assign
from primum.versioning import find_version, load_part, store_split
from primum.workspace import Workspace


class Splits:
    """The splits of a task's sites as they stand now; the ledger and what all sites share are read once."""

    def __init__(self, workspace: Workspace, config: RunConfig) -> None:
        self._workspace, self._config = workspace, config
        self._looks: dict[str, list[str]] = {}
        with closing(Ledger.open(workspace.ledger)) as ledger:
            for look in ledger.entries(kind="look", task=config.task.name):
                self._looks.setdefault(look.site, []).append(look.holdout)

    def current(self, site: str) -> SplitVersion | None:
        """The split that the site stands on now; None before its first."""
        holdouts = dict.fromkeys(self._looks.get(site, ()))
        opened = tuple(name for name in holdouts if fullmatch(SPLIT_HASH, name))
        return current_split(self._workspace, self._config.task.name, self._config.stack, opened, site)

    def looks_left(self, split: SplitVersion) -> int:
        """How many planned looks at the split's holdout are left."""
        used = self._looks.get(split.site, []).count(split.holdout)
        return max(0, self._config.gate.planned_looks - used)

    def seen(self, records: pd.DataFrame, current: SplitVersion | None) -> np.ndarray:
        """(n,) True for records and patients of the shared splits, of the site's own, and of all before them."""
        seen = self._shared.hold(records)
        names = [] if current is None else [*current.lineage.earlier, current.dvc_hash]
        own = [name for name in names if name not in self._others]
        return seen | self._keys([self._find(name) for name in own]).hold(records)

    @cached_property
    def _others(self) -> dict[str, SplitVersion]:
        """The versions of the splits whose champions serve sites without one of their own, by name."""
        home, stack = self._workspace.home, self._config.stack
        found = [split for site in shared_sites(self._config) if (split := self.current(site)) is not None]
        return {version.dvc_hash: version for split in found for version in lineage(home, split, stack)}

    @cached_property
    def _shared(self) -> Keys:
        return self._keys(list(self._others.values()))

    def _find(self, name: str) -> SplitVersion:
        return find_version(self._workspace.home, self._config.task.name, name, self._config.stack)

    def _keys(self, versions: list[SplitVersion]) -> Keys:
        home, stack = self._workspace.home, self._config.stack
        return Keys([load_part(home, version, part, stack) for version in versions for part in PARTS])


def split_for_run(workspace: Workspace, records: Path, config: RunConfig) -> SplitVersion:
    """The split that one run of the finetune pipeline stands on, at all sites or at `config.site`.

    `records` is the canonical Parquet file of what the run reads. Raises as `generations.make_split`; at a site
    also BadInput where its first holdout would hold too few fresh patients.
    """
    if config.site == ALL_SITES:
        return make_split(workspace, records, config.task, config.stack, config.seed)
    current = current_site_split(workspace, config)
    if current is None:
        return _next(workspace, records, config, None)
    return _kept(workspace, records, config, current)


def next_split(workspace: Workspace, records: Path, config: RunConfig) -> SplitVersion:
    """The split that a retraining at `config.site` stands on: the next holdout, or the present one with looks left.

    Raises BadInput, with the number of missing labels, where there are too few fresh patients for the next
    holdout and no look is left at the present one.
    """
    current = current_site_split(workspace, config)
    try:
        return _next(workspace, records, config, current)
    except BadInput:
        if current is None or not looks_left(workspace, current, config):
            raise
    return _kept(workspace, records, config, current)


def current_site_split(workspace: Workspace, config: RunConfig) -> SplitVersion | None:
    """The split that the site stands on now; None before its first."""
    opened = opened_holdouts(workspace, config.task.name, config.site)
    return current_split(workspace, config.task.name, config.stack, opened, config.site)


def looks_left(workspace: Workspace, split: SplitVersion, config: RunConfig) -> int:
    """How many planned looks at the split's holdout are left."""
    with closing(Ledger.open(workspace.ledger)) as ledger:
        used = ledger.looks_used(split.holdout, split.task, split.site)
    return max(0, config.gate.planned_looks - used)


def seen_versions(
    workspace: Workspace, config: RunConfig, current: SplitVersion | None
) -> tuple[SplitVersion, ...]:
    """Every split version whose records a next holdout of the site must not hold, oldest first."""
    task, stack = config.task.name, config.stack
    shared = [
        current_split(workspace, task, stack, opened_holdouts(workspace, task, site), site)
        for site in shared_sites(config)
    ]
    found = [
        version
        for split in (*shared, current)
        if split is not None
        for version in lineage(workspace.home, split, stack)
    ]
    return tuple({version.dvc_hash: version for version in found}.values())


def shared_sites(config: RunConfig) -> tuple[str, ...]:
    """The sites whose splits every other site counts as seen: the pooled one, and that of `fallback_site`."""
    return tuple(dict.fromkeys((ALL_SITES, config.fallback_site)))


def _kept(workspace: Workspace, records: Path, config: RunConfig, current: SplitVersion) -> SplitVersion:
    require_known(workspace, current, config.stack)
    frame = pd.read_parquet(records)
    return keep(workspace, records, frame, current, config.task, config.stack, config.seed)


def _next(
    workspace: Workspace, records: Path, config: RunConfig, current: SplitVersion | None
) -> SplitVersion:
    task, stack, seed = config.task, config.stack, config.seed
    frame = pd.read_parquet(records)
    before = seen_versions(workspace, config, current)
    if not before:
        drawn = assign(frame, task, seed)
        return store_split(workspace.home, records, drawn, task, stack, seed, site=config.site)
    tree = Lineage(
        generation=1 + max(version.lineage.generation for version in before),
        parent=before[-1].dvc_hash,
        earlier=tuple(version.dvc_hash for version in before),
    )
    seen = seen_rows(workspace.home, before, stack)
    share = config.retrain.judged_share
    drawn = rotate_site(frame, seen, task, seed, share)
    return store_split(workspace.home, records, drawn, task, stack, seed, tree, config.site)
