"""What `schedule.plan` decides from, gathered for every site of a drift run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from primum import registry
from primum.config import RunConfig
from primum.errors import PrimumError
from primum.records import DriftReport, RegisteredVersion, WatchRun
from primum.rotation import kept_to_judge, labels_missing
from primum.schedule import Decided, SiteFacts
from primum.sites.champions import Champion, Scorer, open_champion, serving
from primum.sites.splits import current_site_split, looks_left, seen_versions
from primum.sites.standing import failing_checks
from primum.sites.watching import Window, read_sites, window_of
from primum.versioning import load_part
from primum.workspace import Workspace


def gather(
    workspace: Workspace, config: RunConfig, run: WatchRun, scorer: Scorer, at: datetime
) -> list[SiteFacts]:
    """The facts of every site that the run watched. A site whose facts cannot be had counts as failed."""
    sites = read_sites(workspace, config, at)
    opened: dict[tuple[str, int], Champion] = {}
    found = []
    for report in run.reports:
        try:
            found.append(_facts(workspace, config, report, sites, opened, scorer, at))
        except PrimumError as error:
            failed = report.model_copy(update={"status": "failed", "error": str(error)})
            found.append(_nothing(failed))
    return found


def _facts(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    report: DriftReport,
    sites: Mapping[str, pd.DataFrame],
    opened: dict[tuple[str, int], Champion],
    scorer: Scorer,
    at: datetime,
) -> SiteFacts:
    version = None if report.status == "failed" else serving(config, report.site)
    if version is None:
        return _nothing(report)
    key = (version.site, version.number)
    if key not in opened:
        opened[key] = open_champion(workspace, config, version)
    champion, local = opened[key], config.model_copy(update={"site": report.site})
    window = window_of(sites[report.site], champion, config, at, at)
    failing = failing_checks(workspace, config, champion, window, scorer)
    current = current_site_split(workspace, local)
    return SiteFacts(
        report=report,
        own=version.site == report.site,
        champion_from=None if version.as_of is None else _moment(version.as_of),
        new_labels=int(window.waiting["patient_id"].nunique()),
        labels_missing=labels_missing(_judgeable(workspace, local, window), config.task),
        looks_left=0 if current is None else looks_left(workspace, current, local),
        failing=failing,
        decided=_decided(workspace, config.task.name, report.site),
    )


def _nothing(report: DriftReport) -> SiteFacts:
    return SiteFacts(report=report, own=False, champion_from=None, new_labels=0, labels_missing=0)


def _judgeable(workspace: Workspace, local: RunConfig, window: Window) -> pd.DataFrame:
    """The waiting records that a next holdout of the site could hold, as far as ids tell."""
    seen = seen_keys(workspace, local)
    waiting = window.waiting
    new = waiting[
        ~waiting["record_id"].isin(seen["record_id"]) & ~waiting["patient_id"].isin(seen["patient_id"])
    ]
    return new[kept_to_judge(new["patient_id"], local.task.name, local.retrain.judged_share)]


def seen_keys(workspace: Workspace, local: RunConfig) -> pd.DataFrame:
    """Record and patient ids of every split version that the site knows as seen."""
    versions = seen_versions(workspace, local, current_site_split(workspace, local))
    parts = [
        load_part(workspace.home, version, part, local.stack)[["record_id", "patient_id"]]
        for version in versions
        for part in ("train", "validation", "test")
    ]
    return pd.concat(parts) if parts else pd.DataFrame({"record_id": [], "patient_id": []})


def _decided(workspace: Workspace, task: str, site: str) -> Decided | None:
    last: RegisteredVersion | None = next(iter(registry.versions(task, site)), None)
    if last is None or last.as_of is None:
        return None
    card = registry.fetch_bundle(workspace, last).card
    return Decided(
        at=_moment(last.as_of), outcome=last.outcome, recalibration=card.recalibrated_on is not None
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
