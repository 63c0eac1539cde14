"""The cloud that a stack runs on: what `primum stack setup` registers, and what a run there costs an hour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from primum.records import Frozen

Provider = Literal["aws", "gcp", "kubernetes", "skypilot"]

_NEEDED: dict[str, tuple[str, ...]] = {
    "aws": ("region", "artifacts", "registry", "role", "gpu", "cpu"),
    "gcp": ("project", "region", "artifacts", "registry", "role", "gpu", "cpu"),
    "kubernetes": ("context", "artifacts", "registry", "role", "volume_claim"),
    "skypilot": ("infra", "artifacts", "gpu"),
}
"""What a provider cannot do without; a shipped stack leaves open what differs between hospitals."""

_EVERYWHERE = ("provider", "artifacts", "gpu", "gpus", "price_per_hour", "disk_gb", "hours")
_OWN: dict[str, tuple[str, ...]] = {
    "aws": (
        "region", "registry", "image", "role", "scheduler_role", "kms_key", "subnets", "security_groups", "cpu",
        "spot",
    ),
    "gcp": ("project", "region", "registry", "image", "role", "kms_key", "network", "accelerator", "cpu"),
    "kubernetes": (
        "context", "namespace", "registry", "image", "role", "volume_claim", "secret", "node_selector", "tolerations",
    ),
    "skypilot": ("infra", "spot"),
}  # fmt: skip
_SCHEMES = {"aws": ("s3://",), "gcp": ("gs://",)}


class Toleration(Frozen):
    """A taint of GPU nodes that pods of device steps put up with."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class CloudConfig(Frozen):
    """A cloud account that runs pipelines. `primum stack setup` reads it; `terraform output` can fill it."""

    provider: Provider
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    """aws and gcp: where everything lies and runs."""
    project: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]+$")
    """gcp: the project's id."""
    context: str | None = None
    """kubernetes: the context of your kubeconfig."""
    namespace: str = Field(default="primum", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    """kubernetes: where the pods run."""
    infra: str | None = None
    """skypilot: where it may look for machines, as SkyPilot writes it: aws, gcp/us-central1, k8s/my-context."""
    artifacts: str | None = None
    """s3://bucket or gs://bucket, and a folder in it if you like: artifacts, the home folder of runs, splits."""
    registry: str | None = Field(default=None, pattern=r"^[\w.:/-]+$")
    """The container registry's address without https:// (aws: without the repository)."""
    image: str | None = Field(default=None, pattern=r"^[\w.:/@-]+$")
    """The image that steps run in, best by digest (...@sha256:...). Without: ZenML builds it with your Docker."""
    role: str | None = None
    """What steps run as: an IAM role's ARN (aws), a service account's address (gcp) or name (kubernetes)."""
    scheduler_role: str | None = None
    """aws: the ARN of the role that EventBridge starts scheduled pipelines with; schedules need it."""
    kms_key: str | None = None
    """aws and gcp: the key that disks and results are encrypted with, in full (an ARN, projects/...)."""
    subnets: tuple[str, ...] = ()
    """aws: the private subnets that jobs run in; needs security_groups."""
    security_groups: tuple[str, ...] = ()
    network: str | None = None
    """gcp: the VPC network that jobs are peered with, in full."""
    volume_claim: str | None = None
    """kubernetes: the claim (ReadWriteMany) that holds the home folder of runs."""
    secret: str | None = None
    """kubernetes: a secret whose entries become the pods' environment (keys of the object store)."""
    node_selector: dict[str, str] = {}
    """kubernetes: labels of the GPU nodes."""
    tolerations: tuple[Toleration, ...] = ()
    """kubernetes: taints of the GPU nodes."""
    gpu: str | None = None
    """Machine of the steps that load the base: an instance type (aws), a machine type (gcp), accelerators as SkyPilot
    writes them; kubernetes: the price list's name of the node, for the estimate only."""
    gpus: int = Field(default=1, ge=1, le=16)
    """GPUs of that machine that a step uses."""
    accelerator: str | None = None
    """gcp: the GPU's type as Vertex names it, such as NVIDIA_TESLA_A100."""
    cpu: str | None = None
    """Machine of all other steps."""
    spot: bool = False
    """aws and skypilot: take spare capacity, which may be taken away again; a run continues from checkpoints."""
    disk_gb: int = Field(default=100, ge=10, le=16384)
    hours: float = Field(default=24, gt=0, le=120)
    """A step that takes longer is ended: the limit of what a mistake costs."""
    price_per_hour: float | None = Field(default=None, gt=0)
    """What an hour of the GPU machine costs you, in US dollars; by default the range of configs/prices.yaml."""

    @field_validator("artifacts")
    @classmethod
    def _address(cls, artifacts: str | None, info: ValidationInfo) -> str | None:
        provider = info.data.get("provider")
        schemes = _SCHEMES.get(str(provider), ("s3://", "gs://"))
        if artifacts is not None and not re.fullmatch(
            rf"(?:{'|'.join(schemes)})[a-z0-9][a-z0-9._-]+(?:/[\w.=-]+)*/?", artifacts
        ):
            raise ValueError(f"write it as {' or '.join(f'{s}bucket/folder' for s in schemes)}")
        return artifacts.rstrip("/") if artifacts else None

    @model_validator(mode="after")
    def _of_its_provider(self) -> Self:
        known = {*_EVERYWHERE, *_OWN[self.provider]}
        given = {key for key, field in type(self).model_fields.items() if getattr(self, key) != field.default}
        for key in sorted(given - known):
            theirs = " and ".join(provider for provider, keys in _OWN.items() if key in keys)
            raise ValueError(f"`{key}` is for {theirs}, not for {self.provider}; remove it")
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups go together: name both or neither")
        return self

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys that the provider needs and that are not there yet."""
        return tuple(key for key in _NEEDED[self.provider] if getattr(self, key) is None)

    @property
    def bucket(self) -> str:
        """The name of the bucket that holds the artifacts."""
        return (self.artifacts or "").partition("://")[2].partition("/")[0]


class Price(Frozen):
    """What an hour of a machine costs, in US dollars: the cheapest and the dearest that is usual."""

    low: float = Field(ge=0)
    high: float = Field(gt=0)
    teraflops: float | None = Field(default=None, gt=0)
    """Of one of its GPUs: the data sheet's dense half-precision peak. None: no GPU."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high; exchange them")
        return self


class PriceList(Frozen):
    """configs/prices.yaml."""

    as_of: str = Field(pattern=r"^\d{4}-\d{2}$")
    source: str
    machines: dict[str, Price]


def load_prices(configs: Path) -> PriceList:
    """The price list of this project. Raises BadInput with file and key."""
    from primum.config.loading import read_yaml, validate

    file = configs / "prices.yaml"
    data: dict[str, Any] = read_yaml(file)
    return validate(PriceList, data, str(file))
