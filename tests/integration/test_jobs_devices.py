"""Which devices a stack comes to, and who may use them."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout
from job_samples import until

from primum import backends, predict
from primum.backends.torch.devices import CudaDevice
from primum.config import Remote, StackConfig, load_run
from primum.errors import BadInput
from primum.jobs.devices import locked, resolve_stack, visible
from primum.jobs.launchers import command
from primum.workspace import Workspace


def test_a_second_run_waits_for_the_device_and_says_so_once(tmp_path: Path) -> None:
    workspace, stack = Workspace(tmp_path, tmp_path), StackConfig(backend="mlx")
    said: list[str] = []
    inside = threading.Event()

    def second() -> None:
        with locked(workspace, stack, said.append):
            inside.set()

    with locked(workspace, stack, pytest.fail):
        waiting = threading.Thread(target=second)
        waiting.start()
        until(lambda: bool(said))
        assert not inside.wait(0.3)
        with locked(workspace, StackConfig(), pytest.fail):
            pass  # a CPU needs no lock
    waiting.join(timeout=10)
    assert inside.is_set()
    assert said == ["mlx is in use by another run; waiting for it to end (Ctrl-C to give up)"]


def test_a_child_of_the_holder_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, stack = Workspace(tmp_path, tmp_path), StackConfig(backend="mlx")
    with locked(workspace, stack, pytest.fail) as told:
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        with locked(workspace, stack, pytest.fail):
            pass


def devices(count: int) -> tuple[CudaDevice, ...]:
    return tuple(CudaDevice(i, "made up", 1 << 34, True) for i in range(count))


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = StackConfig(backend="auto")
    monkeypatch.setattr(backends, "cuda_devices", lambda: devices(1))
    assert resolve_stack(auto).backend == "cuda"
    monkeypatch.setattr(backends, "cuda_devices", lambda: ())
    monkeypatch.setattr("primum.jobs.devices.has_mlx", lambda: True)
    assert resolve_stack(auto).backend == "mlx"
    monkeypatch.setattr("primum.jobs.devices.has_mlx", lambda: False)
    assert resolve_stack(auto).backend == "cpu"


@pytest.mark.parametrize(
    ("stack", "count", "words"),
    [
        ({}, 0, "no CUDA device is visible"),
        ({"devices": (0, 3)}, 2, "no CUDA device 3; this machine has 0, 1"),
        ({"devices": (1,), "launcher": "torchrun", "processes": 2}, 2, "2 processes need a device each"),
        ({"launcher": "torchrun", "processes": 3}, 2, "no CUDA device 2"),
        ({"devices": (1, 1), "launcher": "torchrun", "processes": 2}, 2, "name each device once"),
    ],
)
def test_a_device_that_is_not_there_is_named(
    stack: dict[str, object], count: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "cuda_devices", lambda: devices(count))
    with pytest.raises(BadInput, match=words):
        resolve_stack(StackConfig.model_validate({"backend": "cuda", **stack}))


def test_devices_are_counted_among_the_visible_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = StackConfig(backend="cuda", devices=(1, 0), launcher="torchrun", processes=2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible(stack) == "1,0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert visible(stack) == "7,4"


def test_zero3_without_deepspeed_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    stack = StackConfig(launcher="torchrun", processes=2, sharding="zero3")
    with pytest.raises(BadInput, match=r"pip install -e '\.\[deepspeed\]'"):
        command(stack, tmp_path, training=True)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ({"backend": "cpu", "devices": [0]}, "devices: CUDA devices are for the backend cuda, not cpu"),
        ({"backend": "mlx", "launcher": "torchrun"}, "launcher: torchrun is for the backends cpu and cuda"),
    ],
)
def test_what_a_backend_would_ignore_is_refused(stack: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StackConfig.model_validate(stack)


def test_four_bits_are_not_divided(project: Path) -> None:
    divided = {"stack.sharding": "fsdp", "stack.processes": 2, "stack.launcher": "torchrun"}
    with pytest.raises(BadInput, match="fsdp cannot divide a base in nf4; set it to ddp"):
        load_run(project / "configs", None, {"model.quantisation": "nf4", **divided})


def test_a_base_is_divided_among_several_processes_only() -> None:
    with pytest.raises(ValueError, match="sharding: fsdp divides the base among several processes"):
        StackConfig(launcher="torchrun", sharding="fsdp")


def test_a_device_is_locked_whatever_its_name_and_another_machines_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, cuda = Workspace(tmp_path, tmp_path), StackConfig(backend="cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", " MIG-GPU-1/0/1")
    with locked(workspace, cuda, pytest.fail):
        assert [p.name for p in (tmp_path / ".primum" / "locks").iterdir()] == [
            "device-cuda-MIG-GPU-1-0-1.lock"
        ]
        with locked(workspace, cuda.model_copy(update={"remote": Remote(host="studio")}), pytest.fail):
            pass


def test_predictions_wait_for_the_device_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    workspace, records = Workspace(tmp_path, tmp_path), pd.DataFrame({"site": ["a"]})

    def served(*_: object) -> pd.DataFrame:
        lock = FileLock(tmp_path / ".primum" / "locks" / "device-mlx.lock")
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
        held.append(True)
        return records

    monkeypatch.setattr(predict, "_chosen", lambda *_: "a version")
    for name in ("_require_same_features", "_require_base", "open_backend"):
        monkeypatch.setattr(predict, name, lambda *_: None)
    monkeypatch.setattr(predict.registry, "fetch_bundle", lambda *_: None)
    monkeypatch.setattr(predict, "_read", lambda *_: records)
    monkeypatch.setattr(predict, "_served", served)
    config = load_run(Path(__file__).parents[2] / "configs", overrides={"stack": "mlx"})
    predict.predict(workspace, config, tmp_path / "new.csv")
    assert held == [True]
