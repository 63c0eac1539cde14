"""Models from a hub that answers on loopback: fetched by commit, or one line that says what to do."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from model_hub import COMMIT, FRIEND, GONE, STRANGER, Hub, serving

from primum import cli
from primum.backends.base_files import describe, locate
from primum.backends.hub import newest
from primum.config import ModelConfig
from primum.errors import BadInput, PrimumError, Unavailable

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors": b"\x00" * 64,
    "README.md": b"not needed",
    "pytorch_model.bin": b"never a pickle",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    models = dict.fromkeys(("open/model", "closed/model", "half/model"), FILES)
    gated = frozenset({"closed/model", "half/model"})
    with serving(Hub(models=models, gated=gated, listed=frozenset({"half/model"}))) as there:
        pointed_at(monkeypatch, there.url, tmp_path / "cache")
        yield there


def pointed_at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """The client reads HF_ENDPOINT and HF_HOME when it is imported: set here what it made of them."""
    from huggingface_hub import hf_api

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(hf_api.api, "endpoint", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def model(source: str = "open/model", revision: str | None = COMMIT) -> ModelConfig:
    return ModelConfig(name="mine", source=source, revision=revision, base_licence="mit")


def refused(config: ModelConfig, root: Path) -> str:
    with pytest.raises(PrimumError) as caught:
        locate(config, root)
    assert "\n" not in str(caught.value)
    assert FRIEND not in str(caught.value)
    return str(caught.value)


def test_a_commit_is_fetched_once_and_then_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    folder, name = locate(model(), tmp_path)
    assert name == f"open/model@{COMMIT}"
    assert {p.name for p in folder.iterdir()} == set(FILES) - {"README.md", "pytorch_model.bin"}
    assert {token for _, token in hub.asked} == {None}
    hub.asked.clear()
    assert locate(model(), tmp_path)[0] == folder
    assert hub.asked == []


def test_a_commit_that_is_not_there_says_how_to_find_one(hub: Hub, tmp_path: Path) -> None:
    said = refused(model(revision=GONE), tmp_path)
    assert f"'open/model' has no commit {GONE[:12]}" in said
    assert "`primum model pin open/model`" in said
    assert f"{hub.url}/open/model/commits/main" in said


@pytest.mark.parametrize("revision", [None, "main", "abc1234"])
def test_a_branch_or_nothing_is_no_revision(hub: Hub, tmp_path: Path, revision: str | None) -> None:
    said = refused(model(revision=revision), tmp_path)
    assert "needs a pinned commit (40 hex digits); `primum model pin mine`" in said
    assert hub.asked == []


def test_a_model_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    assert "the hub has no 'no/model'" in refused(model("no/model"), tmp_path)
    assert "where it is private, set HF_TOKEN" in refused(model("no/model"), tmp_path)


@pytest.mark.parametrize("name", ["closed/model", "half/model"])
def test_a_gated_model_without_a_token_says_where_to_ask(hub: Hub, tmp_path: Path, name: str) -> None:
    said = refused(model(name), tmp_path)
    assert (
        f"'{name}' is gated: it needs a token, HF_TOKEN is not set; ask for access on {hub.url}/{name}"
        in said
    )


@pytest.mark.parametrize("name", ["closed/model", "half/model"])
def test_a_token_without_access_is_told_so_and_one_with_access_serves(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    assert "the account of HF_TOKEN has no access yet" in refused(model(name), tmp_path)
    monkeypatch.setenv("HF_TOKEN", FRIEND)
    assert (locate(model(name), tmp_path)[0] / "model.safetensors").is_file()


def test_no_configuration_takes_a_token() -> None:
    assert not [field for field in ModelConfig.model_fields if "token" in field or "secret" in field]


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, BadInput, "the hub does not accept HF_TOKEN for 'odd/model'"),
        (403, BadInput, "HF_TOKEN may not read 'odd/model'"),
        (429, Unavailable, "wants fewer requests"),
        (451, BadInput, "does not give 'odd/model' out"),
        (500, Unavailable, "could not be fetched (HfHubHTTPError, HTTP 500)"),
    ],
)
def test_other_answers_are_told_apart(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, kind: type, words: str
) -> None:
    def answer(*_: object, local_files_only: bool = False, **__: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        raise failed(status)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
    with pytest.raises(kind) as caught:
        locate(model("odd/model"), tmp_path)
    assert words in str(caught.value)


def failed(status: int) -> HfHubHTTPError:
    """What the client raises for such an answer."""
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return HfHubHTTPError("no", response=response)  # type: ignore[arg-type]


def test_an_answer_that_the_client_takes_for_a_lost_connection_is_looked_into(
    hub: Hub, tmp_path: Path
) -> None:
    hub.answers["odd/model"] = 403
    assert "HF_TOKEN may not read 'odd/model'" in refused(model("odd/model"), tmp_path)


def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pointed_at(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the client's tries
    said = refused(model(), tmp_path)
    assert (
        f"cannot be reached; fetch it where there is a network (hf download open/model --revision {COMMIT})"
        in said
    )


def test_offline_is_said_without_asking(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "cannot be reached" in refused(model(), tmp_path)
    assert hub.asked == []


def test_a_full_disk_names_the_folder_to_move(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object, local_files_only: bool = False, **__: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    said = refused(model(), tmp_path)
    assert f"no space for 'open/model' in {tmp_path / 'cache'}" in said
    assert "HF_HOME" in said


def test_pin_tells_commit_licence_and_access(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "pin", "closed/model"]) == 0
    said = capfd.readouterr().out
    assert (
        f"closed/model, newest commit 2024-09-01, licence mit; gated: ask for access on {hub.url}/closed"
        in said
    )
    assert f"revision: {COMMIT}\n" in said
    assert newest("open/model").gated is False
    assert cli.main(["model", "pin", "no/model"]) == 2
    assert cli.main(["model", "pin", "primum-base"]) == 2
    assert "its source 'embedded' is no hub id" in capfd.readouterr().err


def test_the_line_about_a_base_names_licence_and_commit() -> None:
    assert describe(model()) == f"base open/model at {COMMIT[:12]}, licence mit"
    assert "`primum model pin mine`" in describe(model(revision=None))
    bare: dict[str, Any] = {"name": "x", "source": "folder"}
    assert describe(ModelConfig(**bare)) == "base folder, licence not stated (base_licence)"
    assert describe(ModelConfig(name="x")) == "base primum-base, embedded"
