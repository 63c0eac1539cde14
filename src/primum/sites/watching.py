"""Every site's current window against what its champion learned from: one drift report a site."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from primum.backends.base import Progress
from primum.config import RunConfig
from primum.drift import About, Scored, compare, renamed
from primum.errors import BadInput, PrimumError
from primum.ingest import by_site, ingest_window
from primum.moments import instant, spans
from primum.pointer import slug
from primum.records import ALL_SITES, DriftReport, Predictions, RegisteredVersion, WatchRun
from primum.rotation import kept_to_judge
from primum.sites.champions import Champion, Scorer, open_champion, rows_of, serving
from primum.workspace import Workspace

EVIDENTLY_PAGES = 20
"""Of so many alarming sites a run leaves Evidently's page (4 MB each); `--site` leaves it of any."""


@dataclass(frozen=True)
class Window:
    """What is looked at of one site. All are canonical records with the column `matured`."""

    current: pd.DataFrame
    """Records since the window's start, labelled or not."""
    outcomes: pd.DataFrame
    """Watched records whose outcome became known lately."""
    waiting: pd.DataFrame
    """Labelled, matured records that the champion has not learned from, watched or kept to judge."""


def watch(  # noqa: PLR0913
    workspace: Workspace,
    config: RunConfig,
    scorer: Scorer,
    *,
    at: datetime,
    since: datetime | None,
    out: Path,
    progress: Progress | None = None,
) -> WatchRun:
    """Compare every site of the task (or `config.site`) as of `at` with its champion's training records.

    The window starts at `since`, by default `drift.window_days` before `at`; tasks without a time have a window
    of everything that the champion does not know. A site that cannot be watched gets a report that says why.
    Evidently's pages of alarming sites, or of the one site that was asked for, lie in `out`/evidently. Raises
    BadInput for an unknown site and what `ingest_window` raises.
    """
    sites = read_sites(workspace, config, at, progress)
    names = sorted(sites) if config.site == ALL_SITES else [_known(config.site, sites)]
    start = since or at - timedelta(days=config.drift.window_days)
    reports: dict[str, DriftReport] = {}
    pages = 0
    for version, served in _served(config, names):
        if version is None:
            none = f"no adapter serves it: run the finetune pipeline on task '{config.task.name}' first"
            reports |= {site: _failed(config, site, "", at, start, none) for site in served}
            continue
        try:
            champion = open_champion(workspace, config, version)
            windows = {site: window_of(sites[site], champion, config, at, start) for site in served}
            said = _score(scorer, champion, windows)
        except PrimumError as error:
            reports |= {site: _failed(config, site, version.name, at, start, str(error)) for site in served}
            continue
        known = {str(site): rows for site, rows in champion.parts["train"].groupby("site")}
        for site in served:
            page = out / "evidently" / f"{slug(site)}.html"
            html = page if config.site != ALL_SITES else None
            reports[site] = _report(config, site, champion, windows[site], said, known, at, start, html)
            if reports[site].status == "alarm" and html is None and pages < EVIDENTLY_PAGES:
                pages += 1
                _report(config, site, champion, windows[site], said, known, at, start, page)
            if progress:
                progress("sites", len(reports), len(names))
    return WatchRun(
        task=config.task.name,
        at=at.isoformat(),
        since=start.isoformat(),
        reports=tuple(reports[site] for site in names),
    )


def read_sites(
    workspace: Workspace, config: RunConfig, at: datetime, progress: Progress | None = None
) -> Mapping[str, pd.DataFrame]:
    """The records of every site as they exist at `at`, labelled or not."""
    folder = workspace.work(config.task.name) / "watch"
    report = ingest_window(config.task, workspace.project, folder, progress, at=at)
    return by_site(Path(report.path))


def window_of(
    records: pd.DataFrame, champion: Champion, config: RunConfig, at: datetime, start: datetime
) -> Window:
    """What of a site's records is looked at; none that the champion learned from or was judged on."""
    new = champion.unseen(records)
    timed = config.task.keys.time is not None
    begins, ends = spans(new["time"]) if timed else (None, None)
    current = new if begins is None else new[begins >= instant(start)]
    waiting = new[new["matured"] & new["label"].notna()]
    outcomes = waiting[~kept_to_judge(waiting["patient_id"], config.task.name, config.retrain.judged_share)]
    if ends is not None:
        oldest = at - timedelta(days=config.drift.outcome_days + config.task.label.matures_after_days)
        outcomes = outcomes[outcomes.index.isin(new.index[ends >= instant(oldest)])]
    return Window(current=current, outcomes=outcomes, waiting=waiting)


def _served(config: RunConfig, names: Sequence[str]) -> list[tuple[RegisteredVersion | None, list[str]]]:
    """Sites that the same version serves, together: they are scored at once."""
    found: dict[tuple[str, int] | None, tuple[RegisteredVersion | None, list[str]]] = {}
    for site in names:
        version = serving(config, site)
        key = None if version is None else (version.site, version.number)
        found.setdefault(key, (version, []))[1].append(site)
    return list(found.values())


def _score(scorer: Scorer, champion: Champion, windows: Mapping[str, Window]) -> Predictions:
    """The champion on every record that any of the sites' comparisons needs."""
    frames = [frame for w in windows.values() for frame in (w.current, w.outcomes)]
    rows = pd.concat([champion.parts["validation"], *frames]).drop_duplicates("record_id")
    return scorer.score(champion.bundle, rows, champion.version.name)


def _report(  # noqa: PLR0913
    config: RunConfig,
    site: str,
    champion: Champion,
    window: Window,
    said: Predictions,
    known: Mapping[str, pd.DataFrame],
    at: datetime,
    start: datetime,
    html: Path | None,
) -> DriftReport:
    enough, task = config.drift.min_records, config.task
    own = len(known.get(site, ())) >= enough
    reference = known[site] if own else champion.parts["train"]
    validation = champion.parts["validation"]
    local = validation[validation["site"] == site]
    before = local if len(local) >= enough else validation
    hint = None if site in known or site == ALL_SITES else renamed(site, window.current, known)
    about = About(
        site=site,
        champion=champion.version.name,
        reference=champion.bundle.card.split_version,
        reference_scope="site" if own else "pooled",
        since=start.isoformat() if task.keys.time else None,
        until=at.isoformat(),
        notes=() if hint is None else (hint,),
    )

    def scored(records: pd.DataFrame) -> Scored | None:
        return Scored(records, rows_of(said, records)) if len(records) else None

    try:
        return compare(
            task,
            config.drift,
            about=about,
            reference=reference,
            current=window.current,
            scored_reference=scored(before),
            scored_current=scored(window.current),
            outcomes=scored(window.outcomes),
            evidently_html=html,
            seed=config.seed,
        )
    except PrimumError as error:
        return _failed(config, site, champion.version.name, at, start, str(error))


def _failed(  # noqa: PLR0913
    config: RunConfig, site: str, champion: str, at: datetime, start: datetime, error: str
) -> DriftReport:
    return DriftReport(
        task=config.task.name,
        site=site,
        champion=champion,
        reference="",
        reference_scope="pooled",
        since=start.isoformat(),
        until=at.isoformat(),
        reference_records=0,
        current_records=0,
        outcome_records=0,
        status="failed",
        error=error,
    )


def _known(site: str, sites: Mapping[str, pd.DataFrame]) -> str:
    if site in sites:
        return site
    near = difflib.get_close_matches(site, list(sites), n=1, cutoff=0.0)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    some = ", ".join(sorted(sites)[:10])
    raise BadInput(f"unknown site '{site}'{hint} Known: {some}{' ...' if len(sites) > 10 else ''}")
