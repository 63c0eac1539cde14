"""Site by site: a shifted hospital is recalibrated, a sound one left alone, a small one waits and says for what."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from site_worlds import cohort, first_champion, months, retrain, write_task

from primum import registry
from primum.backends import open_backend
from primum.config import RunConfig, load_run
from primum.ledger import Ledger
from primum.moments import ends
from primum.records import RetrainRun, SitePlan
from primum.rotation import kept_to_judge
from primum.schedule import plan
from primum.sites.champions import Scorer
from primum.sites.facts import gather
from primum.sites.watching import watch
from primum.stack.store import bootstrap
from primum.versioning import find_version, load_part
from primum.workspace import Workspace

BEFORE = {"north": (30, 0.0), "south": (30, 0.0), "tiny": (3, 0.0)}
AFTER = {"north": (60, 0.0), "south": (60, -1.6), "tiny": (3, 0.0)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, project: Path) -> tuple[Workspace, Path]:
    """A home with a champion of 2020, and the run file of a task whose records go on into 2021."""
    folder = tmp_path_factory.mktemp("world")
    records = pd.concat(
        [cohort(BEFORE, months("2020-01", 12)), cohort(AFTER, months("2021-01", 8), start=100_000)]
    )
    workspace = Workspace(project=project, home=folder / "home")
    bootstrap(workspace)
    file = write_task(folder, records)
    first_champion(workspace, config_of(workspace, file, "2020-12-31"))
    return workspace, file


def config_of(workspace: Workspace, file: Path, at: str, **overrides: object) -> RunConfig:
    return load_run(workspace.configs, file, {"at": ends(at), **overrides})


@pytest.fixture(scope="module")
def june(world: tuple[Workspace, Path]) -> RetrainRun:
    workspace, file = world
    return retrain(workspace, config_of(workspace, file, "2021-06-30"))


def test_only_the_shifted_site_alarms_and_its_calibration_is_what_is_due(june: RetrainRun) -> None:
    assert {r.site: r.status for r in june.watch.reports} == {
        "north": "quiet",
        "south": "alarm",
        "tiny": "too few",
    }
    assert {p.site: p.action for p in june.plans} == {"north": "none", "south": "recalibrate", "tiny": "none"}


def test_recalibration_is_promoted_and_mends_the_site(
    june: RetrainRun, world: tuple[Workspace, Path]
) -> None:
    (south,) = june.outcomes
    assert [c.name for c in south.candidates] == ["recalibrated"]
    assert (south.verdict, south.champion_before, south.champion_after) == (
        "PROMOTE",
        "wards@all v1",
        "wards@south v1",
    )
    before, after = south.calibration_before, south.calibration_after
    assert before is not None
    assert after is not None
    assert before.value < 0.7
    assert 0.8 < after.value < 1.25
    workspace, _ = world
    champion = registry.champion("wards", "south")
    assert champion is not None
    pooled = registry.champion("wards", "all")
    assert pooled is not None
    assert champion.adapter_sha256 == pooled.adapter_sha256  # no weight was changed
    card = registry.fetch_bundle(workspace, champion).card
    assert card.recalibrated_on != card.split_version


def test_the_holdout_holds_no_patient_that_was_seen_or_watched(
    june: RetrainRun, world: tuple[Workspace, Path]
) -> None:
    workspace, file = world
    config = config_of(workspace, file, "2021-06-30")
    champion = registry.champion("wards", "south")
    assert champion is not None
    card = registry.fetch_bundle(workspace, champion).card
    own = find_version(workspace.home, "wards", str(card.recalibrated_on), config.stack)
    first = find_version(workspace.home, "wards", card.split_version, config.stack)
    test = load_part(workspace.home, own, "test")
    seen = pd.concat([load_part(workspace.home, first, part) for part in ("train", "validation", "test")])
    assert not set(test["patient_id"]) & set(seen["patient_id"])
    assert set(test["site"]) == {"south"}
    assert kept_to_judge(test["patient_id"], "wards", config.retrain.judged_share).all()
    assert max(test["time"]) <= "2021-05"  # outcomes take 28 days
    assert (own.site, own.lineage.parent) == ("south", first.dvc_hash)


def test_the_same_day_again_finds_the_decision_resting_and_spends_nothing(
    june: RetrainRun, world: tuple[Workspace, Path]
) -> None:
    workspace, file = world
    with closing(Ledger.open(workspace.ledger)) as ledger:
        before = len(ledger.entries())
    again = retrain(workspace, config_of(workspace, file, "2021-06-30"))
    assert {p.action for p in again.plans} == {"none"}
    with closing(Ledger.open(workspace.ledger)) as ledger:
        assert len(ledger.entries()) == before


def test_a_site_too_small_to_judge_says_how_many_labels_are_missing(
    june: RetrainRun, world: tuple[Workspace, Path]
) -> None:
    workspace, file = world
    many = config_of(workspace, file, "2021-06-30", **{"retrain.min_new_labels": 10})
    plans = {p.site: p for p in retrain_plans(workspace, many)}
    assert plans["tiny"].action == "stay"
    assert plans["tiny"].labels_needed == 42  # 9 of 18 are kept to judge, of every two new ones one will be


def retrain_plans(workspace: Workspace, config: RunConfig) -> list[SitePlan]:
    scorer = Scorer(workspace, open_backend(config.model, config.stack, workspace.project))
    assert config.at is not None
    records = workspace.work("pages") / f"{config.at}"
    run = watch(workspace, config, scorer, at=config.at, since=None, out=records, records=records)
    return [
        plan(f, config.retrain, config.at) for f in gather(workspace, config, run, scorer, config.at, records)
    ]


def test_all_candidates_are_made_where_training_is_due_and_one_meets_the_holdout(
    june: RetrainRun, world: tuple[Workspace, Path]
) -> None:
    workspace, file = world
    config = config_of(workspace, file, "2021-07-31", **{"retrain.min_new_labels": 200})
    run = retrain(workspace, config)
    (north,) = [o for o in run.outcomes if o.site == "north"]
    names = [c.name for c in north.candidates]
    assert names[-3:] == ["site", "pooled", "pooled-then-site"]
    assert sum(c.chosen for c in north.candidates) == 1
    assert north.verdict in ("PROMOTE", "HOLD", "REJECT")
    with closing(Ledger.open(workspace.ledger)) as ledger:
        looks = ledger.entries(kind="look", task="wards", site="north")
    assert len(looks) == 1


def test_a_champion_whose_files_were_altered_blocks_its_sites_and_no_other(
    june: RetrainRun, world: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, file = world
    champion = registry.champion("wards", "south")
    assert champion is not None
    bundle = workspace.bundles / champion.bundle_sha256
    kept = tmp_path / "kept"
    shutil.copytree(bundle, kept)
    try:
        (bundle / "primum.json").write_text("{}", encoding="utf-8")
        plans = {p.site: p for p in retrain_plans(workspace, config_of(workspace, file, "2021-08-31"))}
    finally:
        shutil.rmtree(bundle)
        shutil.copytree(kept, bundle)
    assert plans["south"].action == "blocked"
    assert "refused" in plans["south"].reasons[0]
    assert plans["north"].action != "blocked"
