"""How Primum's values are stored in ZenML's artifact store: by content, without a preview of any row."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.io import fileio
from zenml.materializers.base_materializer import BaseMaterializer

from primum.bundle import Bundle
from primum.records import Frozen, Sweep


class ValueMaterializer(BaseMaterializer):
    """A frozen value as one JSON file. Equal values have equal content hashes, so that caching goes by value."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Frozen,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> Any:
        """Read the value back and check it against its type."""
        with fileio.open(f"{self.uri}/value.json", "r") as file:
            return data_type.model_validate_json(file.read())

    def save(self, data: Any) -> None:
        """Write the value."""
        with fileio.open(f"{self.uri}/value.json", "w") as file:
            file.write(data.model_dump_json())

    def save_visualizations(self, data: Any) -> dict[str, Any]:
        """Show nothing: predictions are rows of patients."""
        return {}

    def compute_content_hash(self, data: Any) -> str | None:
        """The value's own hash."""
        return str(data.content_hash())


class SweepMaterializer(ValueMaterializer):
    """A sweep: each candidate's folder is copied beside the value, under its place in the sweep."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Sweep,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: Any) -> None:
        """Write the value and copy its folders' files."""
        super().save(data)
        for place, candidate in enumerate(data.candidates):
            _store(Path(candidate.path), f"{self.uri}/{place}")

    def load(self, data_type: type[Any]) -> Any:
        """Read the value; each candidate's `path` is the stored folder, fetched first from a remote store."""
        value = super().load(data_type)
        stored = [
            candidate.model_copy(update={"path": str(_fetch(f"{self.uri}/{place}"))})
            for place, candidate in enumerate(value.candidates)
        ]
        return value.model_copy(update={"candidates": tuple(stored)})

    def compute_content_hash(self, data: Any) -> str | None:
        """The hash over the adapters' hashes; where they lie and how long they took do not matter."""
        return hashlib.sha256("\n".join(c.adapter_sha256 for c in data.candidates).encode()).hexdigest()


def _store(folder: Path, uri: str) -> None:
    fileio.makedirs(uri)
    for file in sorted(folder.iterdir()):
        fileio.copy(str(file), f"{uri}/{file.name}")


def _fetch(uri: str) -> Path:
    if Path(uri).is_dir():
        return Path(uri)
    folder = Path(tempfile.mkdtemp(prefix="primum-"))
    for name in fileio.listdir(uri):
        fileio.copy(f"{uri}/{name}", str(folder / str(name)))
    return folder


class BundleMaterializer(ValueMaterializer):
    """A bundle: its folder is copied beside the value."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Bundle,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: Any) -> None:
        """Write the value and copy its folder's files."""
        super().save(data)
        _store(Path(data.path), f"{self.uri}/files")

    def load(self, data_type: type[Any]) -> Any:
        """Read the value; its `path` is the stored folder, fetched first where the store is remote."""
        value = super().load(data_type)
        return value.model_copy(update={"path": str(_fetch(f"{self.uri}/files"))})

    def compute_content_hash(self, data: Any) -> str | None:
        """The hash of what the folder holds; where it lies does not matter."""
        return str(data.sha256)
