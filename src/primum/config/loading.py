"""The one loader: files and overrides in, a validated RunConfig out; every refusal names key and mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from primum.config.run import DEFAULTS, SECTIONS, RunConfig
from primum.errors import BadInput

T = TypeVar("T", bound=BaseModel)


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
        if section == "task" and name is None and {"source", "label"} & set(value):
            raise BadInput("`task.name` is missing; a task with a source of its own needs a name of its own")
        if section == "task" and name is not None and name not in {p.stem for p in folder.glob("*.yaml")}:
            return value  # a whole new task, written out in the run file
        return _merge(_named(folder, section, name or DEFAULTS[section]), value)
    raise BadInput(f"`{section}`: must be a name or a mapping, not {type(value).__name__}")


def _named(folder: Path, section: str, name: str) -> dict[str, Any]:
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"unknown {section} '{name}'{hint} Known: {', '.join(known)} (files of {folder})")
    data = read_yaml(folder / f"{name}.yaml")
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
