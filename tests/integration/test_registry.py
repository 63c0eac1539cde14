"""The registry on a real ZenML store: stages, idempotence, overrides, rollback, altered bundles."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from registry_samples import NOW, decide, kinds, make_bundle, register

from primum import registry
from primum.errors import BadInput, Tampered
from primum.records import CheckStatus
from primum.stack.store import bootstrap
from primum.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Workspace:
    found = Workspace(project=project, home=tmp_path_factory.mktemp("registry"))
    bootstrap(found)
    return found


def test_only_promote_reaches_production_and_the_first_one_is_the_anchor(
    workspace: Workspace, tmp_path: Path
) -> None:
    held = register(workspace, tmp_path, "stages", 1, "HOLD")
    rejected = register(workspace, tmp_path, "stages", 2, "REJECT")
    assert (held.stage, rejected.stage, registry.champion("stages", "all")) == (None, None, None)
    promoted = register(workspace, tmp_path, "stages", 3, "PROMOTE")
    assert (promoted.stage, promoted.anchor, promoted.number) == ("production", True, 3)
    second = register(workspace, tmp_path, "stages", 4, "PROMOTE")
    by_number = {v.number: v for v in registry.versions("stages", "all")}
    assert (second.stage, second.anchor) == ("production", False)
    assert (by_number[3].stage, by_number[3].anchor) == ("archived", True)
    assert kinds(workspace, "stages").count("promotion") == 2


def test_registering_the_same_decision_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "twice", 1)
    decision = decide(workspace, bundle, "PROMOTE")
    first = registry.register(workspace, bundle, decision, NOW)
    before = kinds(workspace, "twice")
    assert registry.register(workspace, bundle, decision, NOW) == first
    assert kinds(workspace, "twice") == before
    assert len(registry.versions("twice")) == 1


def test_the_card_lies_beside_every_judged_adapter_and_tells_the_last_verdict(
    workspace: Workspace, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path, "cards", 1)
    held, promoted = (decide(workspace, bundle, outcome) for outcome in ("HOLD", "PROMOTE"))
    card = workspace.bundles / bundle.sha256 / "README.md"
    registry.register(workspace, bundle, held, NOW, "first")
    assert card.read_text(encoding="utf-8") == "first"
    card.write_text("first, with a word by a person", encoding="utf-8")
    registry.register(workspace, bundle, held, NOW, "again")  # the same decision leaves it
    assert card.read_text(encoding="utf-8") == "first, with a word by a person"
    version = registry.register(workspace, bundle, promoted, NOW, "second")
    assert version.stage == "production"  # the bundle verifies with the card in it
    assert card.read_text(encoding="utf-8") == "second"
    assert registry.fetch_bundle(workspace, version).sha256 == bundle.sha256


def test_rollback_goes_to_the_version_before_and_is_written_down(
    workspace: Workspace, tmp_path: Path
) -> None:
    register(workspace, tmp_path, "back", 1, "PROMOTE")
    with pytest.raises(BadInput, match="no earlier production version"):
        registry.rollback(workspace, "back", "all", NOW)
    register(workspace, tmp_path, "back", 2, "PROMOTE")
    held = register(workspace, tmp_path, "back", 3, "HOLD")
    assert registry.rollback(workspace, "back", "all", NOW).number == 1
    champion = registry.champion("back", "all")
    assert champion is not None
    assert champion.number == 1
    assert kinds(workspace, "back")[-1] == "rollback"
    with pytest.raises(BadInput, match="was never in production"):
        registry.rollback(workspace, "back", "all", NOW, to=held.number)
    with pytest.raises(BadInput, match="is in production already"):
        registry.rollback(workspace, "back", "all", NOW, to=1)


def test_rollback_twice_goes_further_back_and_never_forward(workspace: Workspace, tmp_path: Path) -> None:
    for salt in (1, 2, 3):
        register(workspace, tmp_path, "further", salt, "PROMOTE")
    assert [registry.rollback(workspace, "further", "all", NOW).number for _ in range(2)] == [2, 1]
    with pytest.raises(BadInput, match="no earlier production version"):
        registry.rollback(workspace, "further", "all", NOW)
    assert registry.rollback(workspace, "further", "all", NOW, to=3).number == 3


def test_what_is_in_production_is_not_promoted_again(workspace: Workspace, tmp_path: Path) -> None:
    promoted = register(workspace, tmp_path, "again", 1, "PROMOTE")
    with pytest.raises(BadInput, match="is in production already"):
        registry.promote(workspace, promoted, NOW)
    assert kinds(workspace, "again").count("promotion") == 1


def test_a_replaced_ledger_is_noticed(workspace: Workspace, tmp_path: Path) -> None:
    held = register(workspace, tmp_path, "replaced", 1, "HOLD")
    other = Workspace(project=workspace.project, home=tmp_path / "other")
    registry.keep_bundle(other, registry.fetch_bundle(workspace, held))
    with pytest.raises(Tampered, match="restore the ledger"):
        registry.require_ledger(other, "replaced", "all")
    with pytest.raises(Tampered, match="restore the ledger"):
        registry.promote(other, held, NOW, override=True, by="A", why="b")
    assert registry.champion("replaced", "all") is None


def test_a_rejected_adapter_is_not_overridden_when_it_comes_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path, "rejected", 1)
    registry.register(workspace, bundle, decide(workspace, bundle, "REJECT"), NOW)
    held = registry.register(workspace, bundle, decide(workspace, bundle, "HOLD"), NOW)  # exhausted since
    with pytest.raises(BadInput, match="rejected@all v1, which the gate rejected"):
        registry.promote(workspace, held, NOW, override=True, by="A", why="b")
    assert registry.champion("rejected", "all") is None


def test_an_override_is_for_a_hold_only_and_names_who_and_why(workspace: Workspace, tmp_path: Path) -> None:
    held = register(workspace, tmp_path, "over", 1, "HOLD")
    rejected = register(workspace, tmp_path, "over", 2, "REJECT")
    with pytest.raises(BadInput, match="only a HOLD can be overridden"):
        registry.promote(workspace, held, NOW)
    with pytest.raises(BadInput, match="its verdict is REJECT"):
        registry.promote(workspace, rejected, NOW, override=True, by="A", why="b")
    with pytest.raises(BadInput, match="--by NAME and --why TEXT"):
        registry.promote(workspace, held, NOW, override=True, by=" ", why="b")
    assert registry.champion("over", "all") is None
    done = registry.promote(workspace, held, NOW, override=True, by="Dr A", why="no other model")
    assert done.stage == "production"
    assert kinds(workspace, "over")[-1] == "override"


@pytest.mark.parametrize("check", ["leakage", "parsed"])
@pytest.mark.parametrize(("status", "said"), [("fail", "failed"), ("hold", "could not be judged")])
def test_a_leakage_or_parsed_check_that_did_not_pass_is_never_overridden(
    workspace: Workspace, tmp_path: Path, check: str, status: CheckStatus, said: str
) -> None:
    bundle = make_bundle(tmp_path, f"never-{check}-{status}", 1)
    decision = decide(workspace, bundle, "HOLD", failed=check, status=status)
    held = registry.register(workspace, bundle, decision, NOW)
    with pytest.raises(BadInput, match=f"the {check} check {said}"):
        registry.promote(workspace, held, NOW, override=True, by="A", why="b")


def test_an_altered_bundle_cannot_be_promoted(workspace: Workspace, tmp_path: Path) -> None:
    held = register(workspace, tmp_path, "altered", 7, "HOLD")
    (workspace.bundles / held.bundle_sha256 / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(Tampered, match="refused"):
        registry.promote(workspace, held, NOW, override=True, by="A", why="b")
    assert registry.champion("altered", "all") is None


def test_an_unknown_version_names_the_known_ones(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="known: none yet"):
        registry.version("nothing", "all", 1)


def test_the_store_does_not_silence_primum(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("primum.backends").warning("training diverged")
    assert "training diverged" in caplog.text
