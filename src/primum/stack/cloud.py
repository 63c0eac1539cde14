"""Cloud stacks in ZenML's store: registered from a stack's `cloud` section, made active for a run that wants one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from uuid import UUID

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.models import ComponentResponse, StackResponse

from primum.config import StackConfig
from primum.config.cloud import CloudConfig
from primum.errors import BadInput, Unavailable
from primum.stack.cloud_parts import Part, parts
from primum.workspace import find_workspace

PREFIX = "primum-"
LEDGER = "PRIMUM_LEDGER_URL"
_CONNECTOR_TYPES = {"aws": "aws", "gcp": "gcp"}


def register(stack: StackConfig, ledger_url: str | None) -> list[str]:
    """Register connector, secret, components and stack, or bring them up to date. Returns what was done, in words.

    Credentials and the ledger's address go into ZenML's secret store and nowhere else. Raises Unavailable where the
    store is a file of this machine, which no cloud reaches, and BadInput where the ledger is one.
    """
    cloud = _cloud(stack)
    ledger_url = require_ledger(ledger_url)
    require_server()
    name, said = PREFIX + stack.name, []
    connector = _connector(name, cloud)
    said.append(
        f"credentials: service connector {name} in ZenML's secret store"
        if connector
        else "credentials: none stored; who runs a pipeline needs their own, and its machines have their role"
    )
    secret = _ledger_secret(name, ledger_url)
    found = [(part, _component(name, part, connector)) for part in parts(stack.name, cloud)]
    said += [f"{part.kind.replace('_', ' ')}: {part.flavor}" for part, _ in found]
    _stack(name, {StackComponentType(part.kind): [made.id] for part, made in found}, secret)
    return [*said, f"stack: {name}"]


def select(stack: StackConfig) -> None:
    """Make the ZenML stack that a run needs the active one: the cloud's, or again one of this machine.

    Raises Unavailable where the cloud's was never registered.
    """
    client = Client()
    os.environ.setdefault(
        "SAGEMAKER_USER_CONFIG_OVERRIDE", str(find_workspace().project / "infra/aws/sagemaker.yaml")
    )
    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    if stack.cloud is None:
        if client.active_stack_model.name.startswith(PREFIX):
            client.activate_stack("default")
        return
    require_server()
    try:
        wanted = client.get_stack(PREFIX + stack.name, allow_name_prefix_match=False)
    except KeyError:
        raise Unavailable(
            f"the stack '{stack.name}' is not registered with ZenML yet; run: primum stack setup {stack.name}"
        ) from None
    client.activate_stack(wanted.id)


def require_server() -> None:
    """Raise Unavailable where ZenML's store is a file here: a cloud's machines could not report to it."""
    if Client().zen_store.is_local_store():
        raise Unavailable(
            "ZenML's store is a file of this machine, and a cloud's machines cannot reach it; connect to a ZenML "
            "server first (ZENML_STORE_URL and ZENML_STORE_API_KEY, or `zenml login URL`; see docs/cloud.md)"
        )


def require_ledger(ledger_url: str | None) -> str:
    """The ledger's address. Raises BadInput where it is a file: machines that share no disk count looks in it."""
    if not ledger_url:
        raise BadInput(
            f"{LEDGER} is not set: in a cloud the ledger must be a database that this machine and the cloud's reach; "
            "see docs/gate.md"
        )
    return ledger_url


def _cloud(stack: StackConfig) -> CloudConfig:
    if stack.cloud is None or stack.cloud.provider == "skypilot":
        raise BadInput(f"the stack '{stack.name}' has nothing to register with ZenML")
    return stack.cloud


def _connector(name: str, cloud: CloudConfig) -> UUID | None:
    """A service connector of this machine's lasting keys. Temporary ones would run out in the store: None."""
    keys = _lasting_keys(cloud)
    if keys is None:
        return None
    client = Client()
    configuration = {**keys, "region": cloud.region or ""}
    try:
        there = client.get_service_connector(name, allow_name_prefix_match=False)
    except KeyError:
        made, _ = client.create_service_connector(
            name, "aws", auth_method="session-token", configuration=configuration, verify=False
        )
        return UUID(str(getattr(made, "id", None)))
    client.update_service_connector(there.id, configuration=configuration, verify=False)
    return there.id


def _lasting_keys(cloud: CloudConfig) -> dict[str, str] | None:
    if cloud.provider != "aws":
        return None
    import boto3

    credentials = boto3.Session(region_name=cloud.region).get_credentials()
    if credentials is None or credentials.token:
        return None
    frozen = credentials.get_frozen_credentials()
    return {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}


def _ledger_secret(name: str, ledger_url: str) -> str:
    """The secret whose entries every step of the stack has as environment."""
    client, values = Client(), {LEDGER: ledger_url}
    try:
        secret = client.get_secret(name, allow_partial_name_match=False, allow_partial_id_match=False)
    except KeyError:
        return str(client.create_secret(name, values, private=False).id)
    return str(client.update_secret(secret.id, add_or_update_values=values).id)


def _component(name: str, part: Part, connector: UUID | None) -> ComponentResponse:
    """The component, made or brought up to date, and linked to the connector where it takes one."""
    client, kind = Client(), StackComponentType(part.kind)
    configuration = {key: value for key, value in part.configuration.items() if value not in (None, "")}
    try:
        there = client.get_stack_component(kind, name, allow_name_prefix_match=False)
    except KeyError:
        there = client.create_stack_component(
            name, part.flavor, kind, configuration, environment=part.environment or None
        )
    else:
        old = {key: None for key in there.configuration if key not in configuration}
        there = client.update_stack_component(
            there.id, kind, configuration={**old, **configuration}, environment=part.environment or None
        )
    if connector is not None and part.resource is not None:
        there = client.update_stack_component(
            there.id, kind, connector_id=connector, connector_resource_id=part.resource or None
        )
    return there


def _stack(name: str, components: Mapping[StackComponentType, Sequence[UUID]], secret: str) -> StackResponse:
    client = Client()
    try:
        there = client.get_stack(name, allow_name_prefix_match=False)
    except KeyError:
        return client.create_stack(name, components, secrets=[secret])
    return client.update_stack(there.id, component_updates=components, add_secrets=[secret])
