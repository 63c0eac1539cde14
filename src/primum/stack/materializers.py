"""How Primum's values are stored in ZenML's artifact store: by content, without a preview of any row."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.io import fileio
from zenml.materializers.base_materializer import BaseMaterializer

from primum.bundle import Bundle
from primum.records import Candidate, Frozen


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


class FolderMaterializer(ValueMaterializer):
    """A value that points to a folder (`path`): the folder is copied beside it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Candidate, Bundle)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: Any) -> None:
        """Write the value and copy its folder's files."""
        super().save(data)
        fileio.makedirs(f"{self.uri}/files")
        for file in sorted(Path(data.path).iterdir()):
            fileio.copy(str(file), f"{self.uri}/files/{file.name}")

    def load(self, data_type: type[Any]) -> Any:
        """Read the value; its `path` is the stored folder, fetched first where the store is remote."""
        value = super().load(data_type)
        stored = Path(self.uri) / "files"
        if not stored.is_dir():
            stored = Path(tempfile.mkdtemp(prefix="primum-"))
            for name in fileio.listdir(f"{self.uri}/files"):
                fileio.copy(f"{self.uri}/files/{name}", str(stored / str(name)))
        return value.model_copy(update={"path": str(stored)})

    def compute_content_hash(self, data: Any) -> str | None:
        """The hash of what the folder holds; where it lies and how long it took do not matter."""
        return str(data.sha256) if isinstance(data, Bundle) else str(data.adapter_sha256)
