"""What would make a site judge itself, or be judged twice: nothing of it gets through."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from site_worlds import cohort, months, write_task

from primum.config import RunConfig, load_run
from primum.errors import BadInput
from primum.generations import make_split
from primum.ingest import ingest
from primum.ledger import Ledger
from primum.moments import ends
from primum.records import ALL_SITES, PARTS, SplitVersion
from primum.rotation import kept_to_judge
from primum.sites.cycle import begin
from primum.sites.pooled import POOLED, pooled_split
from primum.sites.sources import labelled, read_sites
from primum.sites.splits import Splits, looks_left, next_split, split_for_run
from primum.versioning import load_part
from primum.workspace import Workspace

SITES = {"north": (40, 0.0), "south": (40, 0.0)}
LONG = "Łódź/St. Mary's: " + "x" * 133


class World:
    """Records at sites over time, read and divided without training anything."""

    def __init__(self, project: Path, folder: Path, records: pd.DataFrame, **more: object) -> None:
        self.workspace = Workspace(project=project, home=folder / "home")
        self.folder, self.more = folder, more
        self.deliver(records)

    def deliver(self, records: pd.DataFrame) -> None:
        """The source as it is from now on."""
        self.file = write_task(self.folder, records, **self.more)

    def config(self, at: str, **changes: object) -> RunConfig:
        return load_run(self.workspace.configs, self.file, {"at": ends(at), **changes})

    def read(self, at: str, site: str = ALL_SITES) -> Path:
        config = self.config(at)
        assert config.at is not None
        folder = self.folder / f"read-{at}"
        return labelled(
            self.workspace, config, config.at, folder, self.folder / f"out-{at}-{len(site)}", site
        )

    def pooled_first(self, at: str) -> SplitVersion:
        config = self.config(at)
        made = make_split(self.workspace, self.read(at), config.task, config.stack, config.seed)
        self.look(made, config)
        return made

    def next(self, at: str, site: str) -> SplitVersion:
        return next_split(self.workspace, self.read(at, site), self.config(at, site=site))

    def look(self, split: SplitVersion, config: RunConfig, candidate: str = "c") -> int:
        with closing(Ledger.open(self.workspace.ledger)) as ledger:
            look = ledger.reserve(
                task=split.task,
                site=split.site,
                holdout=split.holdout,
                candidate=candidate,
                planned_looks=config.gate.planned_looks,
                alpha=config.gate.alpha,
                now=datetime.now(UTC),
                run="r",
            )
        return look.number

    def part(self, split: SplitVersion, *parts: str) -> pd.DataFrame:
        return pd.concat([load_part(self.workspace.home, split, part) for part in parts])  # type: ignore[arg-type]


@pytest.fixture
def world(project: Path, tmp_path: Path) -> World:
    records = [cohort(SITES, months("2020-01", 8)), cohort(SITES, months("2021-01", 8), start=100_000)]
    return World(project, tmp_path, pd.concat(records))


def test_what_a_run_reads_once_is_what_it_would_read_of_each_site(world: World) -> None:
    config = world.config("2021-06-30")
    for site in ("all", "north"):
        one = ingest(config.task, world.folder, world.folder / "one", config.seed, site=site, at=config.at)
        assert Path(one.path).read_bytes() == world.read("2021-06-30", site).read_bytes()
    few = world.config("2021-06-30", **{"task.source.sample": 50})
    some = ingest(few.task, world.folder, world.folder / "some", few.seed, site="north", at=few.at)
    at = few.at or datetime.now(UTC)
    mine = labelled(world.workspace, few, at, world.folder / "read", world.folder / "few", "north")
    assert Path(some.path).read_bytes() == mine.read_bytes()


def test_no_stage_reads_what_came_later_or_has_no_known_outcome(world: World) -> None:
    config = world.config("2021-03-31")
    assert config.at is not None
    rows = read_sites(world.workspace, config, config.at, world.folder / "all")["north"]
    assert rows["time"].max() == "2021-03"
    young = rows[~rows["matured"]]
    assert set(young["time"]) == {"2021-03"}  # 28 days
    assert young["label"].isna().all()
    world.pooled_first("2020-12-31")
    split = world.next("2021-03-31", "north")
    everything = pooled_split(world.workspace, world.read("2021-03-31"), {"north": split}, config)
    for made in (split, everything):
        assert world.part(made, *PARTS)["time"].max() == "2021-02"


def test_what_is_tied_to_a_holdout_or_kept_for_one_trains_nothing_for_all(
    project: Path, tmp_path: Path
) -> None:
    """By patient, by row, at another site, and through a third record."""
    early = cohort(SITES, months("2020-01", 8))
    late = cohort(SITES, months("2021-01", 6), start=100_000)
    first = World(project, tmp_path / "first", pd.concat([early, late]))
    first.pooled_first("2020-12-31")
    judged = first.part(first.next("2021-06-30", "south"), "test")["record_id"].tolist()
    told = late.set_index("id").loc[judged[:2]].reset_index()
    kept = late[(late["site"] == "north") & kept_to_judge(late["id"], "wards", 0.5)].iloc[:1]
    copies = pd.concat(
        [
            told.iloc[[0]].assign(id="r900001", site="north"),  # the same row of a holdout, at another site
            told.iloc[[1]].assign(id="r900002", site="east", month="2021-02"),
            kept.assign(id="r900003", site="south"),  # the same row as one that was kept for a later holdout
        ]
    )
    tied = World(project, tmp_path / "tied", pd.concat([early, late, copies]))
    tied.pooled_first("2020-12-31")
    split = tied.next("2021-06-30", "south")
    made = pooled_split(tied.workspace, tied.read("2021-06-30"), {"south": split}, tied.config("2021-06-30"))
    learned = set(tied.part(made, "train", "validation")["record_id"])
    closed = set(tied.part(split, "test")["record_id"])
    waiting = late[(late["site"] == "north") & kept_to_judge(late["id"], "wards", 0.5)]
    assert closed
    assert not learned & closed
    assert not learned & set(waiting["id"])
    assert not learned & {*judged[:2], "r900001", "r900002", "r900003"}
    kept_out = set(tied.part(split, "train", "validation")["record_id"]) - learned
    assert len(kept_out) < 5  # chance ties to a record that was kept
    assert made.site == POOLED
    assert len(tied.part(made, "test")) == 0


def test_a_site_gets_a_next_holdout_when_it_can_and_never_more_looks_than_planned(
    project: Path, tmp_path: Path
) -> None:
    early = cohort(SITES, months("2020-01", 8))
    spring = cohort(SITES, months("2021-01", 6), start=100_000)
    world = World(project, tmp_path, pd.concat([early, spring]))
    pooled = world.pooled_first("2020-12-31")
    config = world.config("2021-06-30", site="south")
    first = world.next("2021-06-30", "south")
    assert first.lineage.parent == pooled.dvc_hash
    assert world.next("2021-06-30", "south") == first
    for number in range(1, config.gate.planned_looks + 1):
        assert world.next("2021-06-30", "south") == first
        assert world.look(first, config, f"c{number}") == number
    assert looks_left(world.workspace, first, config) == 0
    with pytest.raises(BadInput, match="more labelled patient"):
        world.next("2021-06-30", "south")
    with closing(Ledger.open(world.workspace.ledger)) as ledger:
        assert ledger.looks_used(first.holdout) == config.gate.planned_looks
    autumn = cohort(SITES, months("2021-08", 3), start=200_000)
    world.deliver(pd.concat([early, spring, autumn]))
    second = world.next("2021-12-31", "south")
    assert second.holdout != first.holdout
    assert second.lineage.generation == first.lineage.generation + 1
    before = {*world.part(first, *PARTS)["patient_id"], *world.part(pooled, *PARTS)["patient_id"]}
    assert not before & set(world.part(second, "test")["patient_id"])
    assert set(world.part(first, "test")["record_id"]) <= set(world.part(second, "train")["record_id"])
    splits = Splits(world.workspace, world.config("2021-12-31"))
    assert splits.current("south") == second
    assert splits.looks_left(second) == config.gate.planned_looks
    assert splits.current("north") is None
    rows = world.part(second, "test")
    assert splits.seen(rows, second).all()
    assert not splits.seen(rows, None).any()


def test_a_site_that_was_there_before_all_others_keeps_its_holdout_to_itself(world: World) -> None:
    """The first adapter is the site's; then one for all sites; then the site's next cycle."""
    config = world.config("2020-12-31", site="south")
    first = split_for_run(world.workspace, world.read("2020-12-31", "south"), config)
    assert (first.site, first.lineage.generation) == ("south", 1)
    world.look(first, config)
    assert split_for_run(world.workspace, world.read("2020-12-31", "south"), config) == first
    pooled = world.pooled_first("2020-12-31")
    second = world.next("2021-06-30", "south")
    assert second.lineage.generation == 2
    assert set(second.lineage.earlier) == {first.dvc_hash, pooled.dvc_hash}
    seen = {*world.part(first, *PARTS)["patient_id"], *world.part(pooled, *PARTS)["patient_id"]}
    assert not seen & set(world.part(second, "test")["patient_id"])


def test_what_another_sites_champion_learned_from_judges_no_site_that_it_serves(
    project: Path, tmp_path: Path
) -> None:
    early = cohort(SITES, months("2020-01", 8))
    moved = early[early["site"] == "north"].head(40).assign(site="south", month="2021-02")
    moved["id"] = [f"r9{number:05d}" for number in range(len(moved))]
    late = cohort(SITES, months("2021-01", 8), start=100_000)
    world = World(project, tmp_path, pd.concat([early, late, moved]))
    north = world.config("2020-12-31", site="north")
    first = split_for_run(world.workspace, world.read("2020-12-31", "north"), north)
    world.look(first, north)
    learned = world.part(first, *PARTS)
    config = world.config("2021-06-30", site="south", fallback_site="north")
    assert Splits(world.workspace, config).seen(learned, None).all()
    assert not Splits(world.workspace, world.config("2021-06-30")).seen(learned, None).any()
    made = next_split(world.workspace, world.read("2021-06-30", "south"), config)
    assert made.lineage.earlier == (first.dvc_hash,)
    assert kept_to_judge(moved["id"], "wards", config.retrain.judged_share).any()
    assert not set(moved["id"]) & set(world.part(made, "test")["record_id"])


def test_a_first_run_at_a_site_of_a_known_task_holds_fresh_patients_only(world: World) -> None:
    pooled = world.pooled_first("2020-12-31")
    config = world.config("2020-12-31", site="south")
    with pytest.raises(BadInput, match="would hold 0 patients that no earlier split has seen"):
        split_for_run(world.workspace, world.read("2020-12-31", "south"), config)
    later = world.config("2021-06-30", site="south")
    made = split_for_run(world.workspace, world.read("2021-06-30", "south"), later)
    assert made.lineage.parent == pooled.dvc_hash
    test = world.part(made, "test")
    assert not set(test["patient_id"]) & set(world.part(pooled, *PARTS)["patient_id"])
    assert kept_to_judge(test["patient_id"], "wards", later.retrain.judged_share).all()


@pytest.mark.parametrize("site", ["St. Mary's / Łódź", "pooled training", LONG, "..", "日本"])
def test_any_name_of_a_site_has_files_of_its_own(project: Path, tmp_path: Path, site: str) -> None:
    names = {site: (40, 0.0), "other": (40, 0.0)}
    records = pd.concat(
        [cohort(names, months("2020-01", 8)), cohort(names, months("2021-01", 6), start=100_000)]
    )
    world = World(project, tmp_path, records)
    world.pooled_first("2020-12-31")
    mine, other = world.next("2021-06-30", site), world.next("2021-06-30", "other")
    config = world.config("2021-06-30")
    made = pooled_split(world.workspace, world.read("2021-06-30"), {site: mine, "other": other}, config)
    assert len({mine.path, other.path, made.path}) == 3
    splits = Splits(world.workspace, config)
    assert (splits.current(site), splits.current("other")) == (mine, other)
    assert set(world.part(mine, *PARTS)["site"]) == {site}


def test_a_name_that_no_registry_has_room_for_is_refused_before_anything_is_spent(
    project: Path, tmp_path: Path
) -> None:
    world = World(project, tmp_path, cohort({"a" * 300: (40, 0.0), "b": (40, 0.0)}, months("2020-01", 3)))
    with pytest.raises(BadInput, match="column 'site': a site's name has 300 letters; at most 150"):
        world.read("2020-12-31")


def test_a_cycle_goes_on_only_as_what_it_began_as(project: Path, tmp_path: Path) -> None:
    workspace = Workspace(project=project, home=tmp_path)
    world = World(project, tmp_path / "in", cohort(SITES, months("2020-01", 2)))
    config, now = world.config("2020-02-28"), datetime(2021, 1, 1, tzinfo=UTC)
    since = now - timedelta(days=900)
    first = begin(workspace, config, now)
    kept = Path(first.folder) / "watch.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    assert begin(workspace, config, now + timedelta(days=5)).name == first.name
    assert kept.is_file()
    # What may be deleted between runs is not where a spent look's candidate lies.
    assert not kept.is_relative_to(workspace.work("wards"))
    second = begin(workspace, config, now + timedelta(days=5), since)
    assert second.name != first.name
    assert not kept.exists()
    live = config.model_copy(update={"at": None})
    third = begin(workspace, live, now + timedelta(days=6))
    assert begin(workspace, live, now + timedelta(days=6, hours=5)).at == third.at
    assert begin(workspace, live, now + timedelta(days=9)).at == now + timedelta(days=9)
