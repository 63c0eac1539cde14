"""Where the records come from: a file, a bundled set, a hub's dataset, or a mix of those."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from primum.records import ALL_SITES, Frozen, Part

FILES = ("csv", "parquet", "jsonl", "json", "cohort")


class Source(Frozen):
    """Where the records come from."""

    kind: Literal["csv", "parquet", "jsonl", "json", "sklearn", "huggingface", "mix", "cohort"] = "csv"
    """json: one array of objects, or one object of objects (their keys are the column `id`). mix: several sources.
    cohort: synthetic records with the margins of a YAML file (`primum.cohorts`).
    A nested value of jsonl, json, parquet or huggingface is the column `outer.inner`, a list of texts one text."""
    path: str | None = None
    """File or folder, relative to the project root (all but sklearn and mix; huggingface: a local dataset folder)."""
    name: str | None = None
    """sklearn: the bundled set, such as `breast_cancer`. huggingface: the hub id."""
    revision: str | None = None
    """huggingface: the pinned commit; required for a hub id."""
    config: str | None = None
    """huggingface: which configuration (subset) of the dataset, where it has several."""
    split: str = "train"
    """huggingface: which split of the dataset."""
    parts: tuple[SourcePart, ...] = ()
    """mix: the sources that are read as one."""
    sample: int | None = Field(default=None, gt=0)
    """Keep a seeded random sample of this many records."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in FILES and not self.path:
            raise ValueError(f"a {self.kind} source needs `path`")
        if self.kind == "sklearn" and not self.name:
            raise ValueError("an sklearn source needs `name`, such as breast_cancer")
        if self.kind == "huggingface" and not self.path and not (self.name and self.revision):
            raise ValueError("a huggingface source needs `path`, or `name` with a pinned `revision`")
        if (self.kind == "mix") != bool(self.parts):
            raise ValueError("`parts` belong to a source of kind mix, which needs them")
        self._check_names()
        self._check_weights()
        return self

    def _check_names(self) -> None:
        kept = [part.part for part in self.parts]
        if len({(part.name, part.part) for part in self.parts}) < len(kept):
            raise ValueError("parts: two have the same name; name each, or say which `part` of one it is")
        if any(kept) and not {"train", "test"} <= set(kept):
            raise ValueError("parts: an official split needs at least one `part: train` and one `part: test`")
        if any(kept) and None in kept:
            raise ValueError("parts: give `part` (train, validation, test) to each of them or to none")

    def _check_weights(self) -> None:
        """Benchmarks are judged whole, so only what is learned from, or divided later, is drawn by weight."""
        drawn = [part.weight for part in self.parts if part.part in (None, "train")]
        weights = [weight for weight in drawn if weight is not None]
        if len(weights) < sum(part.weight is not None for part in self.parts):
            raise ValueError("parts: `part: validation` and `part: test` are kept whole and take no weight")
        if weights and len(weights) < len(drawn):
            raise ValueError("parts: give a weight to each part that is learned from, or to none")
        if weights and abs(sum(weights) - 1) > 1e-9:
            raise ValueError(f"parts: the weights must sum to 1, not {sum(weights):.10g}")


class SourcePart(Frozen):
    """One source of a mix. Record and patient ids get its name in front, so that no two parts share one."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    """The dataset's name: the records' site where the task has no site column. Its official parts share it."""
    source: Source
    weight: float | None = Field(default=None, gt=0, le=1)
    """Its share of the records that are drawn; no record is drawn twice. Without weights all are kept."""
    part: Part | None = None
    """Which part of the dataset's own split this is (with `split.official`)."""
    map: dict[str, str] = {}
    """Column that the task names -> column of this source."""
    constants: dict[str, str] = {}
    """Column that the task names -> the value that it has in every record of this source; '' is not recorded."""
    labels: dict[str, str] = {}
    """Label value of this source -> what the task calls it."""

    @field_validator("constants", "labels", mode="before")
    @classmethod
    def _texts(cls, data: object) -> object:
        return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.name == ALL_SITES:
            raise ValueError(f"name: '{ALL_SITES}' means every site; choose another name")
        if self.source.kind == "mix" or self.source.sample is not None:
            raise ValueError(
                "source: a part is no mix and takes no `sample`; give weights, or sample the mix"
            )
        if both := sorted(set(self.map) & set(self.constants)):
            raise ValueError(f"'{both[0]}' stands both in `map` and in `constants`; keep one")
        return self

    @property
    def prefix(self) -> str:
        """What its record ids begin with: `medqa/`, with an official split `medqa/train/`."""
        return f"{self.name}/" if self.part is None else f"{self.name}/{self.part}/"


Source.model_rebuild()
