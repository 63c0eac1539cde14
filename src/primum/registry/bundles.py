"""The bundles of the registered versions: a folder per content hash."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from primum.bundle import Bundle, open_bundle
from primum.errors import Tampered
from primum.records import RegisteredVersion
from primum.workspace import Workspace


def keep_bundle(workspace: Workspace, bundle: Bundle) -> Path:
    """Copy a bundle into the registry's folder under its hash, whole or not at all."""
    target = workspace.bundles / bundle.sha256
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed call may have left
        shutil.copytree(bundle.path, temporary)
        open_bundle(temporary, bundle.sha256)
        temporary.replace(target)
    return target


def fetch_bundle(workspace: Workspace, chosen: RegisteredVersion) -> Bundle:
    """Open a version's bundle. Raises Tampered when a file is gone or does not match its hash."""
    try:
        return open_bundle(workspace.bundles / chosen.bundle_sha256, chosen.bundle_sha256)
    except Tampered as problem:
        raise Tampered(
            f"{chosen.name}: {problem}; restore that folder from a backup, or put another version into production "
            "(`primum registry rollback --to N`, `primum registry retire`)"
        ) from None
