"""Credentials, region, bucket, registry, role, context: absent or wrong, each in one line. AWS is moto's server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from primum.config.cloud import CloudConfig
from primum.errors import BadInput, PrimumError, Unavailable
from primum.stack import cloud_access
from primum.stack.cloud_access import check_access, require_libraries

REGION = "eu-central-1"
SETTINGS = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL",
            "AWS_DEFAULT_REGION", "GOOGLE_APPLICATION_CREDENTIALS", "KUBECONFIG", "CLOUDSDK_CONFIG")  # fmt: skip


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any credentials: nothing of this one is looked at."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.fixture
def account(moto: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keys of moto's account, a bucket, a repository, a role; the keys of a complete stack."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    s3, ecr, iam = (boto3.client(name, region_name=REGION) for name in ("s3", "ecr", "iam"))
    known = {r["repositoryName"] for r in ecr.describe_repositories()["repositories"]}
    if "primum" not in known:
        s3.create_bucket(Bucket="records", CreateBucketConfiguration={"LocationConstraint": REGION})
        ecr.create_repository(repositoryName="primum")
        iam.create_role(RoleName="jobs", AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    role = iam.get_role(RoleName="jobs")["Role"]["Arn"]
    registry = f"{role.split(':')[4]}.dkr.ecr.{REGION}.amazonaws.com"
    return {
        "provider": "aws", "region": REGION, "artifacts": "s3://records/primum", "registry": registry, "role": role,
        "image": f"{registry}/primum:1", "gpu": "ml.g5.xlarge", "cpu": "ml.m5.xlarge",
    }  # fmt: skip


def aws(account: dict[str, Any], **changes: Any) -> CloudConfig:
    return CloudConfig.model_validate({**account, **changes})


def refusal(cloud: CloudConfig, kind: type[PrimumError]) -> str:
    with pytest.raises(kind) as problem:
        check_access(cloud)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_a_complete_account_is_reached(account: dict[str, Any]) -> None:
    assert check_access(aws(account)) == f"AWS credentials from env, region {REGION}, bucket records"


def test_no_credentials(bare: Path) -> None:
    known = {"gpu": "x", "cpu": "x", "registry": "x", "role": "x"}
    aws_cloud = CloudConfig(provider="aws", region=REGION, artifacts="s3://records", **known)
    assert "run `aws configure sso`" in refusal(aws_cloud, Unavailable)
    gcp = CloudConfig(
        provider="gcp", region="europe-west4", project="project-1", artifacts="gs://records", **known
    )
    assert "run `gcloud auth application-default login`" in refusal(gcp, Unavailable)
    pods = CloudConfig(provider="kubernetes", context="gpu", artifacts="s3://records")
    assert "no Kubernetes credentials found (KUBECONFIG, ~/.kube/config)" in refusal(pods, Unavailable)
    sky = CloudConfig(provider="skypilot", infra="aws", artifacts="s3://records", gpu="L4:1")
    assert "no AWS credentials found" in refusal(sky, Unavailable)


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "hospital")
    cloud = CloudConfig(provider="aws", region=REGION, artifacts="s3://records")
    assert "profile (hospital) could not be found; mend ~/.aws, or AWS_PROFILE" in refusal(cloud, Unavailable)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"region": "eu-centrl-1"}, "SageMaker has no region 'eu-centrl-1'; did you mean 'eu-central-1'?"),
        ({"artifacts": "s3://absent/x"}, "there is no bucket 'absent'; make it (infra/aws)"),
        ({"region": "eu-west-1"}, "the bucket 'records' is in eu-central-1; correct region or bucket"),
        (
            {"registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
            "it is in another region than cloud.region (eu-central-1)",
        ),
        ({"registry": "registry.example"}, "write ECR's address as ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
        ({"role": "jobs"}, "'jobs' is no role's ARN"),
        ({"scheduler_role": "arn:aws:iam::123456789012:role/none"}, "there is no role 'none'"),
    ],
)
def test_what_is_not_there(account: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    assert why in refusal(aws(account, **changes), BadInput)


def test_an_image_of_a_repository_that_is_not_there(account: dict[str, Any]) -> None:
    image = f"{account['registry']}/other@sha256:{'0' * 64}"
    assert "the registry has no repository 'other'" in refusal(aws(account, image=image), BadInput)
    assert check_access(aws(account, image="docker.example/primum:1"))  # another registry: not looked at


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with one status; AWS' query services with their error document."""

    status, body = 403, b""

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[str, type[Refusing]]]:
    class Answers(Refusing):
        pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_of_somebody_else(
    account: dict[str, Any], refusing: tuple[str, type[Refusing]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", refusing[0])
    assert "no permission for the bucket 'records'" in refusal(aws(account), Unavailable)


def test_a_bucket_in_another_region(account: dict[str, Any]) -> None:
    import boto3

    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="elsewhere")
    why = refusal(aws(account, artifacts="s3://elsewhere"), BadInput)
    assert why == "cloud.region: the bucket 'elsewhere' is in us-east-1; correct region or bucket"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("ExpiredToken", "AWS refused the credentials (ExpiredToken)"),
        (
            "AccessDenied",
            "AWS sts refused GetCallerIdentity (AccessDenied): the credentials lack that permission",
        ),
    ],
)
def test_credentials_that_ran_out(
    account: dict[str, Any],
    refusing: tuple[str, type[Refusing]],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    why: str,
) -> None:
    url, answers = refusing
    answers.body = (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>".encode()
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    assert why in refusal(aws(account), Unavailable)


def test_who_may_not_look_at_roles_may_still_use_them(
    account: dict[str, Any], refusing: tuple[str, type[Refusing]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = refusing
    answers.body = (
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>m</Message></Error></ErrorResponse>"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", url)
    assert check_access(aws(account)).startswith("AWS credentials")


def test_an_endpoint_that_does_not_answer(account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert "AWS sts does not answer (EndpointConnectionError)" in refusal(aws(account), Unavailable)


def test_kubernetes_contexts(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = bare / "first", bare / "second"
    first.write_text("contexts:\n- name: training\n")
    second.write_text("contexts:\n- name: gpu-cluster\n")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}:{bare / 'absent'}")
    good = CloudConfig(provider="kubernetes", context="gpu-cluster")
    assert check_access(good) == "Kubernetes context gpu-cluster, namespace primum"
    typo = CloudConfig(provider="kubernetes", context="gpu-clustr")
    assert "no context 'gpu-clustr'; did you mean 'gpu-cluster'?" in refusal(typo, BadInput)
    first.write_text("contexts: 3")
    assert "not a kubeconfig" in refusal(good, BadInput)


def test_google_credentials_named_but_absent_and_a_missing_library(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = CloudConfig(provider="gcp", region="europe-west4", project="project-1", artifacts="gs://records")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(bare / "absent.json"))
    assert "names a file that is not there" in refusal(cloud, Unavailable)
    (bare / "absent.json").write_text("{}")
    monkeypatch.setattr(cloud_access, "_installed", lambda module: False)
    assert "run: pip install -e '.[gcp]'" in refusal(cloud, Unavailable)


def test_a_missing_library_comes_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_access, "_installed", lambda module: module == "boto3")
    with pytest.raises(Unavailable, match=r"sagemaker is not installed; run: pip install -e '.\[aws\]'"):
        require_libraries(CloudConfig(provider="aws"))
    monkeypatch.undo()
    require_libraries(CloudConfig(provider="skypilot"))
    assert not cloud_access._installed("no_such_package.module")


def test_skypilot_looks_at_the_bucket(account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    cloud = CloudConfig(provider="skypilot", infra="aws", artifacts="s3://records", gpu="L4:1")
    assert check_access(cloud) == "SkyPilot on aws, bucket records"
    gone = cloud.model_copy(update={"artifacts": "s3://absent"})
    assert "there is no bucket 'absent'" in refusal(gone, BadInput)
