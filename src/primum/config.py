"""The configuration: frozen models, every default stated once, one loader.

A run is a task, a model, a gate and a stack, each named (a file under configs/) or written out. Files hold
differences from the defaults below only. Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from primum.backends.base import Recipe
from primum.errors import BadInput
from primum.records import Frozen

Metric = Literal["macro_f1", "accuracy", "balanced_accuracy"]
T = TypeVar("T", bound=BaseModel)
Name = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)


class Source(Frozen):
    """Where the records come from."""

    kind: Literal["csv", "parquet", "jsonl", "sklearn", "huggingface"] = "csv"
    path: str | None = None
    """File or folder, relative to the project root (csv, parquet, jsonl; huggingface: a local dataset folder)."""
    name: str | None = None
    """sklearn: the bundled set, such as `breast_cancer`. huggingface: the hub id."""
    revision: str | None = None
    """huggingface: the pinned commit; required for a hub id."""
    split: str = "train"
    """huggingface: which split of the dataset."""
    sample: int | None = Field(default=None, gt=0)
    """Keep a seeded random sample of this many records."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in ("csv", "parquet", "jsonl") and not self.path:
            raise ValueError(f"a {self.kind} source needs `path`")
        if self.kind == "sklearn" and not self.name:
            raise ValueError("an sklearn source needs `name`, such as breast_cancer")
        if self.kind == "huggingface" and not self.path and not (self.name and self.revision):
            raise ValueError("a huggingface source needs `path`, or `name` with a pinned `revision`")
        return self


class Keys(Frozen):
    """Which columns identify a record."""

    record_id: str | None = None
    """Unique per record. Without it the id is a hash of the row's content."""
    patient_id: str | None = None
    """The independent unit: all records of a patient stay in one part. Without it each record is a patient."""
    site: str | None = None
    """Hospital or region. Without it all records belong to the site `all`."""
    time: str | None = None
    """When the record was made (any ISO 8601 form, also YYYY-MM)."""


class Feature(Frozen):
    """One column that the model may see. A bare string in a task file is a number column of that name."""

    column: str
    name: str = ""
    """What the prompt calls it; the column's name by default."""
    kind: Literal["number", "category", "text"] = "number"
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    values: dict[str, str] = {}
    """Category: allowed raw value -> the word the prompt uses. Empty: any value is allowed."""
    missing: tuple[float | str, ...] = ()
    """Raw values that are missing values in disguise (0 for cholesterol, 9 for unknown ...)."""
    required: bool = False
    """Refuse records where it is not recorded."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"column": data, "name": data}
        if isinstance(data, dict):
            data = {**data, "name": data.get("name") or data.get("column", "")}
            values = data.get("values")
            if isinstance(values, list):
                values = {v: v for v in values}
            if isinstance(values, dict) and values:
                data["values"] = {str(k): str(v) for k, v in values.items()}
                data.setdefault("kind", "category")
        return data


class Label(Frozen):
    """What is predicted."""

    column: str
    classes: dict[str, tuple[str, ...]]
    """Class name -> the raw values that mean it. The order is the order of the labels everywhere."""
    positive: str | None = None
    """Binary tasks: the class whose recall is called recall; the last class by default."""

    @field_validator("classes", mode="before")
    @classmethod
    def _raw_values(cls, data: Any) -> Any:
        if isinstance(data, list):
            return {str(v): (str(v),) for v in data}
        if not isinstance(data, dict):
            return data
        return {
            str(k): tuple(map(str, v)) if isinstance(v, list | tuple) else (str(v),) for k, v in data.items()
        }

    @model_validator(mode="after")
    def _sound(self) -> Self:
        raw = [value for values in self.classes.values() for value in values]
        if len(self.classes) < 2:
            raise ValueError("a task needs at least two classes")
        if len(set(raw)) != len(raw):
            raise ValueError("one raw label value belongs to two classes")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive: '{self.positive}' is not one of {list(self.classes)}")
        return self


class PromptConfig(Frozen):
    """How a record is put to the model."""

    question: str
    verbalizers: dict[str, str] = {}
    """Class -> the words the model answers with; the class's own name by default."""
    truncate: bool = False
    """Cut free text that does not fit the model's context (counted and reported) instead of refusing."""


class SplitConfig(Frozen):
    """How records are divided. The parts are shares of patients."""

    train: float = Field(default=0.5, gt=0, lt=1)
    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.35, gt=0, lt=1)
    min_per_class: int = Field(default=5, ge=1)
    """Records of each class that every part must hold."""
    min_test: int = Field(default=30, ge=10)
    """Patients that the holdout must hold."""
    near_duplicate_ngram: int = Field(default=8, ge=2)
    """Words per n-gram when free texts are compared."""
    near_duplicate_overlap: float = Field(default=0.5, gt=0, le=1)
    """Two texts that share at least this part of the shorter one's n-grams stay on one side."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self


class TaskConfig(Frozen):
    """What is asked of a record."""

    name: str = Name
    description: str = ""
    source: Source
    keys: Keys = Keys()
    label: Label
    features: tuple[Feature, ...] = Field(min_length=1)
    prompt: PromptConfig
    primary_metric: Metric = "macro_f1"
    effect_of_interest: float = Field(default=0.05, gt=0, lt=1)
    """The smallest difference in the primary metric that matters to the clinic."""
    decision_thresholds: tuple[float, ...] = ()
    """Binary tasks: probabilities of the positive class from which the clinic would act; the gate's net benefit."""
    latency_p95_ms: float | None = Field(default=None, gt=0)
    """Budget in milliseconds a record, at the 95th percentile."""
    split: SplitConfig = SplitConfig()

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in their order."""
        return tuple(self.label.classes)

    @property
    def positive(self) -> str | None:
        """The positive class of a binary task, else None."""
        return (self.label.positive or self.labels[-1]) if len(self.labels) == 2 else None

    @property
    def verbalizers(self) -> dict[str, str]:
        """Class -> words, in the order of the labels."""
        return {label: self.prompt.verbalizers.get(label, label) for label in self.labels}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        unknown = set(self.prompt.verbalizers) - set(self.labels)
        if unknown:
            raise ValueError(f"prompt.verbalizers: {sorted(unknown)} are not classes of the label")
        words = [w.casefold().strip() for w in self.verbalizers.values()]
        if len(set(words)) != len(words) or "" in words:
            raise ValueError("prompt.verbalizers: every class needs words of its own")
        columns = [f.column for f in self.features]
        if len(set(columns)) != len(columns):
            raise ValueError("features: a column stands twice")
        if self.label.column in columns:
            raise ValueError(f"features: '{self.label.column}' is the label; using it is leakage")
        return self


class ModelConfig(Frozen):
    """The frozen base model and how adapters on it are trained."""

    name: str = Name
    source: str = "embedded"
    """`embedded` (primum-base), a folder, or a hub id."""
    revision: str | None = None
    """The pinned commit of a hub id."""
    numbers: Literal["standardised", "raw"] = "raw"
    """How the prompt writes numbers for this base."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_length: int | None = None
    """Context in tokens; the model's own by default."""
    recipe: Recipe = Recipe()


class CheckConfig(Frozen):
    """A check of the gate."""

    required: bool = True


class MarginCheck(CheckConfig):
    """A non-inferiority check."""

    margin: float = Field(default=0.02, ge=0, lt=1)
    superiority: bool = False
    """Demand better, not merely not worse."""


class BalanceCheck(CheckConfig):
    """|recall - specificity|, or the range of per-class recall."""

    max_gap: float = Field(default=0.25, gt=0, le=1)
    min_per_class: int = Field(default=10, ge=1)
    """Classes with fewer holdout records say nothing about balance."""


class ParsedCheck(CheckConfig):
    """Share of answers that could be read."""

    min_share: float = Field(default=0.99, gt=0, le=1)


class CalibrationCheck(CheckConfig):
    """Do the probabilities mean what they say?"""

    min_observed_expected: float = Field(default=0.8, gt=0, le=1)
    """Observed over expected events, least and most."""
    max_observed_expected: float = Field(default=1.25, ge=1)
    brier_margin: float = Field(default=0.01, ge=0, lt=1)
    """How much worse than the best classical model's the Brier score may be."""
    min_events: int = Field(default=10, ge=1)
    """Holdout records with and without the event that are needed to judge it."""


class SubgroupCheck(MarginCheck):
    """Non-inferiority in every subgroup that is large enough."""

    margin: float = Field(default=0.05, ge=0, lt=1)
    min_events: int = Field(default=20, ge=1)
    """Records of each class that a subgroup needs; smaller ones are listed as not assessed."""


class GateConfig(Frozen):
    """What a candidate must show. Hashed into the evidence."""

    name: str = "default"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Per holdout, spread evenly over the planned looks."""
    planned_looks: int = Field(default=4, ge=1)
    resamples: int = Field(default=5000, ge=100)
    power: float = Field(default=0.8, gt=0.5, lt=1)
    beats_base: CheckConfig = CheckConfig()
    beats_majority: CheckConfig = CheckConfig()
    not_worse_than_classical: MarginCheck = MarginCheck()
    not_worse_than_champion: MarginCheck = MarginCheck()
    not_worse_than_anchor: MarginCheck = MarginCheck()
    balance: BalanceCheck = BalanceCheck()
    parsed: ParsedCheck = ParsedCheck()
    leakage: CheckConfig = CheckConfig()
    calibration: CalibrationCheck = CalibrationCheck()
    net_benefit: CheckConfig = CheckConfig()
    subgroups: SubgroupCheck = SubgroupCheck()
    latency: CheckConfig = CheckConfig()


class StackConfig(Frozen):
    """Where it runs and where data goes."""

    name: str = "local"
    backend: Literal["torch", "fake"] = "torch"
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; all cores by default."""
    dvc_remote: str = "local"
    """The DVC remote (of .dvc/config) that splits are pushed to."""
    dvc_remote_url: str | None = None
    """Overrides the remote's address: a folder or s3://bucket/prefix."""
    dvc_endpoint_url: str | None = None
    """S3-compatible services: their endpoint. Credentials come from the environment only."""


class RunConfig(Frozen):
    """One run of the finetune pipeline."""

    task: TaskConfig
    model: ModelConfig
    gate: GateConfig = GateConfig()
    stack: StackConfig = StackConfig()
    seed: int = Field(default=42, ge=0)


SECTIONS = {"task": "tasks", "model": "models", "gate": "gates", "stack": "stacks"}
"""Key of RunConfig -> folder under configs/."""

DEFAULTS: dict[str, str] = {
    "task": "breast_cancer",
    "model": "primum-base",
    "gate": "default",
    "stack": "local",
}


def load_run(
    configs: Path, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> RunConfig:
    """Resolve a run: defaults, then `file`, then `overrides` (dotted keys), each validated.

    A section may be a name (the file of that name under configs/) or a mapping; a mapping with only
    differences is laid over the section's default file. Raises BadInput with file and key.
    """
    data: dict[str, Any] = dict(DEFAULTS)
    if file is not None:
        data = _merge(data, read_yaml(file))
    for key in [k for k in (overrides or {}) if "." not in k]:
        data[key] = (overrides or {})[key]
    for section, folder in SECTIONS.items():
        data[section] = _section(configs / folder, section, data.get(section))
    for key, value in (overrides or {}).items():
        if "." in key:
            _set(data, key, value)
    return validate(RunConfig, data, str(file) if file else "configuration")


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Read `--set a.b=c` pairs; the value is YAML. Raises BadInput for a pair without '='."""
    result: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise BadInput(f"--set {pair}: write it as key=value, for example --set model.recipe.epochs=2")
        try:
            result[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"--set {key.strip()}: the value is not valid YAML; quote it") from None
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping. Raises BadInput with file and line."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path}: cannot be read ({type(error).__name__}); it must be a UTF-8 text file"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadInput(f"{path}, line {line}: not valid YAML ({error.problem})") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: must hold `key: value` lines, not {type(data).__name__}")
    return data


def validate(model: type[T], data: Mapping[str, Any], where: str) -> T:
    """Build `model` from `data`; the first problem becomes one line with its key and, for a typo, the mend."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{where}: {_explain(model, first)}") from None


def _explain(model: type[BaseModel], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.0)
        return (
            f"unknown key `{key}`; the nearest known one is `{near[0]}`" if near else f"unknown key `{key}`"
        )
    if error["type"] == "missing":
        return f"`{key}` is missing; add it"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"`{key}`: {message}" if key else message


def _known_keys(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        fields = getattr(current, "model_fields", {})
        if part not in fields:
            return []
        annotation = fields[part].annotation
        options = [annotation, *get_args(annotation)]
        current = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
    return list(getattr(current, "model_fields", {}))


def _section(folder: Path, section: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return _named(folder, section, value)
    if isinstance(value, dict):
        name = value.get("name")
        if section == "task" and name is not None and not (folder / f"{name}.yaml").exists():
            return value  # a whole new task, written out in the run file
        return _merge(_named(folder, section, name or DEFAULTS[section]), value)
    raise BadInput(f"`{section}`: must be a name or a mapping, not {type(value).__name__}")


def _named(folder: Path, section: str, name: str) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"unknown {section} '{name}'{hint} Known: {', '.join(known)} (files of {folder})")
    data = read_yaml(path)
    data.setdefault("name", name)
    return data


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _set(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = data
    for part in parents:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise BadInput(f"--set {dotted}: `{part}` holds no keys of its own")
    node[last] = value
