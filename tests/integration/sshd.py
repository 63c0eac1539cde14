"""A real sshd on loopback for one user, with keys of its own."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    user: str
    key: Path
    config: Path
    """For PRIMUM_SSH_CONFIG: where this server's host key is known."""
    folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run sshd in the foreground while the block runs."""
    folder.mkdir()
    host_key, key, port = make_key(folder / "host"), make_key(folder / "user"), free_port()
    (folder / "authorized").write_text(key.with_suffix(".pub").read_text())
    words = host_key.with_suffix(".pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {words[0]} {words[1]}\n")
    (folder / "client").write_text(f"UserKnownHostsFile {folder / 'known'}\nGlobalKnownHostsFile none\n")
    (folder / "sshd").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    log = (folder / "log").open("wb")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd")], stderr=log)
    try:
        _wait(port, process, folder)
        yield Server("127.0.0.1", port, getpass.getuser(), key, folder / "client", folder)
    finally:
        process.terminate()
        process.wait(timeout=10)
        log.close()


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {(folder / 'log').read_text()}")
