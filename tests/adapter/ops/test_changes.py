"""The changes over HTTP: what a workload's replicas did of late, as JSON, also of one that left."""

from __future__ import annotations

import json

import msgspec

from adapter.model.fleet import Owner
from tests.adapter.model.world import WALL, serving_pod
from tests.adapter.ops.statuspage import Scene, busy

NAMED = "namespace=default&kind=Deployment&name=llm-inference-deployment"
ASKED = f"/status/changes?{NAMED}"


async def test_each_change_is_told_with_its_time_and_when_the_looking_began() -> None:
    async with Scene(busy("a")).serving() as scene:
        await scene.look(5)
        code, text = await scene.get(ASKED)
        assert (code, json.loads(text)) == (200, {"since": WALL + 5, "changes": []})
        scene.world.pods["b"] = serving_pod("b", phase="Pending")
        await scene.look(20)
        scene.world.pods.clear()
        await scene.look(20)
        code, text = await scene.get(ASKED)
    gone, come = json.loads(text)["changes"]
    assert code == 200
    assert (come["at"], come["scaled"], gone["at"]) == (WALL + 25, True, WALL + 45)
    assert come["words"].startswith("2 -> 3 replicas, with inflight 24 in total, pending 8, gpu 50")
    assert gone["words"].startswith("3 -> 0 replicas, with ")


async def test_a_workload_that_was_not_seen_is_an_error_in_words() -> None:
    async with Scene(busy("a")).serving() as scene:
        await scene.look()
        for asked in ("/status/changes", f"{ASKED}2", "/status/changes?kind=<b>"):
            code, text = await scene.get(asked)
            said = "no such workload had a row on the status page lately"
            assert (code, json.loads(text)) == (404, {"error": said})


async def test_a_tenants_words_lose_what_steers_a_terminal_and_are_cut() -> None:
    hostile = "\x1b[31m\u202e" + "x" * 4000
    async with Scene(busy("a")).serving() as scene:
        owner = (Owner("Deployment.apps", "bad"),)
        bad = msgspec.structs.replace(serving_pod("c"), owners=owner, source_problem=hostile)
        scene.world.pods["c"] = bad
        scene.world.say["c"] = scene.world.say["a"]
        await scene.look(5)
        del scene.world.say["c"]
        await scene.look(200)
        _, text = await scene.get("/status/changes?namespace=default&kind=Deployment&name=bad")
    (change,) = json.loads(text)["changes"]
    assert "has no value" in change["words"]
    assert change["words"].isprintable()
    assert len(change["words"]) <= 301
