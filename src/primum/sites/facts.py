"""What `schedule.plan` decides from, gathered for every site of a drift run."""

from __future__ import annotations

import math
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from primum import registry
from primum.config import RunConfig
from primum.failures import why_one
from primum.ledger import Ledger
from primum.records import DriftReport, RegisteredVersion, WatchRun
from primum.rotation import kept_to_judge, labels_missing
from primum.schedule import Decided, SiteFacts
from primum.sites.champions import Scorer, open_champion
from primum.sites.sources import read_sites
from primum.sites.splits import Splits
from primum.sites.standing import failing_checks
from primum.sites.watching import Window, served_by, window_of
from primum.workspace import Workspace


def gather(  # noqa: PLR0913
    workspace: Workspace, config: RunConfig, run: WatchRun, scorer: Scorer, at: datetime, records: Path
) -> list[SiteFacts]:
    """The facts of every site that the run watched. A site whose facts cannot be had counts as failed.

    `records` is the folder of what the run read.
    """
    sites = read_sites(workspace, config, at, records)
    splits = Splits(workspace, config)
    with closing(Ledger.open(workspace.ledger, whole=False)) as ledger:
        decided = set(ledger.last_of_sites(config.task.name, "decision"))
    reports = {report.site: report for report in run.reports}
    found: dict[str, SiteFacts] = {}
    watched = [site for site, report in reports.items() if report.status != "failed"]
    for version, served in served_by(config, watched):
        if version is None:
            continue
        try:
            champion = open_champion(workspace, config, version)
            windows = {site: window_of(sites[site], champion, config, at, at) for site in served}
            outcomes = {site: window.outcomes for site, window in windows.items()}
            failing = failing_checks(workspace, config, champion, outcomes, scorer)
        except Exception as error:  # what is wrong with one champion must not stop the other sites
            found |= {site: _failed(reports[site], error) for site in served}
            continue
        for site in served:
            try:
                last = registry.newest(config.task.name, site, 1) if site in decided else []
                found[site] = _facts(
                    config, reports[site], version, windows[site], failing[site], splits, last
                )
            except Exception as error:
                found[site] = _failed(reports[site], error)
    return [found.get(site) or _nothing(report) for site, report in reports.items()]


def _facts(  # noqa: PLR0913
    config: RunConfig,
    report: DriftReport,
    version: RegisteredVersion,
    window: Window,
    failing: tuple[str, ...],
    splits: Splits,
    last: list[RegisteredVersion],
) -> SiteFacts:
    current, decided = splits.current(report.site), _decided(last, version)
    seen = splits.seen(window.waiting, current)
    missing = labels_missing(_judgeable(config, seen, window), config.task)
    return SiteFacts(
        report=report,
        own=version.site == report.site,
        champion_from=None if version.as_of is None else _moment(version.as_of),
        new_labels=_new_labels(window.waiting["patient_id"], seen, decided),
        labels_missing=math.ceil(missing / config.retrain.judged_share),
        looks_left=0 if current is None else splits.looks_left(current),
        failing=failing,
        decided=decided,
    )


def _nothing(report: DriftReport) -> SiteFacts:
    return SiteFacts(report=report, own=False, champion_from=None, new_labels=0, labels_missing=0)


def _failed(report: DriftReport, error: Exception) -> SiteFacts:
    return _nothing(report.model_copy(update={"status": "failed", "error": why_one(error)}))


def _new_labels(patients: pd.Series, seen: np.ndarray, decided: Decided | None) -> int:
    """Patients that the champion has not learned from; after a refusal those alone that its candidate lacked too.

    The same records would only make the same candidate again, for another look.
    """
    refused = decided is not None and decided.outcome != "PROMOTE"
    return int((patients[~seen] if refused else patients).nunique())


def _judgeable(config: RunConfig, seen: np.ndarray, window: Window) -> pd.DataFrame:
    """The waiting records that a next holdout of the site could hold, as far as ids tell."""
    new = window.waiting[~seen]
    return new[kept_to_judge(new["patient_id"], config.task.name, config.retrain.judged_share)]


def _decided(last: list[RegisteredVersion], serving: RegisteredVersion) -> Decided | None:
    """The site's newest version. Where it has the weights of the one that serves, these were calibrated anew."""
    if not last or last[0].as_of is None:
        return None
    newest = last[0]
    return Decided(
        at=_moment(newest.as_of or ""),
        outcome=newest.outcome,
        recalibration=newest.adapter_sha256 == serving.adapter_sha256,
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
