"""One frame of a node agent: each pod of its node gets its own GPUs, and no other pod any."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from adapter.intake.nodeframes import NodeReader
from adapter.intake.subscribe import Subscriber
from adapter.model.batch import Origin, Point, Reading
from adapter.model.fleet import Fleet, Pod, SourceKind
from adapter.model.holding import Holding
from adapter.telemetry import Metrics
from sidecar import wire
from sidecar.wire import Ages, Attribution, GpuReading, Held
from tests.adapter.intake.streaming import SETTINGS, collect
from tests.fakes.kubelet import FakeKubelet
from tests.fakes.kubelet import pod as listed
from tests.fakes.nvml import FakeGpus

ONE, TWO = (f"GPU-0000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
AGENT = Pod(
    uid="agent",
    namespace="forescale-system",
    name="forescale-agent-x",
    labels={},
    phase="Running",
    node="node-a",
    service_account="forescale-agent",
    source=SourceKind.NODE,
)
ACCOUNT = "forescale-system/forescale-agent"


def llm(name: str, **changes: object) -> Pod:
    found = Pod(
        uid=f"uid-{name}",
        namespace="default",
        name=name,
        labels={},
        phase="Running",
        node="node-a",
        source=None,
        holding=Holding(requested=1),
    )
    return structs.replace(found, **changes)


def frame(*held: Held, **changes: object) -> wire.Frame:
    fields: dict[str, object] = {
        "schema": 1,
        "boot": "b",
        "seq": 1,
        "period_seconds": 2.0,
        "age_seconds": Ages(gpu=0.5, held=0.0),
        "visible": (
            GpuReading(ONE, 10.0, minor=0, index=0),
            GpuReading(TWO, 90.0, minor=1, index=1),
        ),
        "held": held,
        "attribution": Attribution(scope=wire.NODE),
    }
    return wire.Frame(**(fields | changes))  # type: ignore[arg-type]


def held(name: str, *devices: str, namespace: str = "default") -> Held:
    return Held(namespace, name, devices)


class Node:
    """One agent's reader and the pods that the API server shows."""

    def __init__(self, *pods: Pod) -> None:
        self.fleet = Fleet.of([AGENT, *pods])
        self._reader = NodeReader("agent", lambda: self.fleet)

    def read(self, sent: wire.Frame, now: float = 100.0) -> dict[str, Reading]:
        found = list(self._reader.read(sent, now, lambda *_: None))
        assert all(one.origin is Origin.NODE for one in found)
        return {one.uid: one for one in found}


def busy(found: Reading) -> float | None:
    return next((p.value for p in found.points if p.series == "gpu_busy_percent"), None)


def why(found: Reading) -> str:
    return found.why.get("gpu", "")


def test_each_pod_gets_its_own_gpu_and_its_time() -> None:
    found = Node(llm("a"), llm("b")).read(frame(held("a", ONE), held("b", TWO)))
    assert {uid: busy(one) for uid, one in found.items()} == {"uid-a": 10.0, "uid-b": 90.0}
    assert Point("gpu_busy_percent", 99.5, 10.0) in found["uid-a"].points


@pytest.mark.parametrize("text", [TWO, "1", "nvidia1", "gpu.nvidia.com/node-a/gpu-1"])
def test_every_spelling_of_a_device_leads_to_it_on_the_node(text: str) -> None:
    assert busy(Node(llm("a")).read(frame(held("a", text)))["uid-a"]) == 90.0


def test_no_pod_of_another_node_or_name_or_namespace_gets_anything() -> None:
    node = Node(llm("elsewhere", node="node-b"), llm("a", namespace="other"))
    found = node.read(frame(held("elsewhere", ONE), held("a", TWO)))
    assert "uid-elsewhere" not in found
    assert busy(found["uid-a"]) is None
    assert "list no GPU for this pod" in why(found["uid-a"])


def test_an_ended_pod_that_the_kubelet_still_lists_takes_no_gpu_from_its_heir() -> None:
    gone = llm("gone", phase="Succeeded")
    found = Node(gone, llm("heir")).read(frame(held("gone", ONE), held("heir", ONE)))
    assert {uid: busy(one) for uid, one in found.items()} == {"uid-heir": 10.0}


def test_a_new_pod_of_an_old_name_is_not_given_the_old_ones_gpu() -> None:
    node = Node(llm("a"))
    node.read(frame(held("a", ONE)))
    node.fleet = Fleet.of([AGENT, llm("a", uid="new")])
    stale = node.read(frame(held("a", ONE), age_seconds=Ages(gpu=0.1, held=8.0)), 105.0)
    assert busy(stale["new"]) is None
    assert "before this pod ran here" in why(stale["new"])
    both = node.read(frame(held("a", ONE), held("a", TWO)), 106.0)
    assert "two pods of this name" in why(both["new"])
    assert busy(node.read(frame(held("a", TWO)), 107.0)["new"]) == 90.0


def test_a_replica_of_a_shared_gpu_and_one_that_two_pods_hold_are_withheld() -> None:
    found = Node(llm("a"), llm("b")).read(frame(held("a", f"{ONE}::0"), held("b", f"{ONE}::1")))
    assert [busy(one) for one in found.values()] == [None, None]
    assert "one replica of several" in why(found["uid-a"])
    found = Node(llm("a"), llm("b")).read(frame(held("a", ONE), held("b", ONE)))
    assert [why(one) for one in found.values()] == ["several pods hold the same GPU"] * 2
    allowed = Holding(requested=1, sharing_allowed=True)
    found = Node(llm("a", holding=allowed), llm("b")).read(frame(held("a", ONE), held("b", ONE)))
    assert (busy(found["uid-a"]), busy(found["uid-b"])) == (10.0, None)


def test_what_the_api_server_says_of_a_pod_stands_before_the_kubelets_list() -> None:
    said = Holding(ids=(TWO,), how="ResourceClaim", requested=1)
    assert busy(Node(llm("a", holding=said)).read(frame(held("a", ONE)))["uid-a"]) == 90.0


def test_pods_without_a_gpu_are_not_spoken_of() -> None:
    assert Node(llm("web", holding=Holding())).read(frame()) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"held": None, "attribution": Attribution(why="mount its directory")}, "mount its"),
        ({"visible": None, "attribution": Attribution(why="no driver")}, "no driver"),
        ({"age_seconds": Ages(gpu=0.1)}, "does not know who holds"),
        ({"age_seconds": None}, "does not know who holds"),
    ],
)
def test_what_the_agent_lacks_is_said_of_every_pod_that_waits_for_it(
    changes: dict[str, object], words: str
) -> None:
    found = Node(llm("a")).read(frame(held("a", ONE), **changes))["uid-a"]
    assert busy(found) is None
    assert words in why(found)


@pytest.fixture
def kubelet() -> Iterator[FakeKubelet]:
    with FakeKubelet() as running:
        yield running


@asynccontextmanager
async def agent(kubelet: FakeKubelet, port: int) -> AsyncIterator[None]:
    """Run the real agent on loopback; it reads the GPUs of the environment."""
    argv = ("--host", "127.0.0.1", "--port", str(port), "--pod-uid", "agent")
    folder = ("--pod-resources", str(kubelet.folder))
    command = (sys.executable, "-m", "sidecar.cli", "agent", *argv, *folder)
    process = await asyncio.create_subprocess_exec(*command, env=dict(os.environ))
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    fake = FakeGpus(tmp_path, count=2)
    for name, value in fake.env().items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.mark.process
async def test_a_real_agent_tells_of_a_pod_that_has_no_source_of_its_own(
    kubelet: FakeKubelet, gpus: FakeGpus, unused_tcp_port: int
) -> None:
    gpus.set(1, busy_percent=70)
    kubelet.pods = [listed("a", gpus.uuids[1])]
    speaker = structs.replace(AGENT, ip="127.0.0.1", port=unused_tcp_port)
    settings = structs.replace(SETTINGS, node_sources=ACCOUNT, silence_seconds=6.0)
    async with agent(kubelet, unused_tcp_port), Subscriber(settings, Metrics()) as subscriber:
        subscriber.follow(Fleet.of([speaker, llm("a")], version=1))
        batch = await collect(subscriber, lambda b: any(map(busy, b.readings)), 30.0)
    told = next(one for one in batch.readings if busy(one))
    assert (told.uid, told.origin, busy(told)) == ("uid-a", Origin.NODE, 70.0)


async def test_a_tenants_pod_with_the_agents_labels_gets_nowhere(
    kubelet: FakeKubelet,
    gpus: FakeGpus,
    unused_tcp_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kubelet.pods = [listed("a", gpus.uuids[1])]
    spoof = structs.replace(AGENT, ip="127.0.0.1", port=unused_tcp_port, namespace="tenant")
    settings = structs.replace(SETTINGS, node_sources=ACCOUNT)
    async with agent(kubelet, unused_tcp_port), Subscriber(settings, Metrics()) as subscriber:
        subscriber.follow(Fleet.of([spoof, llm("a")], version=1))
        await asyncio.sleep(1.0)
        assert subscriber.collect().readings == ()
        assert subscriber.tried()
        sidecar = structs.replace(spoof, source=SourceKind.SIDECAR)  # as what it may be: one pod
        subscriber.follow(Fleet.of([sidecar, llm("a")], version=2))
        batch = await collect(subscriber, lambda b: bool(b.readings), 30.0)
    assert {one.uid for one in batch.readings} == {"agent"}
    assert "node_source_refused" in caplog.text


async def test_an_agent_that_falls_silent_is_told_of_its_pods(unused_tcp_port: int) -> None:
    speaker = structs.replace(AGENT, ip="127.0.0.1", port=unused_tcp_port)
    settings = structs.replace(SETTINGS, node_sources=ACCOUNT)
    async with Subscriber(settings, Metrics()) as subscriber:
        subscriber.follow(Fleet.of([speaker, llm("a"), llm("b", node="node-b")], version=1))
        batch = await collect(subscriber, lambda b: bool(b.readings))
    assert {one.uid for one in batch.readings} == {"uid-a"}
    there = f"http://127.0.0.1:{unused_tcp_port}"
    assert f"nothing listens at {there} (connection refused)" in why(batch.readings[0])
