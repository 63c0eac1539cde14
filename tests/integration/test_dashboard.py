"""The sidecar: the real server on loopback, on the same store, gone when it should be."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from primum.dashboard import serving
from primum.errors import BadInput
from primum.workspace import Workspace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_dashboard_comes_up_and_stops_with_ctrl_c(project: Path, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PRIMUM_HOME": str(tmp_path),
        "ZENML_CONFIG_PATH": str(tmp_path / ".primum" / "zenml"),
    }
    command = subprocess.Popen(
        [sys.executable, "-m", "primum.cli", "dashboard", "--port", str(port)],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        line = command.stdout.readline()
        assert f"http://127.0.0.1:{port}" in line
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/info", timeout=10) as reply:
            info = json.load(reply)
        assert (info["database_type"], info["analytics_enabled"]) == ("sqlite", False)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/current-user", timeout=10) as reply:
            user = json.load(reply)
        assert user["body"]["email_opted_in"] is False  # else the first page is a form, not the runs
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
            assert b"<html" in reply.read().lower()
    finally:
        command.send_signal(signal.SIGINT)
        try:
            out, _ = command.communicate(timeout=40)
        finally:
            command.terminate()
    assert command.returncode == 0
    assert "dashboard stopped" in out
    deadline = time.monotonic() + 10
    while answers(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(port)


def test_a_taken_port_is_refused(tmp_path: Path, project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(BadInput, match=f"port {port} is in use"),
            serving(Workspace(project, tmp_path), port),
        ):
            pass
