"""The configuration reference, generated from the models: `make docs` writes docs/configuration.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from primum.config import DEFAULTS, SECTIONS, RunConfig

HEAD = """\
# Configuration reference

Generated from `src/primum/config/` by `make docs`; do not edit.

A run is a **task**, a **model**, a **gate** and a **stack**. Each is a name - the file of that name under
`configs/` - or a mapping; files hold differences from the defaults below only. `python run.py --pipeline finetune
--dry-run` prints what a run resolves to. Order: defaults, `--config FILE`, `--task/--model/--seed`, `--set a.b=c`.
"""


def reference() -> str:
    """The whole reference as Markdown."""
    sections = "\n".join(
        f"- `{key}`: files of `configs/{folder}/`, by default `{DEFAULTS[key]}`"
        for key, folder in SECTIONS.items()
    )
    return "\n".join([HEAD, sections, "", *_tables(RunConfig, "", set())])


def _tables(model: type[BaseModel], prefix: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    seen.add(model)
    nested: list[tuple[str, type[BaseModel]]] = []
    yield f"## {f'`{prefix}`' if prefix else 'Run'}: {_words(model.__doc__)}"
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        yield f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {_words(field.description)} |"
        nested += [(key, inner) for inner in _models(field.annotation) if inner not in seen]
    yield ""
    for key, inner in nested:
        if inner not in seen:
            yield from _tables(inner, key, seen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    options = (annotation, *get_args(annotation))
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]


def _type(annotation: Any) -> str:
    text = (
        annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    )
    text = re.sub(r"\b(typing|primum\.\w+(\.\w+)?)\.", "", text).replace("|", "or")
    return text.replace("Literal[", "one of [")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "**required**"
    return "see below" if isinstance(value, BaseModel) else f"`{value}`"


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
