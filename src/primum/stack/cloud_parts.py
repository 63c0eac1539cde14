"""What a cloud stack is made of, as ZenML's components want it. Pure; nothing of a cloud is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from primum.config.cloud import CloudConfig

Kind = Literal["artifact_store", "container_registry", "image_builder", "orchestrator"]
Settings = dict[str, Any]

HOME = {"aws": "/opt/ml/checkpoints", "kubernetes": "/primum"}
"""PRIMUM_HOME of a step. SageMaker keeps that folder in S3 between jobs, Kubernetes has a volume there."""
USER = 10001
"""The user of the images (infra/images), who is not root."""
_OWN_DISKS = ("g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en")
"""Instance families with disks of their own: their hardware encrypts them, and AWS refuses a key for them."""


@dataclass(frozen=True)
class Part:
    """One component of ZenML's stack."""

    kind: Kind
    flavor: str
    configuration: Settings
    resource: str | None = None
    """What its service connector gives access to; None: it needs no connector."""
    environment: dict[str, str] = field(default_factory=dict)


def parts(name: str, cloud: CloudConfig) -> list[Part]:
    """Artifact store, container registry, image builder and orchestrator of a stack."""
    make = {"aws": _aws, "gcp": _gcp, "kubernetes": _kubernetes}[cloud.provider]
    store, registry, orchestrator = make(name, cloud)
    return [store, registry, Part("image_builder", "local", {}), orchestrator]


def device_settings(name: str, cloud: CloudConfig) -> Settings:
    """ZenML's settings of a step that loads the base: the GPU machine. Other steps have what the stack says."""
    make = {"aws": _aws_job, "gcp": _gcp_job, "kubernetes": _kubernetes_job}.get(cloud.provider)
    return {"orchestrator": make(cloud, device=True)} if make else {}


def pipeline_settings(cloud: CloudConfig) -> Settings:
    """ZenML's settings of a pipeline: the image, given or built from infra/images, which brings the code.

    ZenML would else send an archive of the project's folder to the artifact store, and with it whatever lies there.
    """
    image: Settings = {
        "allow_download_from_artifact_store": False,
        "allow_download_from_code_repository": False,
    }
    if cloud.image:
        image |= {"parent_image": cloud.image, "skip_build": True}
    else:
        image |= {
            "dockerfile": "infra/images/cuda.Dockerfile",
            "build_context_root": ".",
            "allow_including_files_in_images": False,
            "install_stack_requirements": False,  # the image has them, pinned
            "parent_image_build_config": {"build_options": {"build_args": {"EXTRAS": _extras(cloud)}}},
        }
    return {"docker": image}


def _extras(cloud: CloudConfig) -> str:
    return f"cuda,ledger,{cloud.provider}"


def home_of(cloud: CloudConfig) -> str:
    """PRIMUM_HOME of the steps."""
    path = (cloud.artifacts or "").partition("://")[2]
    return HOME.get(cloud.provider, f"/gcs/{path}/home")


def _aws(name: str, cloud: CloudConfig) -> tuple[Part, Part, Part]:
    store = {"path": f"{cloud.artifacts}/zenml", "client_kwargs": {"region_name": cloud.region}}
    orchestrator = {
        "execution_role": cloud.role,
        "scheduler_role": cloud.scheduler_role,
        "region": cloud.region,
        "bucket": cloud.bucket,
        "synchronous": False,  # ZenML gives up waiting after 50 minutes
        "tags": {"primum-stack": name},
        "pipeline_tags": {"primum-stack": name},
        **_aws_job(cloud, device=False),
    }
    environment = {"PRIMUM_HOME": home_of(cloud)}
    return (
        Part("artifact_store", "s3", store, resource=f"s3://{cloud.bucket}"),
        Part("container_registry", "aws", {"uri": cloud.registry}, resource=cloud.registry),
        Part("orchestrator", "sagemaker", orchestrator, resource="", environment=environment),
    )


def _aws_job(cloud: CloudConfig, *, device: bool) -> Settings:
    instance = (cloud.gpu if device else cloud.cpu) or ""
    seconds = int(cloud.hours * 3600)
    job: Settings = {
        "checkpoint_s3_uri": f"{cloud.artifacts}/home",  # what a step leaves in PRIMUM_HOME is there for the next
        "checkpoint_local_path": HOME["aws"],
        "encrypt_inter_container_traffic": True,
        "disable_profiler": True,
        "debugger_hook_config": False,
    }
    if cloud.kms_key:
        job["output_kms_key"] = cloud.kms_key
        # Not per step: ZenML lays a step's settings over the stack's, so what the stack says cannot be taken back.
        if not any(_own_disk(machine) for machine in (cloud.gpu, cloud.cpu)):
            job["volume_kms_key"] = cloud.kms_key
    if cloud.subnets:
        job |= {"subnets": list(cloud.subnets), "security_group_ids": list(cloud.security_groups)}
    if cloud.spot and device:
        job |= {"use_spot_instances": True, "max_wait": 2 * seconds}
    return {
        "instance_type": instance,
        "volume_size_in_gb": cloud.disk_gb,
        "max_runtime_in_seconds": seconds,
        "keep_alive_period_in_seconds": 0,  # a machine kept warm costs, and most accounts have no quota for it
        "use_training_step": True,
        "output_data_s3_uri": f"{cloud.artifacts}/jobs",
        "estimator_args": job,
    }


def _own_disk(machine: str | None) -> bool:
    return (machine or "").removeprefix("ml.").partition(".")[0] in _OWN_DISKS


def _gcp(name: str, cloud: CloudConfig) -> tuple[Part, Part, Part]:
    orchestrator = {
        "project": cloud.project,
        "location": cloud.region,
        "workload_service_account": cloud.role,
        "encryption_spec_key_name": cloud.kms_key,
        "network": cloud.network,
        "pipeline_root": f"{cloud.artifacts}/jobs",
        "synchronous": False,
        "labels": {"primum-stack": name},
        **_gcp_job(cloud, device=False),
    }
    environment = {"PRIMUM_HOME": home_of(cloud)}  # Vertex mounts every bucket that the account may read
    return (
        Part("artifact_store", "gcp", {"path": f"{cloud.artifacts}/zenml"}, resource=f"gs://{cloud.bucket}"),
        Part("container_registry", "gcp", {"uri": cloud.registry}, resource=cloud.registry),
        Part("orchestrator", "vertex", orchestrator, resource="", environment=environment),
    )


def _gcp_job(cloud: CloudConfig, *, device: bool) -> Settings:
    job: Settings = {
        "machine_type": cloud.gpu if device else cloud.cpu,
        "boot_disk_size_gb": cloud.disk_gb,
        "additional_training_job_args": {"timeout": f"{int(cloud.hours * 3600)}s"},
    }
    if device and cloud.accelerator:
        job |= {"accelerator_type": cloud.accelerator, "accelerator_count": cloud.gpus}
    return {"custom_job_parameters": job}


def _kubernetes(name: str, cloud: CloudConfig) -> tuple[Part, Part, Part]:
    store = "s3" if (cloud.artifacts or "").startswith("s3://") else "gcp"
    orchestrator = {
        "kubernetes_context": cloud.context,
        "kubernetes_namespace": cloud.namespace,
        "service_account_name": cloud.role,  # starts the pods of steps
        "step_pod_service_account_name": f"{cloud.role}-step",  # may do nothing in the cluster
        "pass_zenml_token_as_secret": True,
        "synchronous": False,
        "concurrency_policy": "Forbid",  # a scheduled run that still goes on is not overtaken
        "starting_deadline_seconds": 3600,
        "successful_jobs_history_limit": 3,
        "failed_jobs_history_limit": 3,
        "ttl_seconds_after_finished": 7 * 24 * 3600,
        "orchestrator_pod_settings": pod(cloud, cpu="100m", memory="1Gi"),
        **_kubernetes_job(cloud, device=False),
    }
    environment = {"PRIMUM_HOME": home_of(cloud)}
    return (
        Part("artifact_store", store, {"path": f"{cloud.artifacts}/zenml"}),
        Part("container_registry", "default", {"uri": cloud.registry}),
        Part("orchestrator", "kubernetes", orchestrator, environment=environment),
    )


def _kubernetes_job(cloud: CloudConfig, *, device: bool) -> Settings:
    if not device:
        return {"pod_settings": pod(cloud, cpu="1", memory="4Gi")}
    settings = pod(cloud, cpu="2", memory="8Gi")
    settings["resources"]["limits"] |= {"nvidia.com/gpu": str(cloud.gpus)}
    settings["node_selectors"] = cloud.node_selector
    settings["tolerations"] = [_toleration(t.model_dump(exclude_none=True)) for t in cloud.tolerations]
    return {"pod_settings": settings, "active_deadline_seconds": int(cloud.hours * 3600)}


def pod(cloud: CloudConfig, *, cpu: str, memory: str) -> Settings:
    """A pod that is not root, may not become it, and has the home folder. Keys as ZenML's pod settings want them."""
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    user = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
    return {
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
        "labels": {"app.kubernetes.io/part-of": "primum"},
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": cloud.volume_claim}}],
        "volume_mounts": [{"name": "home", "mountPath": HOME["kubernetes"]}],
        "env_from": [{"secretRef": {"name": cloud.secret}}] if cloud.secret else [],
        "container_security_context": {
            **user, **profile, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        },
        "additional_pod_spec_args": {"security_context": {**user, **profile, "fsGroup": USER}},
    }  # fmt: skip


def _toleration(given: dict[str, str]) -> dict[str, str]:
    return {**given, "operator": "Equal" if "value" in given else "Exists"}
