"""Find, hash and load a base model: the embedded one, a folder, or a pinned revision of the hub."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

import primum
from primum.backends.torch.chat import Chat
from primum.config import ModelConfig
from primum.errors import BadInput, Unavailable

_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
)
# peft still asks transformers by the old name; users can do nothing about it.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
_FILES = ("*.safetensors", "config.json", *_TOKENIZER)


@dataclass(frozen=True, eq=False)
class Base:
    """A loaded base model. Its module tree is never changed: adapters and trainings work on `shared_copy`."""

    id: str
    hash: str
    model: Any
    chat: Chat
    context: int
    """Tokens."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.device
        return device

    def shared_copy(self) -> Any:
        """Return a module tree of its own over the same weight tensors (no weight is loaded or copied)."""
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        return copy.deepcopy(self.model, {id(t): t for t in tensors})


def open_base(model: ModelConfig, root: Path) -> Base:
    """Load the base of `model`. Raises BadInput in one line for anything that cannot be used."""
    transformers.utils.logging.disable_progress_bar()
    folder, base_id = locate(model, root)
    digest = hash_base(folder, base_id)
    chat = Chat(_load_tokenizer(folder, base_id), base_id)
    loaded = _load_weights(folder, base_id, model.dtype)
    context = _context(loaded.config.get_text_config(), model, base_id)
    return Base(base_id, digest, loaded, chat, context)


def locate(model: ModelConfig, root: Path) -> tuple[Path, str]:
    """Return the base's folder and its id; a hub id is fetched, or taken from the local cache."""
    if model.source == "embedded":
        return Path(primum.__file__).parent / "base_model", "primum-base"
    folder = root / model.source
    if folder.is_dir():
        return folder, folder.resolve().name
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model.source):
        raise BadInput(
            f"model.source: '{model.source}' is neither a folder nor a hub id; "
            "write `embedded`, a folder or owner/name"
        )
    if not re.fullmatch(r"[0-9a-f]{40}", model.revision or ""):
        raise BadInput(f"model.revision: the hub id '{model.source}' needs a pinned commit (40 hex digits)")
    return _fetch(model.source, str(model.revision)), f"{model.source}@{model.revision}"


def _fetch(hub_id: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(_FILES)))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise BadInput(f"model.source: the hub has no '{hub_id}' at revision {revision[:12]}") from None
    except LocalEntryNotFoundError:
        raise BadInput(
            f"model.source: '{hub_id}' is not on this machine and the hub cannot be reached; "
            f"fetch it where there is a network (hf download {hub_id} --revision {revision}) or give a folder"
        ) from None
    except OSError as error:
        raise Unavailable(f"model.source: '{hub_id}' could not be fetched ({type(error).__name__})") from None


def hash_base(folder: Path, base_id: str) -> str:
    """SHA-256 (64 hex digits) over names and contents of weights, config, tokenizer and chat template.

    Raises BadInput when weights or tokenizer are missing. Computed once per process while the files stay as
    they are.
    """
    files = sorted({p for pattern in _FILES for p in folder.glob(pattern) if p.is_file()})
    names = {p.name for p in files}
    if not (folder / "config.json").is_file() or not any(n.endswith(".safetensors") for n in names):
        raise BadInput(f"base model '{base_id}': no config.json and *.safetensors in {folder}")
    if not names & {"tokenizer.json", "tokenizer.model", "vocab.json"}:
        raise BadInput(f"base model '{base_id}': no tokenizer in {folder}; add tokenizer.json")
    return _hash_files(tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files))


@functools.cache
def _hash_files(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, size, _ in files:
        path = Path(name)
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _load_tokenizer(folder: Path, base_id: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library raises whatever its parsers raise
        raise BadInput(
            f"base model '{base_id}': its tokenizer cannot be read ({type(error).__name__})"
        ) from None


def _load_weights(folder: Path, base_id: str, dtype: str) -> Any:
    if torch.cuda.is_available():  # read when cuBLAS starts: without it no deterministic training
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a truncated file raises one of a dozen types
        raise BadInput(
            f"base model '{base_id}': its weights cannot be read ({type(error).__name__}); "
            "put the files in place again"
        ) from None
    model, info = loaded
    lacking = len(info["missing_keys"]) + len(info["mismatched_keys"])
    if lacking:  # transformers would fill them with random numbers
        raise BadInput(
            f"base model '{base_id}': {lacking} weight(s) are missing or not of the shape of config.json"
        )
    model.requires_grad_(False)
    model.eval()
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _context(config: Any, model: ModelConfig, base_id: str) -> int:
    own = getattr(config, "max_position_embeddings", None) or model.max_length
    if own is None:
        raise BadInput(f"model.max_length: '{base_id}' does not say its context; set it")
    if model.max_length is not None and model.max_length > own:
        raise BadInput(f"model.max_length: {model.max_length} tokens are more than the {own} of '{base_id}'")
    return int(model.max_length or own)
