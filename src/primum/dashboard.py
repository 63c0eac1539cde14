"""The ZenML dashboard as a sidecar: a server of its own on loopback, on the same store as the runs.

The client is not connected to it (`zenml login` would do that), so that runs never depend on the server.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from primum.errors import BadInput, Unavailable
from primum.workspace import Workspace

HOST = "127.0.0.1"
START_SECONDS = 60.0


@contextmanager
def serving(workspace: Workspace, port: int) -> Iterator[str]:
    """Serve the dashboard while the block runs; yield its address. The server ends with the block.

    Raises BadInput when the port is taken and Unavailable when the server does not come up.
    """
    _require_free(port)
    # All end like Ctrl-C, even where a shell started us with it ignored: the server must not outlive us.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    log = workspace.state / "logs" / "dashboard.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        server = subprocess.Popen(  # noqa: S603 - our own words and a number
            [
                *(sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app"),
                *("--host", HOST, "--port", str(port), "--log-level", "warning"),
            ],
            env=_environment(workspace),
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(server, port, str(log))
            yield f"http://{HOST}:{port}"
        finally:
            _stop(server)


def wait_for_interrupt() -> None:
    """Block until Ctrl-C or a TERM signal."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


def _environment(workspace: Workspace) -> dict[str, str]:
    from primum.stack.store import bootstrap, skip_survey, store_url

    bootstrap(workspace)
    skip_survey()
    return {
        **os.environ,
        # A folder of its own: the server's configuration must not become the client's.
        "ZENML_CONFIG_PATH": str(workspace.state / "dashboard"),
        "ZENML_STORE_TYPE": "sql",
        "ZENML_STORE_URL": store_url(),
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        # The store lies on this machine: without this the report is not shown.
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_LOCAL_STORES_PATH": str(workspace.zenml / "local_stores"),
        "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
        "ZENML_SERVER_DISPLAY_UPDATES": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            raise BadInput(f"port {port} is in use; choose another one with --port") from None


def _wait_until_up(server: subprocess.Popen[bytes], port: int, log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Unavailable(f"the dashboard's server stopped (exit {server.returncode}); its log: {log}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise Unavailable(f"the dashboard's server did not answer within {START_SECONDS:.0f} s; its log: {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if server.poll() is None:
            os.killpg(server.pid, sign)
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                continue
