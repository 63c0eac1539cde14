"""The `.dvc` folder of a workspace, and the settings that DVC runs with in it."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from primum.config import StackConfig
from primum.split_folder import disk

ANSWER_SECONDS = 10.0
"""How long an S3-compatible endpoint may take to answer at all."""
FRESH = {
    "config": "[core]\n    analytics = false\n    autostage = false\n    remote = local\n"
    "['remote \"local\"']\n    url = ../.primum/dvc-remote\n",
    ".gitignore": "/config.local\n/tmp\n/cache\n",
}
"""What a new `.dvc` folder holds."""


def ensure_repo(root: Path) -> None:
    """Give the folder `root` a DVC repository where it has none, whether git is there or not."""
    folder = root / ".dvc"
    if (folder / "config").is_file():
        return
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (".gitignore", "config"):  # the config last: it says that the rest is there
            draft = folder / f"{name}.{os.getpid()}"
            draft.write_text(FRESH[name], encoding="utf-8")
            draft.replace(folder / name)


def overrides(root: Path, stack: StackConfig) -> dict[str, Any]:
    """DVC config for this call: all state inside the workspace, git only where it is, the stack's remote."""
    in_git = any((folder / ".git").exists() for folder in (root, *root.parents))
    core: dict[str, Any] = {"analytics": False, "autostage": False, "no_scm": not in_git}
    core["site_cache_dir"] = os.environ.get("DVC_SITE_CACHE_DIR", str(root / ".dvc" / "tmp" / "site"))
    remote: dict[str, Any] = {"endpointurl": stack.dvc_endpoint_url} if stack.dvc_endpoint_url else {}
    url = stack.dvc_remote_url
    if url and "://" not in url:
        remote["url"] = str((root / url).resolve())
    elif url:
        timeouts = {"connect_timeout": ANSWER_SECONDS, "read_timeout": 60} if url.startswith("s3:") else {}
        remote |= {"url": url, **timeouts}
    return {"core": core, "remote": {stack.dvc_remote: remote} if remote else {}}


def knock(endpoint: str | None) -> None:
    """Find a dead endpoint in seconds: S3 clients retry a silent one for many minutes. Any answer will do."""
    if endpoint is None or not endpoint.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(endpoint, timeout=ANSWER_SECONDS).close()  # noqa: S310 - http(s), checked above
    except urllib.error.HTTPError:
        return
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # the client has certificates of its own
            raise
