"""Who serves a site, what that version learned from, and what it says of records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from primum import registry
from primum.backends.base import Backend, Progress
from primum.bundle import Bundle
from primum.calibration import Calibration
from primum.config import RunConfig
from primum.errors import BadInput
from primum.records import PARTS, Predictions, RegisteredVersion
from primum.score_cache import ScoreCache
from primum.scoring import score_records
from primum.versioning import find_version, load_part
from primum.workspace import Workspace


@dataclass(frozen=True)
class Champion:
    """A version that serves, and the parts of the split that its weights come from."""

    version: RegisteredVersion
    bundle: Bundle
    parts: dict[str, pd.DataFrame]
    """train, validation and test of its split: canonical records."""

    @property
    def seen(self) -> pd.DataFrame:
        """Keys of everything that it learned from or was judged on."""
        return pd.concat([self.parts[part][["record_id", "patient_id"]] for part in PARTS])

    def unseen(self, records: pd.DataFrame) -> pd.DataFrame:
        """The records of no patient that it learned from or was judged on."""
        known = records["record_id"].isin(self.seen["record_id"])
        return records[~known & ~records["patient_id"].isin(self.seen["patient_id"])]


def serving(config: RunConfig, site: str) -> RegisteredVersion | None:
    """The version that serves a site: its own champion, or that of `config.fallback_site`."""
    return registry.serving(config.task.name, site, config.fallback_site)


def open_champion(workspace: Workspace, config: RunConfig, version: RegisteredVersion) -> Champion:
    """The version's verified bundle and its split. Raises Tampered, Unavailable or BadInput where they are gone."""
    bundle = registry.fetch_bundle(workspace, version)
    columns = [f.column for f in bundle.card.renderer.features]
    lost = sorted(set(columns) - {f.column for f in config.task.features})
    if lost:
        raise BadInput(
            f"{version.name} reads the column '{lost[0]}', which task '{config.task.name}' no longer has; "
            "restore the task file, or train again"
        )
    split = find_version(workspace.home, version.task, bundle.card.split_version, config.stack)
    parts: dict[str, pd.DataFrame] = {
        part: load_part(workspace.home, split, part, config.stack) for part in PARTS
    }
    return Champion(version=version, bundle=bundle, parts=parts)


class Scorer:
    """One loaded base that scores with any bundle; what was scored before comes from the score cache."""

    def __init__(self, workspace: Workspace, backend: Backend, progress: Progress | None = None) -> None:
        self._cache = ScoreCache.open(workspace.state / "scores.sqlite")
        self.backend = backend
        self._progress = progress

    def score(self, bundle: Bundle, records: pd.DataFrame, system: str, *, bare: bool = False) -> Predictions:
        """The predictions (in the order of `records`) of a bundle, or of its bare base read by its renderer.

        Raises BadInput where the bundle is of another base.
        """
        card = bundle.card
        if card.base_hash != self.backend.base_hash:
            raise BadInput(f"{system} is an adapter of {card.base_id}; choose that base with --model")
        adapted = self.backend.with_adapter(None if bare else Path(bundle.path))
        return score_records(
            self._cache.wrap(adapted, None if bare else card.adapter_sha256),
            card.renderer,
            records,
            system=system,
            calibration=Calibration() if bare else card.calibration,
            progress=self._progress,
        )


def rows_of(predictions: Predictions, records: pd.DataFrame) -> Predictions:
    """The predictions of some of the records that were scored together, in the order of `records`."""
    place = {record_id: i for i, record_id in enumerate(predictions.record_ids)}
    rows = [place[record_id] for record_id in records["record_id"]]
    return Predictions(
        system=predictions.system,
        labels=predictions.labels,
        record_ids=tuple(records["record_id"]),
        log_probs=tuple(predictions.log_probs[i] for i in rows),
        predicted=tuple(predictions.predicted[i] for i in rows),
        latency_ms=tuple(predictions.latency_ms[i] for i in rows) if predictions.latency_ms else (),
        label_sets=tuple(predictions.label_sets[i] for i in rows) if predictions.label_sets else (),
    )
