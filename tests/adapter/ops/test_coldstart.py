"""The cold start page over HTTP: all workloads or the one that is asked for, in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from adapter.model.sighting import Key, Start
from adapter.ops import coldstart, server
from adapter.ops.coldstart import ColdStart
from adapter.ops.probes import Probes
from adapter.settings import Ops
from adapter.telemetry import Metrics
from tests.adapter.model.test_starting import NOW, Timeline, served

Json = dict[str, object]


class Scene:
    """The ops port over pods that the test sets."""

    def __init__(self) -> None:
        self.line = Timeline(served("a", 100), served("b", 120), at=300)
        self.url = ""

    async def get(self, **asked: str) -> tuple[int, Json]:
        async with ClientSession() as session, session.get(self.url, params=asked) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    for owner in ("Deployment/llm", "StatefulSet/llm"):
        start = Start(60, ended=True, at=NOW, uid=owner)
        made.line.starting.learnt.learn(Key("other", owner, ""), start)
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    page = ColdStart(made.line.starting, clock=lambda: NOW + 300)
    runner, port = await server.start(Ops("127.0.0.1", 0), probes, Metrics(), page)
    made.url = f"http://127.0.0.1:{port}/coldstart"
    yield made
    await runner.cleanup()


async def test_a_workload_is_told_as_json(scene: Scene) -> None:
    status, told = await scene.get(namespace="default", kind="Deployment", name="llm")
    assert (status, told["takenAt"], told["more"]) == (200, NOW + 300, 0)
    assert isinstance(told["workloads"], list)
    (story,) = told["workloads"]
    assert (story["namespace"], story["kind"], story["name"]) == ("default", "Deployment", "llm")
    assert story["warm"]["seconds"] == [100, 120]
    assert story["warm"]["p50Seconds"] == 100
    assert (story["newNode"], story["stuck"]) == (None, [])


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["default/Deployment", "other/Deployment", "other/StatefulSet"]),
        ({"namespace": "other"}, ["other/Deployment", "other/StatefulSet"]),
        ({"name": "llm", "kind": "StatefulSet"}, ["other/StatefulSet"]),
        ({"namespace": "none"}, []),
    ],
)
async def test_what_is_not_asked_for_is_all(
    scene: Scene, asked: dict[str, str], found: list[str]
) -> None:
    status, told = await scene.get(**asked)
    assert isinstance(told["workloads"], list)
    assert status == 200
    assert [f"{one['namespace']}/{one['kind']}" for one in told["workloads"]] == found


async def test_an_unknown_name_is_an_error_in_words(scene: Scene) -> None:
    status, told = await scene.get(name="x" * 300)
    assert status == 404
    assert str(told["error"]).startswith(f"nothing is known of a start of {'x' * 100}: no pod")


async def test_workloads_beyond_the_bound_are_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coldstart, "MAX_WORKLOADS", 2)
    _, told = await scene.get()
    assert isinstance(told["workloads"], list)
    assert (len(told["workloads"]), told["more"]) == (2, 1)
