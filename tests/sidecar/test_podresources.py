"""Owns the proof that the kubelet is asked rightly, and believed for as long as it may be."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from sidecar import podresources
from sidecar.podresources import KEEP_SECONDS, PodResources
from sidecar.wire import Held
from tests.fakes.kubelet import FakeKubelet, claimed, pod

ONE = "GPU-00000001-0000-4000-8000-000000000001"


class Clock:
    """A clock that stands until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kubelet() -> Iterator[FakeKubelet]:
    with FakeKubelet() as running:
        yield running


async def test_the_pods_that_hold_gpus_are_told_in_every_spelling(kubelet: FakeKubelet) -> None:
    driver = "gpu.nvidia.com"
    kubelet.pods = [
        pod("llm-0", ONE),
        pod("shared", f"{ONE}::2", resource="nvidia.com/gpu.shared"),
        pod("renamed", ONE, resource="example.com/big-gpu"),
        pod("nic", "mlx5_0", resource="rdma/hca"),
        pod("dra", resource="", dynamic_resources=[claimed(driver, "node-a", "gpu-3")]),
        pod("web", resource="", dynamic_resources=[claimed("nic.example.com", "n", "d")]),
    ]
    found = PodResources(kubelet.folder)
    await found.look()
    assert found.held == (
        Held("default", "llm-0", (ONE,)),
        Held("default", "shared", (f"{ONE}::2",)),
        Held("default", "renamed", (ONE,)),
        Held("default", "dra", (f"{driver}/node-a/gpu-3",)),
    )
    assert found.why is None


async def test_a_kubelet_that_restarts_with_a_new_socket_is_found_again(
    kubelet: FakeKubelet,
) -> None:
    found = PodResources(kubelet.folder)
    await found.look()
    kubelet.stop()
    kubelet.pods = [pod("llm-0", ONE)]
    kubelet.start()
    await found.look()
    assert found.held == (Held("default", "llm-0", (ONE,)),)


async def test_its_last_word_is_kept_for_a_minute_and_then_not_believed(
    kubelet: FakeKubelet, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    found = PodResources(kubelet.folder, clock)
    kubelet.pods = [pod("llm-0", ONE)]
    await found.look()
    kubelet.refuse = grpc.StatusCode.RESOURCE_EXHAUSTED
    clock.now += KEEP_SECONDS
    await found.look()
    await found.look()
    assert found.held == (Held("default", "llm-0", (ONE,)),)
    assert found.taken_at == 100.0
    clock.now += 0.1
    assert found.held is None
    assert "RESOURCE_EXHAUSTED: rejected by rate limit" in str(found.why)
    assert caplog.text.count("cannot be read") == 1


async def test_without_a_socket_it_says_what_to_mount(tmp_path: Path) -> None:
    found = PodResources(tmp_path)
    await found.look()
    assert found.held is None
    assert found.why == f"{tmp_path}/kubelet.sock is not there: mount its directory from the node"


async def test_a_folder_that_may_not_be_looked_into_is_told_and_looked_at_again() -> None:
    # Root may look into every folder: a name that no file can have fails in the same way.
    found = PodResources(Path("/" + "x" * 300))
    await found.look()
    await found.look()
    assert found.held is None
    assert "cannot be reached (File name too long)" in str(found.why)


async def test_a_kubelet_that_hangs_costs_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(podresources, "CALL_SECONDS", 0.3)
    with (
        tempfile.TemporaryDirectory(prefix="kubelet-") as folder,
        socket.socket(socket.AF_UNIX) as deaf,
    ):
        deaf.bind(f"{folder}/kubelet.sock")
        deaf.listen()
        found = PodResources(Path(folder))
        await found.look()
    assert "the kubelet does not answer List" in str(found.why)


def test_grpc_is_loaded_by_nobody_who_does_not_ask_the_kubelet() -> None:
    script = "import sys, sidecar.__main__, sidecar.podresources; assert 'grpc' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0


async def test_without_grpcio_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    found = PodResources(tmp_path)
    await found.look()
    assert found.why == "grpcio is missing: pip install 'forescale[agent]'"
