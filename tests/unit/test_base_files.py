"""Finding a base model's files, without loading it."""

import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from primum.backends import identify_base
from primum.backends.base_files import is_whole, locate
from primum.config import ModelConfig, StackConfig
from primum.errors import BadInput

REVISION = "a" * 40


def sharded(folder: Path, *, shards: int) -> Path:
    """A model folder whose index names two weight files, of which `shards` are there."""
    folder.mkdir(parents=True)
    names = ["model-1.safetensors", "model-2.safetensors"]
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    index = {"weight_map": dict(zip("ab", names, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in names[:shards]:
        (folder / name).write_bytes(name.encode())
    return folder


def test_a_model_in_several_files_is_whole_with_all_of_them_only(tmp_path: Path) -> None:
    assert is_whole(sharded(tmp_path / "whole", shards=2))
    assert not is_whole(sharded(tmp_path / "cut", shards=1))
    assert not is_whole(tmp_path)
    with pytest.raises(BadInput, match=r"\.safetensors are not all"):
        identify_base(ModelConfig(name="cut", source="cut"), StackConfig(name="local"), tmp_path)


def test_the_hash_follows_the_files_behind_the_name(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "base", shards=2)
    model, stack = ModelConfig(name="base", source="base"), StackConfig(name="local")
    first = identify_base(model, stack, tmp_path)
    (folder / "model-2.safetensors").write_bytes(b"replaced")
    assert identify_base(model, stack, tmp_path) != first


def test_a_whole_snapshot_of_the_cache_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    folder = sharded(tmp_path / "snapshot", shards=2)

    def download(*_: object, local_files_only: bool = False, **__: object) -> str:
        asked.append(local_files_only)
        if not local_files_only:
            raise LocalEntryNotFoundError("no network")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    model = ModelConfig(name="hub", source="owner/name", revision=REVISION)
    assert locate(model, tmp_path) == (folder, f"owner/name@{REVISION}")
    assert asked == [True]
    (folder / "model-2.safetensors").unlink()  # a download that was cut short
    with pytest.raises(BadInput, match="cannot be reached; fetch it"):
        locate(model, tmp_path)
    assert asked == [True, True, False]
