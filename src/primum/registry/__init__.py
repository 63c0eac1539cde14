"""The registry: ZenML's Model Control Plane holds versions and stages, a folder per content hash the bundles.

Every change of a stage is written to the ledger first, and the stage is made what the ledger says last: a stage
that the ledger does not explain cannot come about by a crash.
"""

from __future__ import annotations

from datetime import UTC, datetime

from primum.records import RegisteredVersion
from primum.registry.bundles import fetch_bundle, keep_bundle
from primum.registry.healing import heal, require_ledger
from primum.registry.history import Event, SiteSummary, history, sites
from primum.registry.stages import promote, register, retire, rollback
from primum.registry.store import (
    ANCHOR_TAG,
    RECORD,
    anchor,
    champion,
    champions,
    count,
    nearest_sites,
    newest,
    require_site,
    serving,
    serving_anchor,
    version,
    versions,
)

__all__ = [
    "ANCHOR_TAG",
    "RECORD",
    "Event",
    "RegisteredVersion",
    "SiteSummary",
    "anchor",
    "champion",
    "champions",
    "count",
    "fetch_bundle",
    "heal",
    "history",
    "keep_bundle",
    "nearest_sites",
    "newest",
    "promote",
    "register",
    "require_ledger",
    "require_site",
    "retire",
    "rollback",
    "serving",
    "serving_anchor",
    "sites",
    "utc_now",
    "version",
    "versions",
]


def utc_now() -> datetime:
    """The present moment: the clock that commands and steps pass on."""
    return datetime.now(UTC)
