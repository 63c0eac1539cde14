"""May this machine use the cloud? Credentials, region, bucket, registry and roles, each refused in one line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from primum.config.cloud import CloudConfig
from primum.errors import BadInput, Unavailable

NEEDED = {
    "aws": ("boto3", "sagemaker", "aws_profile_manager"),
    "gcp": ("google.auth", "google.cloud.storage", "gcsfs", "kfp"),
    "kubernetes": ("kubernetes",),
}
"""Modules of a provider's extra."""

NO_AWS = (
    "no AWS credentials found (environment AWS_ACCESS_KEY_ID or AWS_PROFILE, ~/.aws, the machine's role); "
    "run `aws configure sso`, or set AWS_PROFILE, and try again"
)
NO_GCP = (
    "no Google Cloud credentials found (GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default, the machine's "
    "account); run `gcloud auth application-default login` and try again"
)
NO_KUBERNETES = (
    "no Kubernetes credentials found (KUBECONFIG, ~/.kube/config); get the kubeconfig from whoever runs the cluster, "
    "such as with `aws eks update-kubeconfig` or `gcloud container clusters get-credentials`, and try again"
)
_EXPIRED = (
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
)
_DENIED = ("403", "AccessDenied", "AccessDeniedException", "Forbidden")


def check_access(cloud: CloudConfig) -> str:
    """How this machine reaches the cloud, in words. Raises Unavailable or BadInput: what is absent, and the mend."""
    checks: dict[str, Callable[[CloudConfig], str]] = {
        "aws": _aws, "gcp": _gcp, "kubernetes": _kubernetes, "skypilot": _skypilot,
    }  # fmt: skip
    return checks[cloud.provider](cloud)


def require_libraries(cloud: CloudConfig) -> None:
    """Raise Unavailable with the install command where a library of the provider is missing."""
    for module in NEEDED.get(cloud.provider, ()):
        if not _installed(module):
            raise Unavailable(
                f"{cloud.provider}: the library {module} is not installed; "
                f"run: pip install -e '.[{cloud.provider}]' (see infra/README.md)"
            )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would lie in
        return False


def _aws(cloud: CloudConfig) -> str:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(region_name=cloud.region)
        credentials = session.get_credentials()
    except BotoCoreError as error:  # a profile that is not there, a sign-on that ran out
        raise Unavailable(f"AWS credentials cannot be read: {error}; mend ~/.aws, or AWS_PROFILE") from None
    if credentials is None:
        raise Unavailable(NO_AWS)
    _known(cloud.region or "", session.get_available_regions("sagemaker"), "aws: SageMaker has no region")
    with _answering("sts"):
        _client(session, "sts").get_caller_identity()
    _check_bucket(session, cloud)
    _check_registry(session, cloud)
    for role in filter(None, (cloud.role, cloud.scheduler_role)):
        _check_role(session, role)
    return f"AWS credentials from {credentials.method}, region {cloud.region}, bucket {cloud.bucket}"


def _client(session: Any, service: str) -> Any:
    from botocore.config import Config

    patience = Config(
        connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2, "mode": "standard"}
    )
    return session.client(service, config=patience)


@contextmanager
def _answering(service: str) -> Iterator[None]:
    """AWS' errors as one line; what a caller knows better it catches inside."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        if code in _EXPIRED:
            raise Unavailable(
                f"AWS refused the credentials ({code}): they ran out or are wrong; run `aws sso login` or "
                "`aws configure`, and try again"
            ) from None
        raise Unavailable(
            f"AWS {service} refused {error.operation_name} ({code}): the credentials lack that permission; "
            "ask for the policy that infra/aws makes (output submit_policy)"
        ) from None
    except BotoCoreError as error:
        raise Unavailable(
            f"AWS {service} does not answer ({type(error).__name__}); is the network there?"
        ) from None


def _check_bucket(session: Any, cloud: CloudConfig) -> None:
    from botocore.exceptions import ClientError

    with _answering("s3"):
        try:
            found = _client(session, "s3").head_bucket(Bucket=cloud.bucket)
        except ClientError as error:
            code = str(error.response["Error"].get("Code", ""))
            if code in ("404", "NoSuchBucket"):
                raise BadInput(
                    f"cloud.artifacts: there is no bucket '{cloud.bucket}'; make it (infra/aws) or correct the name"
                ) from None
            if code in _DENIED:
                raise Unavailable(
                    f"no permission for the bucket '{cloud.bucket}', or it belongs to another account; "
                    "ask for the policy that infra/aws makes (output submit_policy)"
                ) from None
            raise
    lies_in = found.get("BucketRegion")
    if cloud.region and lies_in and lies_in != cloud.region:
        raise BadInput(f"cloud.region: the bucket '{cloud.bucket}' is in {lies_in}; correct region or bucket")


def _check_registry(session: Any, cloud: CloudConfig) -> None:
    """The address must be that of this region; an image's repository must be there."""
    from botocore.exceptions import ClientError

    registry = cloud.registry or ""
    if not re.fullmatch(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?", registry):
        raise BadInput(
            "cloud.registry: write ECR's address as ACCOUNT.dkr.ecr.REGION.amazonaws.com, without repository"
        )
    if f".ecr.{cloud.region}." not in registry:
        raise BadInput(
            f"cloud.registry: it is in another region than cloud.region ({cloud.region}); correct one of them"
        )
    if not (cloud.image or "").startswith(f"{registry}/"):
        return
    repository = re.split(r"[:@]", (cloud.image or "").removeprefix(f"{registry}/"))[0]
    with _answering("ecr"):
        try:
            _client(session, "ecr").describe_repositories(repositoryNames=[repository])
        except ClientError as error:
            if error.response["Error"].get("Code") != "RepositoryNotFoundException":
                raise
            raise BadInput(
                f"cloud.image: the registry has no repository '{repository}'; make it (infra/aws) or correct it"
            ) from None


def _check_role(session: Any, arn: str) -> None:
    from botocore.exceptions import ClientError

    found = re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:role/(?:[\w+=,.@/-]+/)?([\w+=,.@-]+)", arn)
    if not found:
        raise BadInput(f"cloud.role: '{arn}' is no role's ARN (arn:aws:iam::ACCOUNT:role/NAME)")
    with _answering("iam"):
        try:
            _client(session, "iam").get_role(RoleName=found[1])
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in _DENIED:
                return  # who may start jobs need not be allowed to look at roles
            if code != "NoSuchEntity":
                raise
            raise BadInput(
                f"cloud.role: there is no role '{found[1]}'; make it with infra/aws, or correct it"
            ) from None


def _gcp(cloud: CloudConfig) -> str:
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named and not Path(named).is_file():
        raise Unavailable(
            "GOOGLE_APPLICATION_CREDENTIALS names a file that is not there; correct or unset it"
        )
    default = Path(os.environ.get("CLOUDSDK_CONFIG", "~/.config/gcloud")).expanduser()
    there = named or (default / "application_default_credentials.json").is_file()
    if not _installed("google.auth"):
        if not there:
            raise Unavailable(NO_GCP)
        require_libraries(cloud)
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, _ = google.auth.default()
    except DefaultCredentialsError:
        raise Unavailable(NO_GCP) from None
    require_libraries(cloud)
    _check_gcs(cloud, credentials)
    where = "the file named by GOOGLE_APPLICATION_CREDENTIALS" if named else "gcloud or the machine's account"
    return f"Google Cloud credentials from {where}, region {cloud.region}, bucket {cloud.bucket}"


def _check_gcs(cloud: CloudConfig, credentials: Any) -> None:
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    try:
        storage.Client(cloud.project, credentials).get_bucket(cloud.bucket, timeout=15, retry=None)
    except NotFound:
        raise BadInput(
            f"cloud.artifacts: there is no bucket '{cloud.bucket}'; make it (infra/gcp) or correct the name"
        ) from None
    except Forbidden:
        raise Unavailable(
            f"no permission for the bucket '{cloud.bucket}'; ask for what infra/gcp grants"
        ) from None
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise Unavailable(
            f"Google Cloud Storage refused ({type(error).__name__}); log in again: {NO_GCP}"
        ) from None


def _kubernetes(cloud: CloudConfig) -> str:
    files = [
        Path(f).expanduser() for f in os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep) if f
    ]
    contexts: list[str] = []
    for file in filter(Path.is_file, files):
        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            contexts += [str(entry["name"]) for entry in found.get("contexts") or []]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            raise BadInput(f"{file}: not a kubeconfig; mend it, or point KUBECONFIG to another") from None
    if not contexts:
        raise Unavailable(NO_KUBERNETES)
    _known(cloud.context or "", contexts, "cloud.context: the kubeconfig has no context")
    return f"Kubernetes context {cloud.context}, namespace {cloud.namespace}"


def _skypilot(cloud: CloudConfig) -> str:
    """SkyPilot looks after the machines itself; the bucket must be reachable from here."""
    kind = "aws" if (cloud.artifacts or "").startswith("s3://") else "gcp"
    if kind == "aws":
        import boto3

        session = boto3.Session()
        if session.get_credentials() is None:
            raise Unavailable(NO_AWS)
        with _answering("sts"):
            _client(session, "sts").get_caller_identity()
        _check_bucket(session, cloud)
    else:
        _gcp(cloud)
    return f"SkyPilot on {cloud.infra}, bucket {cloud.bucket}"


def _known(value: str, known: list[str], what: str) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)
        raise BadInput(f"{what} '{value}'; " + (f"did you mean '{near[0]}'?" if near else "name one"))
