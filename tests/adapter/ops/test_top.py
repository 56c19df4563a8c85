"""The top page over HTTP: all workloads or those that are asked for, as a query would get them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from adapter.model.fleet import Owner, Pod
from adapter.model.holding import Holding
from adapter.model.snapshot import Snapshot
from adapter.model.word import Word
from adapter.ops import server, top
from adapter.ops.probes import Probes
from adapter.ops.top import Top
from adapter.settings import Ops
from adapter.telemetry import Metrics, release
from tests.adapter.model.world import DEPLOYMENT, WALL, World, serving_pod
from tests.adapter.ops.statuspage import BUSY, busy

Json = dict[str, object]


class Scene:
    """The ops port over pods that the test sets."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.url = ""

    async def get(self, **asked: str) -> tuple[int, Json]:
        async with ClientSession() as session, session.get(self.url, params=asked) as answer:
            return answer.status, await answer.json()

    async def names(self, **asked: str) -> list[str]:
        _, told = await self.get(**asked)
        assert isinstance(told["workloads"], list)
        return [f"{one['namespace']}/{one['kind']}/{one['name']}" for one in told["workloads"]]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    page = Top(lambda: made.snapshot)
    runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics(), page)
    made.url = f"http://127.0.0.1:{port}/top"
    yield made
    await runner.cleanup()


async def test_a_workload_is_told_with_its_pods_and_its_totals(scene: Scene) -> None:
    scene.snapshot = busy("a", "b").advance(20)
    status, told = await scene.get()
    assert (status, told["takenAt"], told["more"]) == (200, WALL + 20, 0)
    assert told["workloads"] == [
        {
            "namespace": "default", "kind": "Deployment", "name": DEPLOYMENT,
            "replicas": 3, "served": 2, "held": 0, "loading": 0, "omitted": 1,
            "pending": 12.0, "gpuPercent": 50.0,
            "demandOf": "llm_inference_inflight_requests", "demand": 36.0, "desired": None,
            "why": None, "gpusPerPod": None, "releases": {"": 2},
        }
    ]  # fmt: skip


async def test_the_gpus_that_each_pod_asks_for_are_told_where_all_say_the_same(
    scene: Scene,
) -> None:
    async def gpus(*pods: Pod) -> object:
        scene.snapshot = World(*pods).advance(1)
        _, told = await scene.get()
        assert isinstance(told["workloads"], list)
        return told["workloads"][0]["gpusPerPod"]

    two, one = {"llm": 2, "sidecar": 0}, {"llm": 1}
    assert await gpus(serving_pod("a", gpus=two), serving_pod("b", gpus=two)) == 2
    assert await gpus(serving_pod("a", gpus=two), serving_pod("b", gpus=one)) is None
    assert await gpus(serving_pod("a", gpus={"sidecar": 0})) is None
    shared = Holding(sharing="its node shares each GPU among 4")
    assert await gpus(serving_pod("a", gpus=one, holding=shared)) is None


async def test_the_releases_of_the_sidecars_are_counted_and_few_of_them_told(
    scene: Scene,
) -> None:
    world = World(*(serving_pod(f"p{number}") for number in range(9)))
    world.say = dict.fromkeys(world.pods, BUSY)
    world.word = {f"p{number}": Word(release=f"0.{max(3, number)}\n") for number in range(8)}
    scene.snapshot = world.advance(2)
    _, told = await scene.get()
    assert told["release"] == release()
    (workload,) = told["workloads"]  # type: ignore[misc]
    releases = workload["releases"]
    assert (len(releases), releases["0.3 "]) == (top.MAX_NAMED, 4)


async def test_what_is_asked_for_is_shown_alone(scene: Scene) -> None:
    lone = serving_pod("lone", owners=(), namespace="other")
    rays = serving_pod("ray", owners=(Owner("RayCluster.ray.io", "rays"),))
    world = World(serving_pod("a"), lone, rays)
    world.say = dict.fromkeys(("a", "lone", "ray"), BUSY)
    scene.snapshot = world.advance(2)
    own, other = f"default/Deployment/{DEPLOYMENT}", "other/Pod/lone"
    ray = "default/RayCluster.ray.io/rays"
    assert await scene.names() == [own, ray, other]
    assert await scene.names(namespace="other") == [other]
    assert (
        await scene.names(kind="RayCluster") == await scene.names(kind="RayCluster.ray.io") == [ray]
    )
    assert await scene.names(name=DEPLOYMENT) == [own]
    assert await scene.names(namespace="empty") == []
    status, told = await scene.get(name="gone")
    assert (status, str(told["error"]).startswith("gone has no pod with a source")) == (404, True)


async def test_many_workloads_are_cut_and_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "MAX_WORKLOADS", 2)
    pods = [serving_pod(f"p{number}", owners=()) for number in range(5)]
    scene.snapshot = World(*pods).advance(1)
    assert (await scene.get())[1]["more"] == 3
    assert len(await scene.names()) == 2


async def test_before_the_first_snapshot_there_is_nothing_to_tell(scene: Scene) -> None:
    status, told = await scene.get()
    assert (status, "has just started" in str(told["error"])) == (503, True)
