"""Kubernetes manifests, those that ZenML sends with our settings and infra/kubernetes, and the published schemas.

A small server stands for the cluster and keeps what it is sent; nothing is started.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.config import StackConfig, load_run
from primum.config.cloud import CloudConfig
from primum.stack.store import bootstrap
from primum.workspace import Workspace

GIVEN = {"context": "gpu-cluster", "artifacts": "s3://records/primum", "registry": "registry.example"}
RELEASES = ("1.29", "1.32", "1.35")


def validate(manifest: dict[str, Any], *, strict: bool) -> None:
    import kubernetes_validate

    for release in RELEASES:
        kubernetes_validate.validate(manifest, release, strict=strict)


@pytest.fixture(scope="module", autouse=True)
def schemas() -> None:
    pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate brings the schemas")


def test_the_shipped_manifests_fit_the_schemas(project: Path) -> None:
    kinds: list[str] = []
    for file in sorted((project / "infra" / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            kinds.append(manifest["kind"])
            if manifest["kind"] != "Kustomization":
                validate(manifest, strict=True)
                assert manifest["metadata"].get("namespace", "primum") == "primum"
    assert {"Namespace", "ServiceAccount", "Role", "NetworkPolicy", "PersistentVolumeClaim"} <= set(kinds)


def test_the_shipped_stack_names_what_the_manifests_make(project: Path) -> None:
    cloud = load_run(project / "configs", overrides={"stack": "kubernetes"}).stack.cloud
    assert cloud is not None
    made = {
        (manifest["kind"], manifest["metadata"]["name"])
        for file in (project / "infra" / "kubernetes").glob("*.yaml")
        for manifest in yaml.safe_load_all(file.read_text())
        if "metadata" in manifest
    }
    assert {
        ("Namespace", cloud.namespace), ("ServiceAccount", cloud.role), ("ServiceAccount", f"{cloud.role}-step"),
        ("PersistentVolumeClaim", cloud.volume_claim), ("Secret", cloud.secret),
    } <= made  # fmt: skip


class Cluster(BaseHTTPRequestHandler):
    """Keeps what is created, and says that it was."""

    sent: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sent.append((self.path, body))
        self._answer(body)

    def do_GET(self) -> None:
        self._answer({"kind": "List", "items": []})

    def _answer(self, body: dict[str, Any]) -> None:
        reply = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    pytest.importorskip("kubernetes", reason="pip install -e '.[kubernetes]' brings it")

    class Ours(Cluster):
        sent: list[tuple[str, dict[str, Any]]] = []

    server = HTTPServer(("127.0.0.1", 0), Ours)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = {"server": f"http://127.0.0.1:{server.server_port}"}
    context = {"cluster": "here", "user": "me"}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "gpu-cluster",
        "clusters": [{"name": "here", "cluster": address}],
        "contexts": [{"name": "gpu-cluster", "context": context}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    place = str(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", place)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", place)  # read at import
    yield Ours.sent
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stack(project: Path) -> StackConfig:
    shipped = load_run(project / "configs", overrides={"stack": "kubernetes"}).stack
    assert shipped.cloud is not None
    image = {"image": f"registry.example/primum@sha256:{'0' * 64}", "gpus": 2, "hours": 2}
    cloud = CloudConfig.model_validate({**shipped.cloud.model_dump(), **GIVEN, **image})
    return shipped.model_copy(update={"name": "pods", "cloud": cloud})


@pytest.fixture
def selected(
    tmp_path: Path, project: Path, stack: StackConfig, cluster: list[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The stack, registered and active, with a store that passes for a server and hands out a token."""
    bootstrap(Workspace(project=project, home=tmp_path))
    from zenml.client import Client
    from zenml.orchestrators import base_orchestrator

    from primum.stack.cloud import register, select

    monkeypatch.setattr(type(Client().zen_store), "is_local_store", lambda self: False)
    original = base_orchestrator.get_config_environment_vars

    def with_token(**given: Any) -> tuple[dict[str, str], dict[str, str]]:
        return original(**given)[0], {"ZENML_STORE_API_TOKEN": "a-token"}

    monkeypatch.setattr(base_orchestrator, "get_config_environment_vars", with_token)
    said = register(stack, "postgresql://primum:very-secret@db.example/primum")
    assert said[0].startswith("credentials: none stored")
    select(stack)
    yield
    Client().activate_stack("default")


@pytest.mark.usefixtures("selected")
def test_a_scheduled_pipeline_is_a_sound_cron_job(
    stack: StackConfig, cluster: list[tuple[str, dict[str, Any]]]
) -> None:
    from zenml import pipeline, step
    from zenml.config.schedule import Schedule

    from primum.stack.cloud_parts import pipeline_settings

    @step
    def train() -> int:
        return 1

    @pipeline(name="retrain", enable_cache=False)
    def probe() -> None:
        train()

    assert stack.cloud is not None
    schedule = Schedule(name="weekly", cron_expression="0 3 * * 1")
    probe.with_options(settings=pipeline_settings(stack.cloud), schedule=schedule)()
    probe.with_options(settings=pipeline_settings(stack.cloud))()
    made = {path.rsplit("/", 1)[1]: body for path, body in cluster}
    assert set(made) == {"secrets", "cronjobs", "jobs"}
    assert all("/namespaces/primum/" in path for path, _ in cluster)
    cron, job = made["cronjobs"], made["jobs"]
    for manifest, kind in ((cron, "CronJob"), (job, "Job")):
        validate({"apiVersion": "batch/v1", "kind": kind, **manifest}, strict=False)
    assert cron["spec"]["schedule"] == "0 3 * * 1"
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    for spec in (cron["spec"]["jobTemplate"]["spec"], job["spec"]):
        pod = spec["template"]["spec"]
        assert pod["serviceAccountName"] == "primum-runner"
        _restricted(pod, stack)
        assert "a-token" not in json.dumps(pod)  # it is in the secret
        assert "very-secret" not in json.dumps(pod)


@pytest.mark.usefixtures("cluster")
def test_the_pod_of_a_device_step_asks_for_gpus_and_may_do_nothing_in_the_cluster(stack: StackConfig) -> None:
    from kubernetes.client import ApiClient
    from zenml.integrations.kubernetes.flavors.kubernetes_orchestrator_flavor import (
        KubernetesOrchestratorConfig,
    )
    from zenml.integrations.kubernetes.manifest_utils import build_job_manifest, build_pod_manifest
    from zenml.integrations.kubernetes.manifest_utils import pod_template_manifest_from_pod as template

    from primum.stack.cloud_parts import device_settings, parts

    assert stack.cloud is not None
    component = next(p.configuration for p in parts("pods", stack.cloud) if p.kind == "orchestrator")
    settings = KubernetesOrchestratorConfig.model_validate(
        {**component, **device_settings("pods", stack.cloud)["orchestrator"]}
    )
    built = build_pod_manifest(
        pod_name="train", image_name=stack.cloud.image or "", command=["python"], args=["-m", "zenml"],
        privileged=settings.privileged, pod_settings=settings.pod_settings,
        service_account_name=settings.step_pod_service_account_name, env={"A": "b"},
    )  # fmt: skip
    job = build_job_manifest(
        "train", template(built), active_deadline_seconds=settings.active_deadline_seconds
    )
    manifest = ApiClient().sanitize_for_serialization(job)
    validate({"apiVersion": "batch/v1", "kind": "Job", **manifest}, strict=False)
    assert manifest["spec"]["activeDeadlineSeconds"] == 7200
    pod = manifest["spec"]["template"]["spec"]
    _restricted(pod, stack)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["serviceAccountName"] == "primum-runner-step"
    assert pod["volumes"] == [{"name": "home", "persistentVolumeClaim": {"claimName": "primum-home"}}]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "primum-object-store"}}]


def _restricted(pod: dict[str, Any], stack: StackConfig) -> None:
    """What the namespace's level `restricted` of the pod security standards asks for."""
    (container,) = pod["containers"]
    for context in (pod["securityContext"], container["securityContext"]):
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["privileged"] is False
    assert not pod.get("hostNetwork")
    assert not pod.get("hostIPC")
    assert stack.cloud is not None
    assert container["image"] == stack.cloud.image
    assert container["volumeMounts"] == [{"name": "home", "mountPath": "/primum"}]
