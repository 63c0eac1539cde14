"""A cloud stack in ZenML's real store, and SageMaker's pipeline and schedule as ZenML makes them, on moto's server.

What moto does not do is not seen here: no job starts, no image is pulled, no permission is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from primum.config import StackConfig
from primum.config.cloud import CloudConfig
from primum.errors import BadInput, Unavailable
from primum.stack.store import bootstrap
from primum.workspace import Workspace

REGION = "eu-central-1"
LEDGER = "postgresql://primum:very-secret@db.example/primum"
KEYS = {"AWS_ACCESS_KEY_ID": "test-key-id", "AWS_SECRET_ACCESS_KEY": "test-secret-key"}


@pytest.fixture(scope="module")
def account(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Keys of a complete stack in moto's account; this machine's own credentials are not looked at."""
    import boto3

    nowhere = tmp_path_factory.mktemp("no-aws")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(nowhere / name))
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ENDPOINT_URL", moto)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        boto3.client("s3").create_bucket(
            Bucket="records", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        boto3.client("ecr").create_repository(repositoryName="primum")
        jobs, schedules = (
            boto3.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')[
                "Role"
            ]["Arn"]
            for name in ("jobs", "schedules")
        )
        registry = f"{jobs.split(':')[4]}.dkr.ecr.{REGION}.amazonaws.com"
        yield {
            "provider": "aws", "region": REGION, "artifacts": "s3://records/primum", "registry": registry,
            "image": f"{registry}/primum:1", "role": jobs, "scheduler_role": schedules, "kms_key": "key",
            "gpu": "ml.g5.xlarge", "cpu": "ml.m5.xlarge", "subnets": ["subnet-1"], "security_groups": ["sg-1"],
        }  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Workspace]:
    found = Workspace(project=project, home=tmp_path_factory.mktemp("cloud"))
    bootstrap(found)
    yield found
    from zenml.client import Client

    Client().activate_stack("default")


@pytest.fixture
def server(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZenML's store is a file here; pretend that it is a server, as a cloud needs one."""
    from zenml.client import Client

    monkeypatch.setattr(type(Client().zen_store), "is_local_store", lambda self: False)


def stack_of(account: dict[str, Any], **changes: Any) -> StackConfig:
    cloud = CloudConfig.model_validate({**account, **changes})
    return StackConfig(name="hospital", backend="cuda", cloud=cloud)


def test_artifacts_are_written_to_and_read_from_the_bucket(
    workspace: Workspace, account: dict[str, Any]
) -> None:
    import boto3
    from zenml.stack import StackComponent

    from primum.stack.cloud import _component
    from primum.stack.cloud_parts import parts

    part = parts("files", stack_of(account).cloud)[0]  # type: ignore[arg-type]
    store: Any = StackComponent.from_model(_component("primum-files", part, None))
    with store.open("s3://records/primum/zenml/verdict.json", "w") as file:
        file.write("PROMOTE")
    with store.open("s3://records/primum/zenml/verdict.json", "r") as file:
        assert file.read() == "PROMOTE"
    found = boto3.client("s3").get_object(Bucket="records", Key="primum/zenml/verdict.json")
    assert found["Body"].read() == b"PROMOTE"


def test_the_registry_lets_in_who_has_the_keys(account: dict[str, Any]) -> None:
    import boto3

    told = boto3.client("ecr").get_authorization_token()["authorizationData"][0]
    assert told["authorizationToken"]
    assert account["registry"].split(".")[0] in told["proxyEndpoint"]


def test_a_store_in_a_file_and_a_ledger_in_a_file_are_refused(
    workspace: Workspace, account: dict[str, Any]
) -> None:
    from primum.stack.cloud import register, select

    with pytest.raises(
        BadInput, match="PRIMUM_LEDGER_URL is not set: in a cloud the ledger must be a database"
    ):
        register(stack_of(account), None)
    with pytest.raises(
        Unavailable, match="a cloud's machines cannot reach it; connect to a ZenML server first"
    ):
        register(stack_of(account), LEDGER)
    with pytest.raises(Unavailable, match="connect to a ZenML server first"):
        select(stack_of(account))
    with pytest.raises(BadInput, match="nothing to register"):
        register(StackConfig(), LEDGER)


@pytest.mark.usefixtures("server")
def test_a_stack_that_was_not_registered(workspace: Workspace, account: dict[str, Any]) -> None:
    from primum.stack.cloud import select

    other = stack_of(account).model_copy(update={"name": "other"})
    with pytest.raises(Unavailable, match="not registered with ZenML yet; run: primum stack setup other"):
        select(other)


@pytest.fixture(scope="module")
def sagemaker() -> None:
    for library in ("sagemaker", "aws_profile_manager"):
        pytest.importorskip(library, reason="pip install -e '.[aws]' brings it")


@pytest.mark.usefixtures("server", "sagemaker")
def test_registering_twice_changes_nothing_and_keeps_secrets_in_zenmls_store(
    workspace: Workspace, account: dict[str, Any]
) -> None:
    from zenml.client import Client

    from primum.stack.cloud import register, select

    said = register(stack_of(account), LEDGER)
    assert said[0] == "credentials: service connector primum-hospital in ZenML's secret store"
    assert "very-secret" not in " ".join(said)
    client = Client()
    stack = client.get_stack("primum-hospital")
    flavors = {kind.value: found[0].flavor_name for kind, found in stack.components.items()}
    assert flavors == {
        "artifact_store": "s3", "container_registry": "aws", "image_builder": "local", "orchestrator": "sagemaker",
    }  # fmt: skip
    assert client.get_secret("primum-hospital").secret_values == {"PRIMUM_LEDGER_URL": LEDGER}
    for found in stack.components.values():
        kept = found[0].model_dump_json()
        assert not any(secret in kept for secret in (*KEYS.values(), "very-secret"))
        assert (found[0].connector is None) == (found[0].type.value == "image_builder")

    assert register(stack_of(account, cpu="ml.m5.2xlarge", scheduler_role=None), LEDGER + "2") == said
    again = client.get_stack("primum-hospital")
    assert again.id == stack.id
    orchestrator = client.get_stack_component("orchestrator", "primum-hospital")
    assert orchestrator.configuration["instance_type"] == "ml.m5.2xlarge"
    assert "scheduler_role" not in orchestrator.configuration
    assert client.get_secret("primum-hospital").secret_values == {"PRIMUM_LEDGER_URL": LEDGER + "2"}

    select(stack_of(account))
    assert client.active_stack_model.name == "primum-hospital"
    select(StackConfig())
    assert client.active_stack_model.name == "default"


@pytest.mark.usefixtures("server", "sagemaker")
def test_temporary_credentials_are_not_stored(
    workspace: Workspace, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml.client import Client

    from primum.stack.cloud import register

    monkeypatch.setenv("AWS_SESSION_TOKEN", "an-hour-only")
    stack = stack_of(account).model_copy(update={"name": "brief"})
    assert register(stack, LEDGER)[0].startswith("credentials: none stored")
    assert Client().list_service_connectors(name="primum-brief").total == 0


@pytest.mark.usefixtures("server", "sagemaker")
def test_zenml_makes_sagemakers_pipeline_and_its_schedule(
    workspace: Workspace, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from zenml import pipeline, step
    from zenml.config.schedule import Schedule

    from primum.stack.cloud import register, select
    from primum.stack.cloud_parts import device_settings, pipeline_settings

    stack = stack_of(account)
    assert stack.cloud is not None
    register(stack, LEDGER)
    select(stack)

    @step
    def prepare() -> int:
        return 1

    @step
    def train(prepared: int) -> int:
        return prepared

    @pipeline(name="finetune", enable_cache=False)
    def probe() -> None:
        train.with_options(settings=device_settings(stack.name, stack.cloud))(prepare())  # type: ignore[arg-type]

    ready = probe.with_options(settings=pipeline_settings(stack.cloud))
    ready()
    client = boto3.client("sagemaker")
    name = client.list_pipelines()["PipelineSummaries"][0]["PipelineName"]
    assert name.startswith("finetune-")
    made = client.describe_pipeline(PipelineName=name)
    assert made["RoleArn"] == account["role"]
    assert client.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    first, second = json.loads(made["PipelineDefinition"])["Steps"]
    assert (first["Name"], second["Name"], second["DependsOn"]) == ("prepare", "train", ["prepare"])
    _sound(first["Arguments"], account, "ml.m5.xlarge")
    _sound(second["Arguments"], account, "ml.g5.xlarge")
    assert not any(secret in made["PipelineDefinition"] for secret in (*KEYS.values(), "very-secret"))

    probe.with_options(
        settings=pipeline_settings(stack.cloud),
        schedule=Schedule(name="monthly", cron_expression="0 3 1 * ? *"),
    )()
    scheduler = boto3.client("scheduler")
    schedule = scheduler.get_schedule(Name=scheduler.list_schedules()["Schedules"][0]["Name"])
    assert schedule["ScheduleExpression"] == "cron(0 3 1 * ? *)"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["RoleArn"] == account["scheduler_role"]
    assert ":pipeline/finetune-" in schedule["Target"]["Arn"]


def _sound(job: dict[str, Any], account: dict[str, Any], instance: str) -> None:
    assert job["ResourceConfig"]["InstanceType"] == instance
    assert job["AlgorithmSpecification"]["TrainingImage"] == account["image"]
    assert job["RoleArn"] == account["role"]
    assert job["OutputDataConfig"] == {"S3OutputPath": "s3://records/primum/jobs", "KmsKeyId": "key"}
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert job["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert job["EnableInterContainerTrafficEncryption"] is True
    assert job["CheckpointConfig"] == {
        "S3Uri": "s3://records/primum/home",
        "LocalPath": "/opt/ml/checkpoints",
    }
    assert job["Environment"]["PRIMUM_HOME"] == "/opt/ml/checkpoints"
    assert job["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0) == 0
    assert "VolumeKmsKeyId" not in job["ResourceConfig"]  # refused for a g5's own disks
