"""A live champion that fails its own gate goes back, once, however often the call that did it was killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import registry_samples
from registry_samples import NOW, decide
from site_worlds import cohort, first_champion, months, retrain, write_task

from primum import registry
from primum.backends import open_backend
from primum.bundle import write_bundle
from primum.config import RunConfig, load_run
from primum.errors import BadInput
from primum.ledger import Ledger
from primum.moments import ends
from primum.records import DriftReport, RegisteredVersion, SitePlan
from primum.registry import store
from primum.schedule import plan
from primum.sites import retraining, sources, standing, watching
from primum.sites.champions import Scorer, open_champion
from primum.sites.cycle import begin
from primum.sites.facts import gather
from primum.sites.planning import DueSite, Plans
from primum.sites.pooled import PooledTraining
from primum.sites.standing import WayBack, go_back, way_back
from primum.stack.store import bootstrap
from primum.stats.calibration import Platt
from primum.workspace import Workspace

SITES = {"north": (30, 0.0), "south": (30, 0.0)}
AT = "2021-06-30"
TASK = "beds"
"""Of its own: files that one worker runs share a registry."""


class Killed(BaseException):
    """Nothing in the code catches it, as nothing catches a SIGKILL."""


class World:
    """A pooled champion, and sites that get versions of their own by hand."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace(project=project, home=folder / "home")
        bootstrap(self.workspace)
        late = cohort(SITES, months("2021-01", 5), start=100_000)
        self.file = write_task(folder, pd.concat([cohort(SITES, months("2020-01", 12)), late]), name=TASK)
        self.pooled = first_champion(self.workspace, self.config(at=ends("2020-12-31")))
        self.scorer = Scorer(self.workspace, open_backend(self.config().model, self.config().stack, project))

    def config(self, **changes: object) -> RunConfig:
        eased = {"at": ends(AT), "gate.resamples": 200, "gate.balance.required": False}
        return load_run(self.workspace.configs, self.file, {**eased, **changes})

    def add(self, site: str, slope: float) -> RegisteredVersion:
        """A version of the site, promoted: the pooled one with its log-odds times `slope`; below 0 it is wrong."""
        pooled = registry.fetch_bundle(self.workspace, self.pooled)
        card = pooled.card.model_copy(update={"site": site, "recalibration": Platt(0.0, slope)})
        bundle = write_bundle(Path(pooled.path), card, self.folder / f"bundle-{site}-{slope}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry_samples, "NOW", registry.utc_now())  # the ledger's clock does not go back
            made = decide(self.workspace, bundle, "PROMOTE")
        return registry.register(self.workspace, bundle, made, registry.utc_now(), as_of=ends(AT).isoformat())

    def way(self, site: str) -> WayBack:
        present = registry.champion(TASK, site)
        assert present is not None
        config = self.config(site=site)
        champion = open_champion(self.workspace, config, present)
        records = self.folder / "read"
        return way_back(self.workspace, config, champion, self.scorer, ends(AT), records)

    def kinds(self, site: str) -> list[str]:
        with closing(Ledger.open(self.workspace.ledger)) as ledger:
            return [e.kind for e in ledger.entries(task=TASK, site=site)]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, project: Path) -> World:
    return World(project, tmp_path_factory.mktemp("standing"))


def test_it_goes_back_to_the_earlier_version_that_holds(start: World) -> None:
    sound, bad = start.add("north", 1.001), start.add("north", -1.0)
    way = start.way("north")
    assert "beats_majority" in way.failing
    assert way.to is not None
    assert way.to.number == sound.number
    assert bad.name in way.why
    assert start.kinds("north") == ["decision", "promotion"] * 2  # looking changes nothing


@pytest.mark.parametrize("when", ["ledger before", "ledger after", "stage before", "stage after"])
@pytest.mark.parametrize("site", ["north", "south"])
def test_a_way_back_that_was_killed_is_gone_once(
    start: World, monkeypatch: pytest.MonkeyPatch, site: str, when: str
) -> None:
    """At north to the earlier version, at south to the pooled one."""
    salt = 0.01 * ["ledger before", "ledger after", "stage before", "stage after"].index(when)
    if site == "north":
        start.add("north", 1.01 + salt)
    start.add(site, -1.01 - salt)
    way, before = start.way(site), len(start.kinds(site))
    assert way.to is not None
    assert way.to.site == ("north" if site == "north" else "all")
    live = registry.champion(TASK, site)
    assert live is not None
    config = start.config(site=site)
    champion = open_champion(start.workspace, config, live)
    owner: Any = Ledger if "ledger" in when else store
    for name in ("record", "record_once") if owner is Ledger else ("to_production", "to_archive"):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name), after="after" in when))
    with pytest.raises(Killed):
        go_back(start.workspace, config, way, champion, registry.utc_now)
    monkeypatch.undo()
    for _ in range(2):
        assert go_back(start.workspace, config, way, champion, registry.utc_now)
    serving = registry.serving(TASK, site)
    assert serving is not None
    assert (serving.site, serving.number) == (way.to.site, way.to.number)
    assert start.kinds(site)[before:] == ["rollback" if site == "north" else "retirement"]


def dying(inner: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def dies(*args: Any, **kwargs: Any) -> Any:
        if after:
            inner(*args, **kwargs)
        raise Killed

    return dies


def test_where_all_fail_the_live_one_stays_and_the_reason_says_so(
    start: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.add("south", -1.5)
    live = registry.champion(TASK, "south")
    assert live is not None
    monkeypatch.setattr(standing, "_holds", lambda *_: False)
    way = start.way("south")
    assert way.to is None
    assert "no earlier version does better there" in way.why
    config = start.config(site="south")
    champion = open_champion(start.workspace, config, live)
    assert not go_back(start.workspace, config, way, champion, registry.utc_now)
    assert registry.champion(TASK, "south") == live


def test_a_version_that_too_few_outcomes_speak_for_is_not_gone_back_to(
    start: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.add("south", -1.6)
    monkeypatch.setattr(standing, "_enough", lambda rows, _: "fair" not in rows)
    real = standing.open_champion

    def opened(*args: Any) -> Any:
        champion = real(*args)
        object.__setattr__(champion, "fair", lambda rows: rows.assign(fair=1))
        return champion

    monkeypatch.setattr(standing, "open_champion", opened)
    assert start.way("south").to is None


def test_a_failing_champion_goes_back_although_nothing_can_be_judged(start: World) -> None:
    """Too few labels for a holdout: no look is spent, and the site is not left with what fails."""
    start.add("south", -1.7)
    config = start.config(**{"task.split.min_test": 500, "retrain.rest_days": 0, "site": "south"})
    run = retrain(start.workspace, config)
    (south,) = run.outcomes
    assert (south.action, south.verdict, south.rolled_back) == ("stay", None, True)
    assert south.champion_after == f"{TASK}@all v1"
    assert "look" not in start.kinds("south")


def test_outcomes_that_a_calibration_was_fitted_on_do_not_watch_it(start: World) -> None:
    config = start.config()
    champion = open_champion(start.workspace, config, start.pooled)
    rows = sources.read_sites(start.workspace, config, ends(AT), start.folder / "read")["north"]
    late = champion.unseen(rows)
    known = late[late["matured"]]
    again = open_champion(start.workspace, config, start.pooled)
    object.__setattr__(again, "calibration", known.iloc[:40])
    window = watching.window_of(rows, again, config, ends(AT), ends(AT))
    assert len(window.waiting) == len(known)  # its weights have not learned from them
    assert not set(window.outcomes["patient_id"]) & set(known["patient_id"].iloc[:40])
    assert len(window.outcomes)


def facts(start: World, config: RunConfig) -> dict[str, Any]:
    records = start.folder / "read"
    run = watching.watch(
        start.workspace,
        config,
        start.scorer,
        at=ends(AT),
        since=None,
        out=start.folder / "out",
        records=records,
    )
    return {f.report.site: f for f in gather(start.workspace, config, run, start.scorer, ends(AT), records)}


def test_a_refused_pooled_adapter_is_no_recalibration_that_was_tried(start: World) -> None:
    start.add("north", 1.2)
    found = facts(start, start.config())["north"]
    assert found.decided is not None
    assert found.decided.recalibration  # the weights of the one that serves
    other = found.decided.model_copy(update={"recalibration": False, "outcome": "REJECT"})
    alarmed = found.report.model_copy(update={"findings": (), "status": "quiet"})
    due = found.model_copy(
        update={"report": alarmed, "failing": ("calibration",), "decided": other, "labels_missing": 0}
    )
    assert plan(due, start.config(**{"retrain.rest_days": 0}).retrain, ends(AT)).action == "recalibrate"


def test_what_is_wrong_at_one_site_stays_there(start: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = watching.compare

    def compare(task: Any, config: Any, *, about: Any, **more: Any) -> DriftReport:
        if about.site == "south":
            raise ZeroDivisionError("a value of a patient")
        return real(task, config, about=about, **more)

    monkeypatch.setattr(watching, "compare", compare)
    config = start.config()
    out = start.folder / "wrong"
    run = watching.watch(start.workspace, config, start.scorer, at=ends(AT), since=None, out=out)
    reports = {report.site: report for report in run.reports}
    assert reports["south"].status == "failed"
    assert reports["north"].status != "failed"
    assert "a value of a patient" not in str(reports["south"].error)


def test_a_site_that_fails_is_named_and_the_others_are_whole(
    start: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step of one site: a failure is its outcome; the rerun does it alone."""
    from steps import sites as steps

    config = start.config()
    cycle = begin(start.workspace, config, NOW)
    due = [
        DueSite(plan=SitePlan(site=s, action="stay", reasons=("r",)), split=None) for s in ("north", "south")
    ]
    plans = Plans(plans=tuple(d.plan for d in due), due=tuple(due))
    called: list[str] = []
    real = retraining._after

    def after(workspace: Any, local: Any, made: Any, *rest: Any) -> Any:
        called.append(made.site)
        if made.site == "south" and called.count("south") == 1:
            raise OSError("disk")
        return real(workspace, local, made, *rest)

    monkeypatch.setattr(retraining, "_after", after)
    monkeypatch.setattr(steps, "find_workspace", lambda: start.workspace)
    monkeypatch.setattr(steps, "_opened", lambda _: start.scorer)

    def outcomes() -> list[Any]:
        texts = [
            steps.retrain_site.entrypoint(s, plans, config, cycle, PooledTraining())
            for s in ("north", "south")
        ]
        return [retraining.SiteOutcome.model_validate_json(text) for text in texts]

    first = outcomes()
    assert [o.error is None for o in first] == [True, False]
    second = outcomes()
    assert [o.error for o in second] == [None, None]
    assert called == ["north", "south", "south"]
    assert second[0] == first[0]


def test_an_unknown_site_is_named_with_the_nearest_one(start: World) -> None:
    with pytest.raises(BadInput, match="did you mean 'north'"):
        facts(start, start.config(site="nroth"))


def test_a_champion_whose_split_is_gone_blocks_its_sites(start: World, tmp_path: Path) -> None:
    home = start.workspace.home
    moved = [(home / name, tmp_path / str(i)) for i, name in enumerate((".dvc/cache", ".dvc/remote", "data"))]
    moved = [(a, b) for a, b in moved if a.exists()]
    for a, b in moved:
        shutil.move(a, b)
    try:
        found = facts(start, start.config())
    finally:
        for a, b in moved:
            shutil.rmtree(a, ignore_errors=True)
            shutil.move(b, a)
    assert {f.report.status for f in found.values()} == {"failed"}
    assert all("split" in str(f.report.error) for f in found.values())
    assert plan(found["north"], start.config().retrain, ends(AT)).action == "blocked"
