"""From `terraform output -json` to a stack's file: infra/ names its outputs like the keys they fill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.config import StackConfig, validate
from primum.errors import BadInput

OUTPUT = "stack"
"""The output that holds keys of a stack; of its `cloud`, and others such as dvc_remote_url."""


def fill(given: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The stack's mapping `given` with what Terraform made laid over it. Raises BadInput with file and mend."""
    made = read_outputs(file)
    cloud = {**(given.get("cloud") or {}), **_present(made.pop("cloud", {}))}
    if made_by := set(made) - set(StackConfig.model_fields):
        raise BadInput(
            f"{file}: output `{OUTPUT}` has the unknown key `{min(made_by)}`; use infra/ of this version"
        )
    filled = {**given, **_present(made), "cloud": cloud}
    validate(StackConfig, filled, str(file))
    return filled


def read_outputs(file: Path) -> dict[str, Any]:
    """The value of the output `stack`."""
    how = "write it with: terraform -chdir=infra/aws output -json > FILE"
    try:
        outputs = json.loads(file.read_text(encoding="utf-8"))
        made = outputs[OUTPUT]["value"]
    except FileNotFoundError:
        raise BadInput(f"{file}: no such file; {how}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise BadInput(f"{file}: not the JSON of Terraform's outputs; {how}") from None
    except (KeyError, TypeError):
        raise BadInput(f"{file}: has no output `{OUTPUT}`; {how}, after `terraform apply`") from None
    if not isinstance(made, dict) or not isinstance(made.get("cloud", {}), dict):
        raise BadInput(f"{file}: the output `{OUTPUT}` is not a mapping; {how}")
    return dict(made)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Terraform writes null and empty lists for what was not asked for."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}
