"""Every store that a test could touch lies in a folder of this session, which goes with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    home = Path(tempfile.mkdtemp(prefix="primum-tests-"))
    config.stash[_HOME] = home
    os.environ.update(
        {
            "PRIMUM_HOME": str(home / "home"),
            "ZENML_CONFIG_PATH": str(home / "zenml"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            # A worker of xdist has no main file that ZenML could find the project by.
            "ZENML_CUSTOM_SOURCE_ROOT": str(ROOT),
            "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
            "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
            "DVC_NO_ANALYTICS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(home / "hf"),
            "MPLCONFIGDIR": str(home / "matplotlib"),
        }
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_HOME], ignore_errors=True)


_HOME = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def left_over() -> Callable[[], list[str]]:
    """Command lines of the processes below this one. Python's own tracker of semaphores lives as long as it does."""

    def found() -> list[str]:
        below = psutil.Process().children(recursive=True)
        lines = [" ".join(p.cmdline()) for p in below if p.status() != psutil.STATUS_ZOMBIE]
        return [line for line in lines if "multiprocessing.resource_tracker" not in line]

    return found


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left(left_over: Callable[[], list[str]]) -> Iterator[None]:
    yield
    assert left_over() == []


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto server with an empty account: its state belongs to the process, not to the server."""
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto_api_backend.reset()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout that is tested."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data(project: Path) -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    folder = project.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: {folder.name} folder absent")
    return folder
