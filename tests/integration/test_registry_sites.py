"""Sites: who serves, what happened there, going back and forward, leaving production, and the commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from registry_samples import NOW, decide, kinds, make_bundle, register

from primum import cli, registry
from primum.errors import BadInput, Tampered
from primum.stack.store import bootstrap
from primum.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Workspace:
    found = Workspace(project=project, home=tmp_path_factory.mktemp("sites"))
    bootstrap(found)
    return found


def names(*found: registry.RegisteredVersion | None) -> list[str]:
    return ["" if version is None else version.name for version in found]


def test_a_site_is_served_by_its_own_champion_else_by_the_pooled_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    assert names(registry.serving("s", "north"), registry.serving_anchor("s", "north")) == ["", ""]
    register(workspace, tmp_path, "s", 1, "PROMOTE")
    assert names(registry.champion("s", "north")) == [""]
    assert names(registry.serving("s", "north"), registry.serving_anchor("s", "north")) == ["s@all v1"] * 2
    register(workspace, tmp_path, "s", 2, "PROMOTE", site="north")
    register(workspace, tmp_path, "s", 3, "PROMOTE", site="north")
    register(workspace, tmp_path, "s", 4, "HOLD", site="south")
    assert names(registry.serving("s", "north"), registry.serving_anchor("s", "north")) == [
        "s@north v2",
        "s@north v1",
    ]
    assert names(registry.serving("s", "south"), registry.serving("s", "south", "north")) == [
        "s@all v1",
        "s@north v2",
    ]
    assert {site: v.number for site, v in registry.champions("s").items()} == {"all": 1, "north": 2}


def test_a_version_tells_its_base_and_when_its_records_ended(workspace: Workspace, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "dated", 1)
    decision = decide(workspace, bundle, "HOLD")
    made = registry.register(workspace, bundle, decision, NOW, as_of="1994-06-30")
    assert (made.as_of, made.base_id, made.base_hash) == ("1994-06-30", "base", "0" * 64)
    assert registry.version("dated", "all", 1) == made


def test_rollback_goes_forward_again_to_what_was_in_production(workspace: Workspace, tmp_path: Path) -> None:
    for salt in (1, 2, 3):
        register(workspace, tmp_path, "forward", salt, "PROMOTE", site="north")
    held = register(workspace, tmp_path, "forward", 4, "HOLD", site="north")
    where = (workspace, "forward", "north", NOW)
    assert registry.rollback(*where, to=1, why="v3 was fitted on a wrong unit").number == 1
    assert registry.rollback(*where, to=3).number == 3
    with pytest.raises(BadInput, match=r"never in production.*v1, v2, v3"):
        registry.rollback(*where, to=held.number)
    with pytest.raises(BadInput, match=r"was in production before; put it back with .* --to 2"):
        registry.promote(workspace, registry.version("forward", "north", 2), NOW)
    with pytest.raises(BadInput, match="no version 9; known: 4, 3, 2, 1"):
        registry.rollback(*where, to=9)
    assert kinds(workspace, "forward").count("rollback") == 2


def test_a_site_that_retires_its_champion_is_served_by_the_pooled_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    register(workspace, tmp_path, "retired", 1, "PROMOTE")
    own = register(workspace, tmp_path, "retired", 2, "PROMOTE", site="north")
    where = (workspace, "retired", "north", NOW)
    with pytest.raises(BadInput, match="--why TEXT"):
        registry.retire(*where, why=" ")
    gone = registry.retire(*where, why="the scanner was replaced")
    assert (gone.name, gone.stage, gone.anchor) == (own.name, "archived", True)
    assert names(registry.champion("retired", "north"), registry.serving("retired", "north")) == [
        "",
        "retired@all v1",
    ]
    with pytest.raises(BadInput, match="no version of its own is in production; retired@all v1 serves"):
        registry.retire(*where, why="again")
    with pytest.raises(BadInput, match=r"name one with --to \(v1 were there\)"):
        registry.rollback(*where)
    with pytest.raises(BadInput, match=r"did you mean north\?"):
        registry.retire(workspace, "retired", "nort", NOW, why="a slip")
    assert registry.rollback(*where, to=1).stage == "production"


def test_the_history_of_a_site_is_told_newest_first(workspace: Workspace, tmp_path: Path) -> None:
    register(workspace, tmp_path, "told", 1, "PROMOTE", site="north")
    held = register(workspace, tmp_path, "told", 2, "HOLD", site="north")
    register(workspace, tmp_path, "told", 3, "PROMOTE", site="elsewhere")
    registry.promote(workspace, held, NOW, override=True, by="Dr A", why="no other model")
    registry.rollback(workspace, "told", "north", NOW, why="complaints")
    registry.retire(workspace, "told", "north", NOW, why="a new scanner")
    found = registry.history("told", "north", workspace=workspace)
    assert [(e.kind, e.number, e.outcome) for e in found] == [
        ("retirement", 1, "PROMOTE"),
        ("rollback", 1, "PROMOTE"),
        ("override", 2, "HOLD"),
        ("decision", 2, "HOLD"),
        ("promotion", 1, "PROMOTE"),
        ("decision", 1, "PROMOTE"),
    ]
    assert [e.why for e in found][:3] == ["a new scanner", "complaints", "no other model"]
    assert (found[2].by, found[3].reason) == ("Dr A", "because")
    short = registry.history("told", "north", 2, workspace)
    assert short == found[:2]
    assert registry.history("told", "south", workspace=workspace) == []


def test_the_history_names_old_versions_that_came_back(workspace: Workspace, tmp_path: Path) -> None:
    for salt in range(1, 5):
        register(workspace, tmp_path, "old", salt, "PROMOTE")
    registry.rollback(workspace, "old", "all", NOW, to=1)
    (event,) = registry.history("old", "all", 1, workspace)
    assert (event.kind, event.number, event.outcome) == ("rollback", 1, "PROMOTE")


def test_all_sites_of_a_task_stand_in_one_row_each(workspace: Workspace, tmp_path: Path) -> None:
    register(workspace, tmp_path, "many", 1, "PROMOTE")
    register(workspace, tmp_path, "many", 2, "PROMOTE", site="São Paulo")
    register(workspace, tmp_path, "many", 3, "REJECT", site="São Paulo")
    register(workspace, tmp_path, "many", 4, "HOLD", site="south")
    register(workspace, tmp_path, "many.other", 5, "HOLD", site="west")
    found = registry.sites("many", workspace)
    assert [(s.site, s.versions, s.outcome, s.serves and s.serves.name) for s in found] == [
        ("all", 1, "PROMOTE", "many@all v1"),
        ("São Paulo", 2, "REJECT", "many@São Paulo v1"),
        ("south", 1, "HOLD", "many@all v1"),
    ]
    assert [s.since is not None for s in found] == [True, True, False]
    assert [s.anchor is not None for s in found] == [True, True, False]


def test_a_bundle_that_is_gone_is_refused_before_anything_changes(
    workspace: Workspace, tmp_path: Path
) -> None:
    first = register(workspace, tmp_path, "gone", 1, "PROMOTE")
    register(workspace, tmp_path, "gone", 2, "PROMOTE")
    before = kinds(workspace, "gone")
    shutil.rmtree(workspace.bundles / first.bundle_sha256)
    with pytest.raises(Tampered, match=r"gone@all v1: bundle .* refused; restore that folder") as problem:
        registry.rollback(workspace, "gone", "all", NOW)
    assert "\n" not in str(problem.value)
    assert kinds(workspace, "gone") == before
    assert names(registry.champion("gone", "all")) == ["gone@all v2"]


@pytest.fixture
def command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> object:
    monkeypatch.setenv("PRIMUM_HOME", str(workspace.home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(registry, "utc_now", lambda: NOW)

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["registry", *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def test_the_commands_show_sites_history_and_versions(
    workspace: Workspace, tmp_path: Path, command: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(command)
    register(workspace, tmp_path, "shown", 1, "PROMOTE")
    for salt in (2, 3):
        register(workspace, tmp_path, "shown", salt, "PROMOTE", site="north")
    of_north = ("--task", "shown", "--site", "north")
    code, said, _ = command("list", *of_north)
    assert code == 0
    assert [line.split()[:2] for line in said.splitlines()[1:]] == [
        ["shown@north", "v2"],
        ["shown@north", "v1"],
    ]
    code, said, _ = command("rollback", *of_north, "--to", "1", "--why", "complaints [bold]")
    assert said == "shown@north v1 is in production again\n"
    code, said, _ = command("history", *of_north, "--limit", "1")
    assert said.splitlines()[1].split()[2:4] == ["rollback", "v1"]
    assert "complaints [bold]" in said  # nothing in it is read as markup
    code, said, _ = command("retire", *of_north, "--why", "a new scanner")
    assert said == "shown@north v1 left production; shown@all v1 serves north\n"
    code, said, _ = command("sites", "--task", "shown")
    assert [line.split()[:2] for line in said.splitlines()[1:]] == [["all", "v1"], ["north", "(all"]]
    monkeypatch.setattr("primum.cli_registry.MANY", 2)
    assert "a row per site follows" in command("list", "--task", "shown")[1]
    assert "name a task" in command("list")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["history", "--task", "slips", "--site", "nroth"], "did you mean north?"),
        (["list", "--task", "slips", "--site", "Atlantis"], "primum registry sites --task slips"),
        (["show", "--task", "slips", "--site", "nroth", "1"], "did you mean north?"),
        (["rollback", "--task", "slips", "--site", "nroth"], "did you mean north?"),
        (["retire", "--task", "slips", "--site", "nroth", "--why", "w"], "did you mean north?"),
        (["rollback", "--task", "slips", "--site", "north", "--to", "7"], "has no version 7; known: 1"),
    ],
)
def test_slips_are_answered_with_one_line_and_exit_code_2(
    workspace: Workspace, tmp_path: Path, command: object, words: list[str], said: str
) -> None:
    assert callable(command)
    if not registry.count("slips"):
        register(workspace, tmp_path, "slips", 1, "PROMOTE", site="north")
    code, _, error = command(*words)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
