"""Datasets of a hub: fetched by pinned commit, licence shown, every refusal one line; with and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import pytest

CHILD = """
import json, sys
from pathlib import Path
from primum.config import TaskConfig
from primum.errors import PrimumError
from primum.ingest import ingest
from primum.ingest.hub import known_licence
for number, source in enumerate(json.loads(sys.argv[2])):
    task = TaskConfig.model_validate({
        "name": "qa", "source": {"kind": "huggingface"} | source, "keys": {"record_id": "id"},
        "label": {"column": "answer", "classes": ["A", "B"]}, "prompt": {"question": "Which?"},
        "features": [{"column": c, "kind": "text"} for c in ("question", "options.A", "options.B", "contexts")]})
    before = known_licence(task.source)
    try:
        report = ingest(task, Path("."), Path(sys.argv[1]) / str(number), 1)
        import pandas as pd
        frame = pd.read_parquet(report.path)
        first = frame.sort_values("question").iloc[0][["options.A", "contexts"]].tolist()
        said = [report.rows, *report.notes, *first]
    except PrimumError as problem:
        said = [type(problem).__name__, str(problem)]
    print(json.dumps([before, said]))
"""


NAME = f"clinic/qa@{hub_server.COMMIT}"
ABSENT = "is not, or not wholly, on this machine and"
FETCH = (
    "fetch it where there is a network "
    f"(hf download clinic/qa --repo-type dataset --revision {hub_server.COMMIT})"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with hub_server.hub() as found:
        yield found


def ask(folder: Path, address: str, *sources: dict[str, Any], **changes: str) -> list[Any]:
    """What comes of each source in a process of its own, for the libraries read the environment once."""
    kept = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    environment = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    sources = tuple({"revision": hub_server.COMMIT} | source for source in sources)
    command = [sys.executable, "-c", CHILD, str(folder / "out"), json.dumps(sources)]
    child = subprocess.run(
        command, capture_output=True, text=True, env=kept | environment | changes, check=False
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return [json.loads(line) for line in child.stdout.splitlines()]


def test_a_pinned_dataset_with_its_licence_and_offline_from_then_on(tmp_path: Path, address: str) -> None:
    source = {"name": "clinic/qa"}
    licence = "licence of clinic/qa: cc-by-4.0 (its dataset card)"
    whole = [None, [10, licence, "first 0", "one 0 two 0"]]
    assert ask(tmp_path, address, source, {"name": "clinic/bare"}) == [
        whole,
        [
            None,
            [
                4,
                "licence of clinic/bare: its dataset card names none; find out before you train on it",
                *whole[1][2:],
            ],
        ],
    ]
    nowhere = "http://127.0.0.1:9"
    assert ask(tmp_path, nowhere, source, HF_HUB_OFFLINE="1") == [[licence, whole[1]]]
    assert ask(tmp_path, nowhere, {**source, "split": "test"}) == [
        [licence, [5, licence, "first 100", "one 100 two 100"]]
    ]


def test_a_broken_off_fetch_is_not_taken_for_the_whole(tmp_path: Path, address: str) -> None:
    source = {"name": "clinic/qa"}
    ask(tmp_path, address, source)
    (shard,) = tmp_path.glob("hf/hub/**/snapshots/*/data/train-00001-of-00002.parquet")
    shard.unlink()
    ((_, said),) = ask(tmp_path, address, source, HF_HUB_OFFLINE="1")
    assert said == ["Unavailable", f"{NAME}: {ABSENT} HF_HUB_OFFLINE is set; {FETCH}"]


def test_what_a_dataset_lacks_is_said_in_one_line(tmp_path: Path, address: str) -> None:
    cases = {
        "clinic/nothing": (
            {},
            "the hub has no such dataset; check the name; where it is private, set HF_TOKEN",
        ),
        "clinic/qa": (
            {"revision": "b" * 40},
            "the dataset has no such revision; copy a commit of its history",
        ),
        "clinic/many": ({}, "has 2 configurations; set source.config to small, large"),
        "clinic/bare": ({"revision": "main"}, "source.revision must be a pinned commit (40 hex digits)"),
        "clinic/gated": ({}, "is gated: it needs a token, and HF_TOKEN is not set; ask for access on http"),
    }
    found = ask(tmp_path, address, *({"name": name} | more for name, (more, _) in cases.items()))
    for (name, (more, line)), (_, said) in zip(cases.items(), found, strict=True):
        assert said[0] == "BadInput"
        assert said[1].startswith(f"{name}@{more.get('revision', hub_server.COMMIT)}: {line}"), said[1]
        assert "\n" not in said[1]
    more = [
        {"name": "clinic/many", "config": "huge"},
        {"name": "clinic/many", "config": "small", "split": "test"},
        {"name": "clinic/many", "config": "small"},
    ]
    huge, test, small = (said for _, said in ask(tmp_path, address, *more))
    assert huge[1].endswith("no configuration 'huge'; source.config can be small, large")
    assert test[1].endswith("no split 'test'; source.split can be train")
    assert small[0] == 3


def test_a_gated_dataset_with_a_token_of_the_environment(tmp_path: Path, address: str) -> None:
    source = {"name": "clinic/gated"}
    ((_, refused),) = ask(tmp_path, address, source, HF_TOKEN="hf_other")  # noqa: S106 - of this server only
    assert "the account of HF_TOKEN has no access yet; ask for access on" in refused[1]
    assert "hf_other" not in refused[1]
    ((_, said),) = ask(tmp_path, address, source, HF_TOKEN=hub_server.TOKEN)
    assert said[0] == 4


def test_offline_without_a_copy(tmp_path: Path, address: str) -> None:
    source = {"name": "clinic/qa"}
    ((_, said),) = ask(tmp_path, address, source, HF_HUB_OFFLINE="1")
    assert said == ["Unavailable", f"{NAME}: {ABSENT} HF_HUB_OFFLINE is set; {FETCH}"]
    ((_, said),) = ask(tmp_path, "http://127.0.0.1:9", source)
    assert said == ["Unavailable", f"{NAME}: {ABSENT} the hub cannot be reached; {FETCH}"]
