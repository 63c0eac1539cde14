"""`primum stack setup` and `check` for clouds: what is asked for first, what is written, what is refused."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum import cli_cloud
from primum.cli import main
from primum.cli_stack import _setup
from primum.errors import BadInput, Unavailable
from primum.stack import cloud_access
from primum.workspace import Workspace


@pytest.fixture
def workspace(project: Path, tmp_path: Path) -> Workspace:
    """The shipped configuration in a folder that may be written to."""
    shutil.copytree(project / "configs", tmp_path / "configs")
    return Workspace(project=tmp_path, home=tmp_path / "home")


def setup(workspace: Workspace, what: str, **given: Any) -> None:
    names = ("host", "user", "port", "key", "python", "folder", "name", "from_terraform")
    _setup(workspace, argparse.Namespace(**{**dict.fromkeys(names), "what": what, **given}))


MADE = {"cloud": {"artifacts": "s3://records", "registry": "r", "role": "role", "region": "eu-west-1"}}


@pytest.fixture
def made(tmp_path: Path) -> str:
    file = tmp_path / "out.json"
    file.write_text(json.dumps({"stack": {"value": MADE}}))
    return str(file)


@pytest.mark.parametrize(
    ("what", "given", "why"),
    [
        ("awss", {}, r"unknown stack 'awss'; did you mean 'aws'\?"),
        ("two-gpus", {}, "the stack 'two-gpus' needs no setup; use it with: --set stack=two-gpus"),
        (
            "aws",
            {},
            r"aws.yaml: `cloud.artifacts` is missing; add it, or fill it: primum stack setup aws --from",
        ),
        ("kubernetes", {}, r"kubernetes.yaml: `cloud.context` is missing; add it$"),
        ("skypilot", {}, r"skypilot.yaml: `cloud.artifacts` is missing; add it$"),
        ("aws", {"user": "me"}, "--user is for another machine"),
        ("aws", {"name": "x"}, "--name is for another machine"),
        ("aws", {"host": "studio"}, "'aws' is no backend; say which one studio has"),
        ("cuda", {"from_terraform": "f"}, "--from-terraform is for a cloud stack"),
        ("aws", {"from_terraform": "absent.json"}, "absent.json: no such file; write it with: terraform"),
        ("aws", {"from_terraform": "f", "name": "../x"}, "make a stack's name"),
    ],
)
def test_what_cannot_be_set_up(workspace: Workspace, what: str, given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why) as problem:
        setup(workspace, what, **given)
    assert "\n" not in str(problem.value)
    assert not list((workspace.configs / "stacks").glob("my-*"))


def test_terraforms_outputs_become_a_stack_once(
    workspace: Workspace, made: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(cloud: Any) -> str:
        raise Unavailable("no credentials")

    monkeypatch.setattr(cloud_access, "check_access", refuse)
    file = workspace.configs / "stacks" / "my-aws.yaml"
    for _ in range(2):
        with pytest.raises(Unavailable, match="no credentials"):
            setup(workspace, "aws", from_terraform=made)
    assert capsys.readouterr().out.count("wrote ") == 1
    assert yaml.safe_load(file.read_text())["cloud"]["artifacts"] == "s3://records"
    file.write_text(file.read_text().replace("s3://records", "s3://others"))
    with pytest.raises(BadInput, match="exists already and says otherwise; choose another --name"):
        setup(workspace, "aws", from_terraform=made)
    with pytest.raises(Unavailable):
        setup(workspace, "aws", from_terraform=made, name="ward-7")
    assert (file.parent / "ward-7.yaml").is_file()


def test_skypilots_task_is_written_after_the_check(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud_access, "check_access", lambda cloud: "reached")
    monkeypatch.setenv("PATH", "")
    file = workspace.configs / "stacks" / "skypilot.yaml"
    file.write_text(file.read_text().replace("infra: aws", "infra: aws\n  artifacts: s3://records"))
    setup(workspace, "skypilot")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "reached"
    assert "pipx install 'skypilot[aws]" in told[2]
    assert "sky jobs launch" in told[3]
    task = yaml.safe_load((workspace.state / "cloud" / "skypilot.sky.yaml").read_text())
    assert task["file_mounts"]["/primum"]["source"] == "s3://records/home"
    again = (workspace.state / "cloud" / "skypilot.sky.yaml").read_bytes()
    setup(workspace, "skypilot")
    assert (workspace.state / "cloud" / "skypilot.sky.yaml").read_bytes() == again


def test_registering_comes_after_every_check(
    workspace: Workspace, made: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cloud_access, "check_access", lambda cloud: "reached")
    monkeypatch.setattr(cloud_access, "_installed", lambda module: True)
    with pytest.raises(BadInput, match="PRIMUM_LEDGER_URL is not set"):
        setup(workspace, "aws", from_terraform=made)
    assert "reached" in capsys.readouterr().out
    monkeypatch.setattr("primum.stack.cloud.register", lambda stack, ledger: [f"stack: primum-{stack.name}"])
    setup(workspace, "my-aws")
    told = capsys.readouterr().out
    assert "use it with: python run.py --pipeline finetune --set stack=my-aws" in told
    assert "What to clear first" in told


def test_checking_a_cloud_reaches_it_and_nothing_more(
    workspace: Workspace, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from primum.config import StackConfig

    monkeypatch.setattr(cloud_access, "check_access", lambda cloud: f"reached {cloud.bucket}")
    monkeypatch.setattr(cloud_access, "_installed", lambda module: True)
    stack = StackConfig.model_validate(
        {"backend": "cuda", "cloud": {**MADE["cloud"], "provider": "aws", "gpu": "g", "cpu": "c"}}
    )
    assert cli_cloud.check_cloud(workspace, stack) == "reached records"
    with pytest.raises(BadInput, match="has no `cloud` section"):
        cli_cloud.check_cloud(workspace, StackConfig())


def test_the_command_line_refuses_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "check", "aws"]) == 2
    assert main(["stack", "setup", "azure"]) == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 2
    assert "`cloud.artifacts` is missing" in told[0]
    assert "unknown stack 'azure'" in told[1]
