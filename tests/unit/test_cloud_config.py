"""The `cloud` section of a stack: what is refused, and in which words; what Terraform's outputs fill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.config import StackConfig, load_run, validate
from primum.config.cloud import CloudConfig
from primum.errors import BadInput
from primum.stack.cloud_parts import device_settings, parts, pipeline_settings
from primum.stack.cloud_skypilot import task
from primum.stack.cloud_terraform import fill

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
AWS: dict[str, Any] = {
    "provider": "aws",
    "region": "eu-central-1",
    "artifacts": "s3://bucket/primum",
    "registry": "registry",
    "role": "role",
    "gpu": "ml.m5.large",
    "cpu": "ml.m5.large",
}


def cloud(**changes: Any) -> CloudConfig:
    return CloudConfig.model_validate({**AWS, **changes})


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"provider": "azure"}, r"cloud.provider.*'aws', 'gcp', 'kubernetes' or 'skypilot'"),
        ({}, r"`cloud.provider` is missing; add it"),
        ({"provider": "aws", "bucket": "b"}, r"unknown key `cloud.bucket`; the nearest known one is"),
        ({"provider": "aws", "context": "c"}, r"`context` is for kubernetes, not for aws; remove it"),
        ({"provider": "gcp", "spot": True}, r"`spot` is for aws and skypilot, not for gcp"),
        ({"provider": "aws", "artifacts": "gs://bucket"}, r"cloud.artifacts.*s3://bucket/folder"),
        ({"provider": "gcp", "artifacts": "bucket"}, r"cloud.artifacts.*gs://bucket/folder"),
        ({"provider": "aws", "subnets": ["s"]}, r"name both or neither"),
        ({"provider": "aws", "hours": 0}, r"cloud.hours"),
        ({"provider": "aws", "region": "Frankfurt"}, r"cloud.region"),
    ],
)
def test_a_mistake_is_one_line(section: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why) as problem:
        validate(StackConfig, {"backend": "cuda", "cloud": section}, "file")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("backend", ["auto", "mlx", "fake"])
def test_the_backend_is_said_for_the_clouds_machines(backend: str) -> None:
    with pytest.raises(BadInput, match="cloud: set backend to cuda or cpu"):
        validate(StackConfig, {"backend": backend, "cloud": AWS}, "file")


def test_every_process_of_a_training_needs_a_gpu() -> None:
    several = {"backend": "cuda", "launcher": "torchrun", "processes": 2}
    with pytest.raises(BadInput, match=r"processes: 2 need a GPU each; set cloud\.gpus"):
        validate(StackConfig, {**several, "cloud": AWS}, "file")
    validate(StackConfig, {**several, "cloud": {**AWS, "gpus": 2}}, "file")


def test_a_cloud_survives_the_way_through_a_steps_parameters() -> None:
    stack = StackConfig(backend="cuda", cloud=cloud())
    assert StackConfig.model_validate(stack.model_dump(mode="json")) == stack


def test_shipped_stacks_load_and_tell_what_is_missing() -> None:
    missing = {
        name: load_run(CONFIGS, overrides={"stack": name}).stack.cloud.missing  # type: ignore[union-attr]
        for name in ("aws", "gcp", "kubernetes", "skypilot")
    }
    assert missing == {
        "aws": ("artifacts", "registry", "role"),
        "gcp": ("project", "artifacts", "registry", "role"),
        "kubernetes": ("context", "artifacts", "registry"),
        "skypilot": ("artifacts",),
    }


def outputs(tmp_path: Path, stack: Any) -> Path:
    file = tmp_path / "out.json"
    file.write_text(json.dumps({"stack": {"sensitive": False, "type": "object", "value": stack}}))
    return file


def test_terraforms_outputs_fill_a_stack_and_null_leaves_it(tmp_path: Path) -> None:
    shipped = yaml.safe_load((CONFIGS / "stacks" / "aws.yaml").read_text())
    made = {
        "dvc_remote_url": "s3://bucket/dvc",
        "cloud": {"artifacts": "s3://bucket", "role": "r", "registry": "x", "kms_key": None, "subnets": []},
    }
    filled = fill(shipped, outputs(tmp_path, made))
    assert filled["cloud"]["gpu"] == "ml.g5.xlarge"
    assert {"kms_key", "subnets"}.isdisjoint(filled["cloud"])
    stack = StackConfig.model_validate(filled)
    assert stack.cloud is not None
    assert stack.cloud.missing == ()
    assert stack.dvc_remote_url == "s3://bucket/dvc"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("not json", "not the JSON of Terraform's outputs"),
        ("{}", "has no output `stack`"),
        ("[]", "has no output `stack`"),
        ('{"stack": {"value": 3}}', "is not a mapping"),
        ('{"stack": {"value": {"cloud": {"provider": "gcp"}}}}', "cloud.artifacts"),
        ('{"stack": {"value": {"nonsense": 1}}}', "unknown key `nonsense`"),
        ('{"stack": {"value": {"cloud": {"artefacts": "s3://b"}}}}', "unknown key `cloud.artefacts`"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "out.json"
    file.write_text(content)
    with pytest.raises(BadInput, match=why):
        fill({"backend": "cuda", "cloud": AWS}, file)
    with pytest.raises(BadInput, match="no such file"):
        fill({}, tmp_path / "absent.json")


def test_terraform_names_its_outputs_like_the_keys_they_fill() -> None:
    """infra/ is not run here: its outputs are read as text, so that a renamed key is seen."""
    for provider in ("aws", "gcp"):
        text = (CONFIGS.parent / "infra" / provider / "outputs.tf").read_text()
        section = text.split("cloud = {")[1].split("}")[0]
        keys = {line.split("=")[0].strip() for line in section.splitlines() if "=" in line}
        assert keys <= set(CloudConfig.model_fields), provider


def job(made: CloudConfig, *, device: bool) -> dict[str, Any]:
    if device:
        return dict(device_settings("s", made)["orchestrator"])
    return next(part.configuration for part in parts("s", made) if part.kind == "orchestrator")


def test_sagemaker_jobs_are_encrypted_and_have_an_end() -> None:
    made = cloud(kms_key="key", gpu="ml.g5.xlarge", spot=True, hours=2, subnets=["s"], security_groups=["g"])
    gpu, cpu = job(made, device=True), job(made, device=False)
    assert (gpu["instance_type"], cpu["instance_type"]) == ("ml.g5.xlarge", "ml.m5.large")
    assert gpu["max_runtime_in_seconds"] == cpu["max_runtime_in_seconds"] == 7200
    for settings in (gpu, cpu):
        arguments = settings["estimator_args"]
        assert arguments["encrypt_inter_container_traffic"] is True
        assert (arguments["output_kms_key"], arguments["subnets"]) == ("key", ["s"])
    for settings in (gpu, cpu):  # a g5's disks are its own, and what the stack says a step cannot take back
        assert "volume_kms_key" not in settings["estimator_args"]
    plain = cloud(kms_key="key", gpu="ml.p3.2xlarge")
    for device in (True, False):
        assert job(plain, device=device)["estimator_args"]["volume_kms_key"] == "key"
    assert gpu["estimator_args"]["use_spot_instances"] is True
    assert "use_spot_instances" not in cpu["estimator_args"]


def test_vertex_takes_the_accelerator_for_device_steps_only() -> None:
    made = CloudConfig(
        provider="gcp", project="p-1", region="r", artifacts="gs://bucket/x", registry="g", role="a@b",
        gpu="a2-highgpu-1g", accelerator="NVIDIA_TESLA_A100", cpu="n1-standard-4",
    )  # fmt: skip
    gpu, cpu = (job(made, device=d)["custom_job_parameters"] for d in (True, False))
    assert (gpu["machine_type"], gpu["accelerator_type"], gpu["accelerator_count"]) == (
        "a2-highgpu-1g", "NVIDIA_TESLA_A100", 1,
    )  # fmt: skip
    assert cpu["machine_type"] == "n1-standard-4"
    assert "accelerator_type" not in cpu
    store, _, _, orchestrator = parts("s", made)
    assert store.configuration == {"path": "gs://bucket/x/zenml"}
    assert orchestrator.environment == {"PRIMUM_HOME": "/gcs/bucket/x/home"}


def test_the_projects_folder_is_never_sent_to_the_artifact_store() -> None:
    for made in (cloud(), cloud(image="registry/primum:1")):
        docker = pipeline_settings(made)["docker"]
        assert docker["allow_download_from_artifact_store"] is False
        assert docker["allow_download_from_code_repository"] is False
    assert pipeline_settings(cloud(image="registry/primum:1"))["docker"]["skip_build"] is True


def test_skypilots_task_ends_and_holds_no_secret() -> None:
    made = CloudConfig(
        provider="skypilot", infra="aws", artifacts="s3://bucket", gpu="L4:1", hours=1, spot=True
    )
    written = task(StackConfig(name="sky", backend="cuda", cloud=made))
    assert written["secrets"] == {"PRIMUM_LEDGER_URL": None}
    assert written["run"].startswith("timeout 3600 ")
    assert written["resources"] == {
        "infra": "aws", "accelerators": "L4:1", "use_spot": True, "disk_size": 100,
        "autostop": {"idle_minutes": 5, "down": True},
    }  # fmt: skip
    with pytest.raises(BadInput, match="not one of SkyPilot's"):
        task(StackConfig(backend="cuda", cloud=cloud()))
