"""A model hub on loopback: the part of the protocol that fetching a model speaks, and its ways to refuse."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "1" * 40
GONE = "2" * 40
FRIEND = "of-an-account-with-access"
STRANGER = "of-another-account"


@dataclass
class Hub:
    """What the hub serves: models by id, each with files by name."""

    url: str = ""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    """Gated models whose file list everybody may see; only the files themselves need access."""
    answers: dict[str, int] = field(default_factory=dict)
    """Models that are answered with this status, whatever is asked."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Authorization header of each request."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""

    class Handler(_Handler):
        serves = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serves: Hub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        hub, token = self.serves, self.headers.get("Authorization")
        hub.asked.append((self.path, token))
        tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(\w+)(\?.*)?", self.path)
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(\?.*)?", self.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(\w+)/([^/?]+)(\?.*)?", self.path)
        asked = tree or info or file
        name = asked[1] if asked else ""
        allowed = token == f"Bearer {FRIEND}" or name not in hub.gated or (tree and name in hub.listed)
        if name in hub.answers:
            self._send(hub.answers[name], b"", body)
        elif name not in hub.models:
            self._send(404, b"", body, {"X-Error-Code": "RepoNotFound"})
        elif (tree or file) and not allowed:
            self._send(403 if token else 401, b"", body, {"X-Error-Code": "GatedRepo"})
        elif asked is info:
            card = {"sha": COMMIT, "id": name, "modelId": name, "gated": name in hub.gated and "manual"}
            self._json(
                {**card, "lastModified": "2024-09-01T12:00:00.000Z", "cardData": {"license": "mit"}}, body
            )
        elif asked and asked[2] != COMMIT:
            self._send(404, b"", body, {"X-Error-Code": "RevisionNotFound"})
        elif tree:
            self._json([_entry(n, content) for n, content in hub.models[name].items()], body)
        elif file and file[3] in hub.models[name]:
            content = hub.models[name][file[3]]
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, content, body, headers)
        else:
            self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})

    def _json(self, value: Any, body: bool) -> None:
        self._send(200, json.dumps(value).encode(), body, {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha256(content).hexdigest()}
