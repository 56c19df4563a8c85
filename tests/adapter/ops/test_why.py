"""The why page over HTTP: JSON for a question that is whole, words for one that is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession

from adapter.api import query
from adapter.model import why as model
from adapter.model.catalogue import METRICS
from adapter.model.owners import KNOWN
from adapter.model.queried import Board, Figure, Key
from adapter.model.snapshot import Snapshot
from adapter.model.target import DESIRED_REPLICAS
from adapter.ops import server
from adapter.ops.probes import Probes
from adapter.ops.turn import REST
from adapter.ops.why import Why
from adapter.settings import ObjectQuery, Ops, Prometheus
from adapter.telemetry import Metrics
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START, WALL, World, serving_pod

ASKED = {
    "namespace": NAMESPACE,
    "kind": "Deployment",
    "name": DEPLOYMENT,
    "metric": "llm_inference_pending_requests",
}


QUERY = Prometheus(objects=(ObjectQuery("jobs_waiting", "q"),))
JOBS = Key("jobs_waiting", "Deployment.apps", NAMESPACE, "llm")
BOARD = Board.of(QUERY, KNOWN, 60.0).after({JOBS: Figure(7.0, START + 20)}, {}, START + 20)


class Scene:
    """The ops port over a Snapshot that the test sets."""

    snapshot: Snapshot | None = None
    url = ""

    async def get(self, **changes: str) -> tuple[int, dict[str, object]]:
        asked = {key: value for key, value in (ASKED | changes).items() if value}
        async with ClientSession() as session, session.get(self.url, params=asked) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    world = World(serving_pod("a"))
    world.say["a"] = {"pending": 5.0}
    made.snapshot = world.advance(20)
    probes = Probes(read=lambda: made.snapshot, now=lambda: 0.0, first_try_seconds=1.0)
    why = Why(read=lambda: made.snapshot, choose=query.choice, board=lambda: BOARD)
    runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics(), why)
    made.url = f"http://127.0.0.1:{port}/why"
    yield made
    await runner.cleanup()


async def test_a_whole_question_gets_the_story(scene: Scene) -> None:
    status, story = await scene.get()
    assert status == 200
    assert story["view"] == "mean 15s"
    assert story["total"] == {"served": "5", "why": None}
    assert story["pods"] == [
        {
            "name": "a",
            "standing": "serving",
            "heardSecondsAgo": 0.0,
            "figure": {
                "raw": 5.0,
                "ageSeconds": 0.0,
                "freshness": "fresh",
                "served": "5",
                "why": None,
                "note": None,
            },
            "nearOom": None,
            "phases": [{"name": "container_started", "at": WALL - 600}],
        }
    ]


async def test_the_view_can_be_chosen_as_in_an_hpa(scene: Scene) -> None:
    _, story = await scene.get(metricLabelSelector="stat=raw")
    assert story["view"] == "raw"
    status, told = await scene.get(metricLabelSelector="stat=best")
    assert status == 400
    assert "stat=`best` is not known" in str(told["error"])


async def test_the_pods_of_an_hpas_selector_are_told_where_the_owner_has_none(scene: Scene) -> None:
    status, story = await scene.get(kind="Rollout", name="r", labelSelector="app=llm-inference")
    assert (status, story["total"]) == (200, None)
    assert "no pod is known as Rollout r's by its owner" in str(story["pods"])


async def test_a_forecast_has_a_story_under_its_own_name_and_no_views(scene: Scene) -> None:
    ahead = "llm_inference_inflight_requests_forecast"
    status, story = await scene.get(metric=ahead)
    assert (status, story["metric"], story["prospect"]) == (200, ahead, None)
    assert "forescale.dev/forecast" in str(story["total"])
    status, told = await scene.get(metric=ahead, metricLabelSelector="stat=max")
    assert (status, "leave the rest out" in str(told["error"])) == (400, True)
    status, told = await scene.get(metricLabelSelector="stat=forecast")
    assert (status, "it falls when pods are added" in str(told["error"])) == (404, True)


async def test_replicas_and_queries_have_a_story_too(scene: Scene) -> None:
    _, story = await scene.get(metric=DESIRED_REPLICAS)
    assert "its pods have no target" in str(story["total"])
    status, story = await scene.get(metric="jobs_waiting", name="llm")
    assert status == 200
    assert dict(story["object"])["served"] == "7"  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"kind": "", "name": ""}, 400, "missing: kind, name; needed are namespace, kind,"),
        ({"metric": "llm"}, 404, "no metric is called llm; served are nvidia_gpu_utilization"),
        ({"metric": "llm"}, 404, "forescale_desired_replicas, jobs_waiting"),
        ({"name": "other"}, 404, "known there: llm-inference-deployment"),
        (
            {"metric": DESIRED_REPLICAS, "name": "other"},
            404,
            "Deployment other in namespace default has no pod",
        ),
        ({"metric": "jobs_waiting", "kind": "Service"}, 404, "served for Deployment alone"),
        ({"metric": "jobs_waiting", "metricLabelSelector": "stat=raw"}, 400, "has no views"),
        ({"labelSelector": "a b"}, 400, "labelSelector: `a b`"),
    ],
)
async def test_what_cannot_be_told_is_an_error_in_words(
    scene: Scene, changes: dict[str, str], status: int, words: str
) -> None:
    code, told = await scene.get(**changes)
    assert code == status
    assert words in str(told["error"])


async def test_before_the_first_snapshot_it_says_so(scene: Scene) -> None:
    scene.snapshot = None
    status, told = await scene.get()
    assert status == 503
    assert "just started" in str(told["error"])


async def test_stories_are_told_one_after_another_with_rests_between_them(scene: Scene) -> None:
    world = World(*(serving_pod(f"llm-{number}") for number in range(1000)))
    scene.snapshot = world.advance()
    loop = asyncio.get_running_loop()
    began, burned = loop.time(), time.process_time()
    told = await asyncio.gather(*(scene.get(kind="Pod", name="*") for _ in range(8)))
    assert [status for status, _ in told] == [200] * 8
    assert loop.time() - began > (1 + REST) * 8 * 0.5 * _seconds_of_one(scene.snapshot)
    assert time.process_time() - burned < 0.7 * (loop.time() - began)


def _seconds_of_one(snapshot: Snapshot) -> float:
    """The least time that a story of all pods takes here."""
    metric = METRICS[ASKED["metric"]]
    taken = []
    for _ in range(3):
        began = time.process_time()
        place = {"namespace": NAMESPACE, "kind": "Pod", "name": "*"}
        msgspec.json.encode(model.tell(snapshot, metric, model.Choice(metric.view), **place))
        taken.append(time.process_time() - began)
    return min(taken)
