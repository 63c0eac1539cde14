"""A hub on this machine: the part of the hub's protocol that fetching a pinned dataset needs."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COMMIT = "a" * 40
TOKEN = "hf_test"  # noqa: S105 - of this server only
CARD = "---\nlicense: cc-by-4.0\n{configs}---\n# A tiny set\n"


def parquet(rows: dict[str, list[Any]]) -> bytes:
    """The rows as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(rows), buffer)
    return buffer.getvalue()


def rows(count: int, start: int = 0) -> dict[str, list[Any]]:
    """Questions with their options inside a struct and their contexts in a list."""
    ids = list(range(start, start + count))
    return {
        "id": ids,
        "question": [f"What is finding number {i}?" for i in ids],
        "options": [{"A": f"first {i}", "B": f"second {i}"} for i in ids],
        "contexts": [[f"one {i}", f"two {i}"] for i in ids],
        "answer": ["A" if i % 2 else "B" for i in ids],
    }


DATASETS: dict[str, dict[str, bytes]] = {
    "clinic/qa": {
        "README.md": CARD.format(configs="").encode(),
        "data/train-00000-of-00002.parquet": parquet(rows(6)),
        "data/train-00001-of-00002.parquet": parquet(rows(4, 6)),
        "data/test-00000-of-00001.parquet": parquet(rows(5, 100)),
    },
    "clinic/many": {
        "README.md": CARD.format(
            configs="configs:\n"
            "- config_name: small\n  data_files: [{split: train, path: small/*}]\n"
            "- config_name: large\n  data_files: [{split: train, path: large/*}]\n"
        ).encode(),
        "small/train.parquet": parquet(rows(3)),
        "large/train.parquet": parquet(rows(8)),
    },
    "clinic/gated": {"README.md": CARD.format(configs="").encode(), "train.parquet": parquet(rows(4))},
    "clinic/bare": {"train.parquet": parquet(rows(4))},
}


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, code: int, why: str) -> None:
        self._answer(code, b"{}", X_Error_Code=why, X_Error_Message=why, Content_Type="application/json")

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            self._describe("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "datasets" and "resolve" in parts:
            self._send("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _describe(self, name: str, rest: list[str]) -> None:
        if name not in DATASETS:
            return self._refuse(401, "RepoNotFound")
        if rest[:1] in (["revision"], ["tree"]) and rest[1] != COMMIT:
            return self._refuse(404, "RevisionNotFound")
        files = DATASETS[name]
        if rest[:1] == ["tree"]:
            found: Any = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}  # noqa: S324
                for path, content in files.items()
            ]
        else:
            found = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": path} for path in files]}
        return self._answer(200, json.dumps(found).encode(), Content_Type="application/json")

    def _send(self, name: str, revision: str, path: str) -> None:
        if name == "clinic/gated":
            given = self.headers.get("Authorization", "")
            if given != f"Bearer {TOKEN}":
                return self._refuse(403 if given else 401, "GatedRepo")
        content = DATASETS.get(name, {}).get(path)
        if content is None or revision != COMMIT:
            return self._refuse(404, "EntryNotFound")
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self._answer(200, content, ETag=etag, X_Repo_Commit=COMMIT, Accept_Ranges="bytes")


@contextmanager
def hub() -> Iterator[str]:
    """The address of a hub that serves DATASETS while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
