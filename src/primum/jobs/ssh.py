"""OpenSSH's own client: its command line, and what its refusals mean. Nothing is ever asked, nothing trusted anew."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

from primum.config import Remote
from primum.errors import BadInput, PrimumError, Unavailable

CONFIG = "PRIMUM_SSH_CONFIG"
"""Environment variable: an ssh configuration file to use instead of the user's own."""
_BOOT = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv[1])), 'receive', 'exec'))"
_SSH_FAILED = 255
"""ssh's own exit code; any other one is that of the command over there."""
_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",  # a connection that others share must not end with ours
    "LogLevel=ERROR",
)


def connect(remote: Remote, script: bytes) -> list[str]:
    """The words that run `script`, which is then written to their standard input first, on the other machine.

    Raises BadInput when there is no ssh client here.
    """
    if shutil.which("ssh") is None:
        raise BadInput("stack.remote needs OpenSSH's client, and there is no `ssh` here; install it")
    words = ["ssh", "-T"]
    if os.environ.get(CONFIG):
        words += ["-F", os.environ[CONFIG]]
    for option in _OPTIONS:
        words += ["-o", option]
    if remote.key is not None:
        words += ["-o", "IdentitiesOnly=yes", "-i", str(Path(remote.key).expanduser())]
    if remote.port is not None:
        words += ["-p", str(remote.port)]
    if remote.user is not None:
        words += ["-l", remote.user]
    return [*words, "--", remote.host, f"{_word(remote.python)} -c {shlex.quote(_BOOT)} {len(script)}"]


def _word(path: str) -> str:
    """One word for the login shell there; a leading `~/` stays the home's."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def refusal(remote: Remote, code: int, said: str) -> PrimumError:
    """What a connection that came to nothing means: `code` is ssh's or the command's, `said` the client's words."""
    host = remote.host
    if code in (126, 127) or "ommand not found" in said:
        return BadInput(
            f"{host} has no '{remote.python}' that it can run; set stack.remote.python to its Python's full path"
        )
    for pattern, kind, words in (
        (
            "no such identity|Identity file .* not accessible",
            BadInput,
            f"stack.remote.key: no such file '{remote.key}'",
        ),
        ("Could not resolve hostname", BadInput, f"stack.remote.host: nobody knows the name '{host}'"),
        (
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            BadInput,
            f"{host} shows another host key than the known one: find out why before you connect again",
        ),
        (
            "Host key verification failed|No .* host key is known",
            BadInput,
            f"{host}: its host key is not known here; connect once by hand (ssh {host}) and compare it",
        ),
        (
            "Permission denied|Too many authentication failures|error in libcrypto|invalid format",
            BadInput,
            f"{host} refused the key; set stack.remote.user and stack.remote.key to one it accepts (one with a "
            "passphrase must be in ssh-agent)",
        ),
        (
            "UNPROTECTED PRIVATE KEY FILE|bad permissions",
            BadInput,
            f"stack.remote.key: others can read it; chmod 600 {remote.key}",
        ),
        (
            "refused|timed out|No route|unreachable|[Cc]onnection (closed|reset)|Broken pipe|not responding",
            Unavailable,
            f"{host} does not answer on port {remote.port or 22}, or the connection broke; check that it is on, "
            "and run the same command again",
        ),
    ):
        if code == _SSH_FAILED and re.search(pattern, said):
            return kind(words)
    return Unavailable(
        f"{host}: the connection ended with exit code {code} before the job did, or something else answered; "
        f"run the same command again, or see what this says: ssh {host} {remote.python} --version"
    )
