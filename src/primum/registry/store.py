"""What ZenML's Model Control Plane holds of the registry: one model per (task, site), its versions and stages.

This is the only file that changes a stage. The store may lie behind a ZenML server, so everything goes through
its client; each question is one filtered query, whatever the number of versions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from primum.errors import BadInput, Tampered
from primum.records import ALL_SITES, RegisteredVersion

if TYPE_CHECKING:
    from zenml.models import ModelVersionResponse

RECORD = "primum"
"""The metadata key under which a model version carries its RegisteredVersion."""
ANCHOR_TAG = "anchor"
_PAGE = 1000


def versions(task: str | None = None, site: str | None = None) -> list[RegisteredVersion]:
    """All versions, newest first within a task and site."""
    model = None if task is None else model_name(task, site) if site is not None else f"startswith:{task}."
    kept = (v for v in _read(model) if task in (None, v.task) and site in (None, v.site))
    return sorted(kept, key=lambda v: (v.task, v.site, -v.number))


def newest(task: str, site: str, count: int) -> list[RegisteredVersion]:
    """The last `count` versions there, newest first."""
    return _of_site(task, site, count, sort_by="desc:number")


def numbered(task: str, site: str, number: int) -> RegisteredVersion | None:
    """The version there of that number."""
    return next(iter(_of_site(task, site, 1, number=number)), None)


def count(task: str | None = None) -> int:
    """How many versions there are."""
    model = {} if task is None else {"model": f"startswith:{task}."}
    return int(_client().list_model_versions(size=1, **model).total)


def counts(task: str) -> dict[str, int]:
    """Model name -> number of its versions, for every site of the task."""
    found: dict[str, int] = {}
    for version in _pages(model=f"startswith:{task}.", hydrate=False):
        found[version.model.name] = found.get(version.model.name, 0) + 1
    return found


def version(task: str, site: str, number: int) -> RegisteredVersion:
    """One version. Raises BadInput with the known numbers, or with like names where nothing is known of the site."""
    found = numbered(task, site, number)
    if found is not None:
        return found
    require_site(task, site)
    known = [str(v.number) for v in newest(task, site, 10)]
    numbers = ", ".join(known) or "none yet"
    more = " ..." if len(known) == 10 else ""
    raise BadInput(
        f"{task}@{site} has no version {number}; known: {numbers}{more} (see `primum registry list`)"
    )


def champion(task: str, site: str) -> RegisteredVersion | None:
    """The version in production there, if any. A site's own: see `serving` for the one that answers."""
    return _first_of(task, (site,), stage="production")


def serving(task: str, site: str, fallback: str = ALL_SITES) -> RegisteredVersion | None:
    """The version that answers for the site: its own in production, else that of `fallback`, if any."""
    return _first_of(task, (site, fallback), stage="production")


def anchor(task: str, site: str) -> RegisteredVersion | None:
    """The first version ever promoted there, if any."""
    return _first_of(task, (site,), tags=[ANCHOR_TAG])


def serving_anchor(task: str, site: str, fallback: str = ALL_SITES) -> RegisteredVersion | None:
    """The site's own anchor, else that of `fallback`, if any."""
    return _first_of(task, (site, fallback), tags=[ANCHOR_TAG])


def champions(task: str) -> dict[str, RegisteredVersion]:
    """Site -> the version in production there, for every site of the task that has one."""
    return {v.site: v for v in _read(f"startswith:{task}.", stage="production") if v.task == task}


def anchors(task: str) -> dict[str, RegisteredVersion]:
    """Site -> the first version ever promoted there."""
    return {v.site: v for v in _read(f"startswith:{task}.", tags=[ANCHOR_TAG]) if v.task == task}


def require_site(task: str, site: str) -> None:
    """Raises BadInput with the nearest names where the task has versions, and none at that site."""
    if newest(task, site, 1):
        return
    near = nearest_sites(task, site)
    if near or count(task):
        said = f"; did you mean {' or '.join(near)}?" if near else ";"
        raise BadInput(f"no version of {task}@{site}{said} see `primum registry sites --task {task}`")


def nearest_sites(task: str, site: str) -> list[str]:
    """Sites of the task whose names are like that one; itself where it is one."""
    asked, start = model_name(task, site), f"{task}."
    page = _client().list_models(name=f"startswith:{start}", size=_PAGE)
    names = get_close_matches(asked, [model.name for model in page.items], n=3, cutoff=0.8)
    first = (next(iter(_read(name, limit=1)), None) for name in names)
    return [version.site for version in first if version is not None and version.task == task]


def of_decision(task: str, site: str, entry: str) -> RegisteredVersion | None:
    """The version that a decision made, known by the hash of its ledger entry."""
    return next(iter(_of_site(task, site, 1, name=_version_name(entry))), None)


def add(version: RegisteredVersion) -> RegisteredVersion:
    """Make a version; its number is given here. One decision has one version, however often it is asked for.

    The version's name says whose it is, so that one which a killed call left without its record is taken up.
    """
    from zenml import log_metadata
    from zenml.exceptions import EntityExistsError

    name, own = model_name(version.task, version.site), _version_name(version.ledger_entry)
    if not _client().list_models(name=name).total:
        try:
            what = f"Adapters for {version.task} at {version.site}"
            _client().create_model(name, description=what, tags=["primum"])
        except EntityExistsError:
            pass  # another process was faster
    try:
        made = _client().create_model_version(name, name=own, tags=[version.outcome])
    except EntityExistsError:
        made = _client().get_model_version(name, own)
    version = version.model_copy(update={"number": made.number})
    if RECORD not in made.run_metadata:
        log_metadata(metadata={RECORD: version.model_dump_json()}, model_version_id=made.id)
    return version


def to_production(chosen: RegisteredVersion) -> RegisteredVersion:
    """Make it the version in production; the one that was there is archived in the same transaction."""
    if anchor(chosen.task, chosen.site) is None:
        # Before the stage: a crash in between must not let a later version become the anchor.
        _update(chosen, add_tags=[ANCHOR_TAG])
    return _update(chosen, stage="production")


def to_archive(chosen: RegisteredVersion) -> RegisteredVersion:
    """Take it out of production."""
    return _update(chosen, stage="archived")


def model_name(task: str, site: str) -> str:
    """How ZenML names the model of a task and site."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", site)
    mark = "" if slug == site else f"-{hashlib.sha256(site.encode()).hexdigest()[:6]}"
    return f"{task}.{slug}{mark}"


def _version_name(entry: str) -> str:
    return f"decision-{entry}"


def _of_site(task: str, site: str, limit: int, **filters: Any) -> list[RegisteredVersion]:
    found = _read(model_name(task, site), limit=limit, **filters)
    return [v for v in found if (v.task, v.site) == (task, site)]


def _read(model: str | None, limit: int | None = None, **filters: Any) -> Iterator[RegisteredVersion]:
    of = {} if model is None else {"model": model}
    for response in _pages(limit, hydrate=True, **of, **filters):
        record = _record(response)
        if record is not None:
            yield record


def _pages(limit: int | None = None, **filters: Any) -> Iterator[ModelVersionResponse]:
    page = 1
    while True:
        found = _client().list_model_versions(page=page, size=limit or _PAGE, **filters)
        yield from found.items
        if limit is not None or page >= found.total_pages:
            return
        page += 1


def _record(found: ModelVersionResponse) -> RegisteredVersion | None:
    text = found.run_metadata.get(RECORD)
    if text is None:
        return None  # made by hand in ZenML, not by Primum
    stored = RegisteredVersion.model_validate_json(str(text))
    tags = {tag.name for tag in found.tags}
    return stored.model_copy(update={"stage": found.stage, "anchor": ANCHOR_TAG in tags})


def _first_of(task: str, sites: tuple[str, ...], **filters: Any) -> RegisteredVersion | None:
    """The version that fits at the first of the sites where one does."""
    names = json.dumps(sorted({model_name(task, site) for site in sites}))
    fits = {v.site: v for v in _read(f"oneof:{names}", limit=len(sites), **filters) if v.task == task}
    return next((fits[site] for site in sites if site in fits), None)


def _update(chosen: RegisteredVersion, **changes: Any) -> RegisteredVersion:
    name = model_name(chosen.task, chosen.site)
    found = _client().get_model_version(name, chosen.number, hydrate=False)
    changed = _record(_client().update_model_version(found.model.id, found.id, force=True, **changes))
    if changed is None:
        raise Tampered(f"{chosen.name}: its record in ZenML's store is gone; restore the store from a backup")
    return changed


def _client() -> Any:
    from zenml.client import Client

    return Client()
