"""The history over HTTP: the course of a workload that has a row, as JSON."""

from __future__ import annotations

import json

from tests.adapter.model.world import WALL
from tests.adapter.ops.statuspage import Scene, busy

ASKED = "/status/history?namespace=default&kind=Deployment&name=llm-inference-deployment"


async def test_the_course_of_a_workload_is_told_look_by_look() -> None:
    async with Scene(busy("a", "b")).serving() as scene:
        for _ in range(4):
            await scene.look(5)
        code, text = await scene.get(ASKED)
    story = json.loads(text)
    assert code == 200
    assert (story["unit"], story["now"]) == ("requests", WALL + 20)
    lines = {line["name"]: line["values"] for line in story["lines"]}
    last = story["at"].index(WALL + 20)
    assert lines["smoothed"][last - 3 : last + 1] == [36, 36, 36, 36]  # a third pod is silent
    assert lines["pods"][last] == 3
    assert lines["forecast"][last] is None
    assert story["servesAt"] > WALL + 20


async def test_a_workload_without_a_row_is_an_error_in_words() -> None:
    async with Scene(busy("a")).serving() as scene:
        await scene.look()
        for asked in ("/status/history", f"{ASKED}2", "/status/history?kind=<b>"):
            code, text = await scene.get(asked)
            assert (code, json.loads(text)) == (
                404,
                {"error": "no such workload has a row on the status page"},
            )


async def test_what_has_gone_is_forgotten_after_a_while() -> None:
    scene = Scene(busy("a"))
    await scene.look()
    scene.world.pods.clear()
    await scene.look()
    assert len(scene.status._courses) == 1
    (decisions,) = scene.status._decisions.values()
    assert decisions.kept[0].words.startswith("2 -> 0 replicas, with ")
    await scene.look(1900)
    assert scene.status._courses == scene.status._decisions == {}
