"""By the forecast the real controller has pods ready before the load is there, else too late."""

from __future__ import annotations

import asyncio
import re

import pytest

from adapter.model.target import DEMANDS
from tests.controlplane.api import ApiError
from tests.e2e import lessons
from tests.e2e.followers import Followers
from tests.e2e.rivals import Rival, rivals, watch
from tests.e2e.scene import DEPLOYMENT, Scene

GPU = DEMANDS["gpu"]
AHEAD = f"{GPU}_forecast"
NOW, THEN = 20, 26  # percent: two and three pods of ten

INFLIGHT = DEMANDS["inflight"]
REPLICAS = "forescale_desired_replicas"
TARGET = 3.6  # requests in flight a pod: nine tenths of the four that it serves at a time
RATE = 12.0  # requests a second, each of half a second: 6 in flight
# Azure LLM inference trace 2024 (code), requests in ten seconds: the mean of 40 s, then the minute
# from 567,490 s on. At RATE they end at 18.9 a second, 9.5 in flight.
BEFORE, MINUTE = 311.0, (376.0, 411.0, 392.0, 392.0, 481.0, 491.0)
SPEED = 7.5  # as many times as fast as it was
SIZE = 0.18  # of the ups and downs before: half as much again within a minute, now and then
COLD_SECONDS = 60.0 / SPEED
KNOWN_SECONDS = 24.0  # of starts before, so that a slow machine's are none that nobody has seen


async def test_pods_are_asked_for_before_the_load_is_there_and_beside_it_when_it_is(
    scene: Scene,
) -> None:
    scene.llm.busy_percent = NOW
    await scene.deploy(hpa=False)
    followers = Followers(scene)
    await followers.annotate({"forescale.dev/target": "gpu=10", "forescale.dev/forecast": "act"})
    await asyncio.sleep(lessons.PAST_SECONDS)
    learnt = await asyncio.to_thread(lessons.restless, float(NOW))
    key = lessons.demand_of(scene.namespace, DEPLOYMENT, GPU)
    async with lessons.taught(scene, {key: learnt}):
        await scene.adapters.install()
        await asked_for_before_the_load_is_there(scene, followers)


async def asked_for_before_the_load_is_there(taught: Scene, followers: Followers) -> None:
    await followers.add("ahead", AHEAD, "10")
    await followers.add("behind", GPU, "10")
    assert await followers.until("behind", 2) == 2
    assert await followers.until("ahead", 3, 4) in (3, 4), "as many as the load of then needs"
    assert await followers.replicas("behind") == 2
    told = await taught.forescale("why", f"deployment/{DEPLOYMENT}", "-n", taught.namespace)
    assert "served is the forecast" in told
    (of_the_pod,) = (await taught.values(AHEAD)).values()
    assert of_the_pod > THEN
    with pytest.raises(
        ApiError, match=r"annotate its pod template forescale\.dev/target: inflight"
    ):
        await taught.total(f"{INFLIGHT}_forecast")

    taught.llm.busy_percent = THEN
    assert await followers.until("behind", 3) == 3


async def test_on_a_ramp_the_forecasts_pods_are_ready_before_the_queue_of_the_others_forms(
    scene: Scene,
) -> None:
    """Two Deployments alike but for a word: one acts on the forecast, the other observes it.

    The ramp is a minute of a real trace, and a cold start takes a minute, too, both in 8 s: 7.5
    times as fast, as the 2 s of the controller's sync are for its 15 s. The adapter's views and the
    forecast's horizon are in seconds as they are.
    """
    names, namespace = ("ahead", "behind"), scene.namespace
    known = lessons.starts_before(20, KNOWN_SECONDS)
    starts = {lessons.key_before(namespace, name): known for name in names}
    async with rivals(scene, *names) as (ahead, behind):
        await load(scene, ahead, behind)
        learnt = await asyncio.to_thread(lessons.restless, RATE / 2, SIZE)
        demands = {lessons.demand_of(namespace, name, INFLIGHT): learnt for name in names}
        async with lessons.taught(scene, demands, starts):
            await autoscale(scene, ahead, behind)
            await ahead.until_ready(3)
            assert (behind.ready(), (await behind.look()).replicas) == (2, 2)
            await told_by_why(scene)
            await ramp(ahead, behind)
    print(ahead.looks, behind.looks, sep="\n")  # where it fails
    formed = next(look.at for look in behind.looks if look.waiting >= 5)
    there = next(look.at for look in behind.looks if look.ready >= 3)
    assert formed < there, "today's load asks for the pod less than a cold start before the queue"
    assert max(look.waiting for look in behind.looks) >= 10
    assert min(look.ready for look in ahead.looks) >= 3
    assert max(look.waiting for look in ahead.looks) <= 2
    assert ahead.traffic.failed == behind.traffic.failed == 0


async def load(scene: Scene, ahead: Rival, behind: Rival) -> None:
    """Bring both to two pods and the same load; pods that come later take longer to start."""
    for rival, mode in ((ahead, "act"), (behind, "observe")):
        noted = {"forescale.dev/target": f"inflight={TARGET}", "forescale.dev/forecast": mode}
        await rival.deploy(2, noted)
    for rival in (ahead, behind):
        await rival.until_ready(2)
        rival.traffic.rate = RATE
    scene.llm.cold_start_seconds = COLD_SECONDS
    await asyncio.sleep(lessons.PAST_SECONDS)


async def autoscale(scene: Scene, *both: Rival) -> None:
    """Let HPAs alike look after them."""
    await scene.adapters.install()
    for rival in both:
        async with asyncio.timeout(30):
            while not await is_loaded(scene, rival):
                await asyncio.sleep(0.5)
        await rival.autoscale(REPLICAS, "1", 4)


async def is_loaded(scene: Scene, rival: Rival) -> bool:
    """Tell whether the mean of the quarter of a minute is the whole traffic."""
    try:
        return await scene.total(INFLIGHT, rival.name) > RATE / 2 - 0.5
    except ApiError:  # no value yet
        return False


async def told_by_why(scene: Scene) -> None:
    """`forescale why` tells each one's forecast, and what became of it."""
    text = await scene.forescale("why", "deployment/ahead", "-n", scene.namespace)
    assert "served is the forecast" in text, text
    told = re.findall(r"\n +horizon: \d+ s: cold start (\d+) s \(", text)
    assert told, text
    assert {float(cold) for cold in told} == {KNOWN_SECONDS}, text
    text = await scene.forescale("why", "deployment/behind", "-n", scene.namespace)
    assert "present value: it observes" in text, text


async def ramp(ahead: Rival, behind: Rival) -> None:
    """Let the load of both grow by half, until the one that was late has its pods."""
    for requests in MINUTE:
        for rival in (ahead, behind):
            rival.traffic.rate = RATE * requests / BEFORE
        await watch([ahead, behind], 10.0 / SPEED)
    async with asyncio.timeout(30):
        while behind.looks[-1].ready < 3:
            await watch([ahead, behind], 1.0)
