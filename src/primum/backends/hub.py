"""A base model's files from a hub: one pinned commit, or one line that says what is missing and where to ask.

The token is that of the environment (HF_TOKEN) and of nothing else: never of a configuration, never shown.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from primum.errors import BadInput, PrimumError, Unavailable
from primum.failures import is_disk_full
from primum.records import Frozen


class Pin(Frozen):
    """The newest commit of a model, and what its card says."""

    commit: str
    """40 hex digits."""
    changed: str
    """ISO 8601 day of that commit; empty where the hub does not say."""
    licence: str
    gated: bool
    page: str


def fetch(hub_id: str, revision: str, patterns: Sequence[str], is_whole: Callable[[Path], bool]) -> Path:
    """The snapshot's folder, from the cache where it is whole: a pinned commit never changes.

    Raises BadInput for a model or commit that is not there or needs access, Unavailable where hub or disk fail.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are not for the reader
    wanted = list(patterns)
    try:
        cached = Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=wanted, local_files_only=True)
        )
        if is_whole(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    with _one_line(hub_id, revision):
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=wanted, token=_token() or False)
        )


def newest(hub_id: str) -> Pin:
    """Ask the hub for the model's newest commit. Raises as `fetch` does."""
    from huggingface_hub import HfApi, constants

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    with _one_line(hub_id, None):
        info = HfApi(token=_token() or False).model_info(hub_id)
    return Pin(
        commit=str(info.sha),
        changed=f"{info.last_modified:%Y-%m-%d}" if info.last_modified else "",
        licence=str(getattr(info.card_data, "license", None) or "not stated"),
        gated=bool(info.gated),
        page=f"{constants.ENDPOINT}/{hub_id}",
    )


def _token() -> str | None:
    return os.environ.get("HF_TOKEN") or None


@contextmanager
def _one_line(hub_id: str, revision: str | None) -> Iterator[None]:
    """Whatever the hub's client raises, as one line."""
    try:
        yield
    except Exception as error:  # of the client, of its HTTP library, of the system
        raise _explained(error, hub_id, revision) from None


def _explained(error: Exception, hub_id: str, revision: str | None) -> PrimumError:
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{hub_id}"
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(
        error.__cause__, errors.HfHubHTTPError
    ):
        error = error.__cause__  # the hub did answer
    if isinstance(error, errors.GatedRepoError):
        why = (
            "the account of HF_TOKEN has no access yet"
            if _token()
            else "it needs a token, HF_TOKEN is not set"
        )
        return BadInput(
            f"model.source: '{hub_id}' is gated: {why}; ask for access on {page}, then set HF_TOKEN in the "
            "environment to a token of that account"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return BadInput(
            f"model.revision: '{hub_id}' has no commit {(revision or '')[:12]}; `primum model pin {hub_id}` tells "
            f"the newest one, {page}/commits/main all of them"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        mend = "check the id" if _token() else "check the id; where it is private, set HF_TOKEN"
        return BadInput(f"model.source: the hub has no '{hub_id}' that you may read; {mend}")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return BadInput(
            f"model.source: '{hub_id}' is not on this machine and the hub cannot be reached; "
            f"fetch it where there is a network (hf download {hub_id} --revision {revision}) or give a folder"
        )
    if is_disk_full(error):
        return Unavailable(
            f"model.source: no space for '{hub_id}' in {constants.HF_HUB_CACHE}: free some, or let HF_HOME name a "
            "folder on a larger disk; what was fetched is kept"
        )
    return _http(error, hub_id)


def _http(error: Exception, hub_id: str) -> PrimumError:
    """What the hub answered, or that it did not."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    told = {
        401: BadInput(f"model.source: the hub does not accept HF_TOKEN for '{hub_id}'; set a valid token"),
        403: BadInput(f"model.source: HF_TOKEN may not read '{hub_id}'; give the token that permission"),
        429: Unavailable(
            f"model.source: the hub wants fewer requests for '{hub_id}'; wait, and run it again"
        ),
        451: BadInput(f"model.source: the hub does not give '{hub_id}' out; choose another model"),
    }
    code = f"{type(error).__name__}{f', HTTP {status}' if status else ''}"
    return told.get(status or 0) or Unavailable(f"model.source: '{hub_id}' could not be fetched ({code})")
