"""infra/: what can be said of it without a cloud. checkov's and Terraform's own checks: `make infra`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FILES = ("*.tf", "*.yaml", "*.Dockerfile", "*.md", "*.dockerignore")


@pytest.fixture
def infra(project: Path) -> Path:
    return project / "infra"


def test_terraform_is_formatted(infra: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed here")
    done = subprocess.run(
        [terraform, "fmt", "-check", "-recursive", "-diff", str(infra)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_says_what_it_is_and_every_provider_is_pinned(infra: Path) -> None:
    for cloud in ("aws", "gcp"):
        variables = (infra / cloud / "variables.tf").read_text()
        assert (
            variables.count('variable "') == variables.count("  description = ") == variables.count("  type ")
        )
        pinned = re.findall(r'(?m)^ +version = "([^"]+)"', (infra / cloud / "versions.tf").read_text())
        assert pinned
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned)


def test_every_skipped_check_has_its_reason(infra: Path) -> None:
    found = [
        line.strip()
        for pattern in FILES
        for file in infra.rglob(pattern)
        for line in file.read_text().splitlines()
        if "checkov:skip" in line
    ]
    assert found
    assert all(re.search(r"checkov:skip=CKV\w+: ?\S.{4,}", line) for line in found), found


def test_nothing_names_an_account_a_host_or_a_secret(infra: Path, project: Path) -> None:
    stacks = [
        project / "configs" / "stacks" / f"{name}.yaml" for name in ("aws", "gcp", "kubernetes", "skypilot")
    ]
    shown = [
        *(file for pattern in FILES for file in infra.rglob(pattern)),
        project / "docs" / "cloud.md",
        *stacks,
    ]
    for file in shown:
        text = file.read_text()
        assert not re.search(r"\b\d{12}\b", text), f"an account's number in {file}"
        assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|ghp_", text), f"a secret in {file}"


def test_images_are_pinned_not_root_and_take_only_what_is_named(infra: Path) -> None:
    for name in ("cpu", "cuda"):
        lines = (infra / "images" / f"{name}.Dockerfile").read_text().splitlines()
        words = [line.split() for line in lines if line and not line.startswith("#")]
        (base,) = [w[1] for w in words if w[0] == "FROM"]
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
        assert words[-1] == ["USER", "${RUN_AS}"]
        assert ["ARG", "RUN_AS=10001"] in words
        assert not any(w[0] == "ADD" or w[:2] == ["COPY", "."] for w in words)
        assert "--constraint constraints.txt" in "\n".join(lines)
        ignored = (infra / "images" / f"{name}.Dockerfile.dockerignore").read_text().splitlines()
        assert "*" in ignored
        copied = {word.split("/__")[0] for w in words if w[0] == "COPY" for word in w[1:-1]}
        assert {word.rstrip("/") for word in copied} <= {line[1:] for line in ignored if line.startswith("!")}
