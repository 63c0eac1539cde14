"""Datasets of a hub, by id and pinned commit: fetched as files, whole, then read from this machine.

The files themselves are fetched (as those of a base model are), not what a hub makes of them: one commit is one
content, offline as online, and no library reports what is read. The token is that of the environment (HF_TOKEN).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.config import Source
from primum.errors import BadInput, Unavailable
from primum.ingest.nested import names_of, outer_names, select

CARD = "README.md"


def open_dataset(
    source: Source, root: Path, wanted: Mapping[str, str], size: int
) -> tuple[str, list[str], int, Iterator[pa.Table], tuple[str, ...]]:
    """Name, columns, number of rows, tables of `size` rows, and notes of a hub's dataset or a local folder of one.

    A ClassLabel column holds the stored integers: name those in the task. Raises BadInput for what the dataset
    lacks (revision, configuration, split) or forbids, Unavailable where the hub does not answer.
    """
    notes: tuple[str, ...] = ()
    if source.path:
        name, found = source.path, _saved(root / source.path, source)
    else:
        name = f"{source.name}@{source.revision}"
        folder = _snapshot(source, name)
        found, notes = _split(folder, source, name), (licence_words(folder, str(source.name)),)
    schema = found.features.arrow_schema
    columns = list(names_of(schema))
    outer = [column for column in outer_names(wanted, schema.names) if column in schema.names]

    def chunks() -> Iterator[pa.Table]:
        for table in found.select_columns(outer).with_format("arrow").iter(batch_size=size):
            yield select(table, list(wanted))

    return name, columns, len(found), chunks(), notes


def _saved(folder: Path, source: Source) -> Any:
    """The dataset that `save_to_disk` wrote into `folder`."""
    import datasets

    name = source.path
    try:
        found = datasets.load_from_disk(str(folder))
    except FileNotFoundError:
        raise BadInput(f"{name}: no such dataset; give a folder that `save_to_disk` wrote") from None
    except Exception as error:
        raise BadInput(f"{name}: not a dataset that can be read ({type(error).__name__})") from None
    if not isinstance(found, dict):
        return found
    if source.split not in found:
        raise BadInput(f"{name}: no split '{source.split}'; source.split can be {', '.join(found)}")
    return found[source.split]


def _snapshot(source: Source, name: str) -> Path:
    """The folder of all the files of the dataset's commit."""
    import huggingface_hub as hub
    from huggingface_hub import constants, errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are not for the reader
    if not re.fullmatch(r"[0-9a-f]{40}", source.revision or ""):
        raise BadInput(
            f"{name}: source.revision must be a pinned commit (40 hex digits); branches and tags move"
        )
    token = os.environ.get("HF_TOKEN") or False
    try:
        found = hub.snapshot_download(
            str(source.name), repo_type="dataset", revision=source.revision, token=token
        )
    except errors.GatedRepoError:
        page = f"{constants.ENDPOINT}/datasets/{source.name}"
        why = (
            "the account of HF_TOKEN has no access yet"
            if token
            else "it needs a token, and HF_TOKEN is not set"
        )
        raise BadInput(
            f"{name}: is gated: {why}; ask for access on {page}, then set HF_TOKEN to a token of that account"
        ) from None
    except errors.RevisionNotFoundError:
        raise BadInput(f"{name}: the dataset has no such revision; copy a commit of its history") from None
    except errors.RepositoryNotFoundError:
        mend = "check the name" if token else "check the name; where it is private, set HF_TOKEN"
        raise BadInput(f"{name}: the hub has no such dataset; {mend}") from None
    except (
        errors.LocalEntryNotFoundError
    ):  # a copy with a file missing is none: the hub's list of files is kept
        offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
        fetch = f"hf download {source.name} --repo-type dataset --revision {source.revision}"
        raise Unavailable(
            f"{name}: is not, or not wholly, on this machine and {offline}; "
            f"fetch it where there is a network ({fetch})"
        ) from None
    except Exception as error:
        raise Unavailable(f"{name}: could not be fetched ({type(error).__name__}); try again") from None
    return Path(found)


def _split(folder: Path, source: Source, name: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    for library in ("datasets", "fsspec"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        configs = datasets.get_dataset_config_names(str(folder))
        if source.config is None and len(configs) > 1:
            raise BadInput(
                f"{name}: has {len(configs)} configurations; set source.config to {_one_of(configs)}"
            )
        if source.config is not None and source.config not in configs:
            raise BadInput(
                f"{name}: no configuration '{source.config}'; source.config can be {_one_of(configs)}"
            )
        builder = datasets.load_dataset_builder(str(folder), source.config)
        splits = list(builder.config.data_files or {})
        if source.split not in splits:
            raise BadInput(f"{name}: no split '{source.split}'; source.split can be {_one_of(splits)}")
        builder.download_and_prepare()
        return builder.as_dataset(split=source.split)
    except (BadInput, Unavailable):
        raise
    except OSError as error:
        raise Unavailable(f"{name}: cannot be unpacked ({type(error).__name__}); is the disk full?") from None
    except Exception as error:
        kind = type(error).__name__
        raise BadInput(
            f"{name}: not a dataset that can be read ({kind}); it needs plain data files"
        ) from None


def _one_of(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


def licence_words(folder: Path, name: str) -> str:
    """What the card in `folder` says of the licence of dataset `name`, as a note."""
    from huggingface_hub import DatasetCard

    try:
        named = DatasetCard.load(folder / CARD).data.get("license")
    except Exception:  # there is no card, or none that can be read
        named = None
    words = ", ".join(map(str, named)) if isinstance(named, list) else named
    if not words:
        return f"licence of {name}: its dataset card names none; find out before you train on it"
    return f"licence of {name}: {words} (its dataset card)"


def known_licence(source: Source) -> str | None:
    """`licence_words` of a hub's dataset whose card lies on this machine, else None. Asks no network."""
    if source.kind != "huggingface" or source.path:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(str(source.name), CARD, revision=source.revision, repo_type="dataset")
    return licence_words(Path(found).parent, str(source.name)) if isinstance(found, str) else None
