"""By the forecast the real controller asks for pods before the load is there, else when it is."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from adapter.intake.kept import Demands
from adapter.intake.shards import NAME
from adapter.model import remembered
from adapter.model.checkpoint import shard_of_workload
from adapter.model.forecast import TICK_SECONDS, Forecaster
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS, metric_of
from tests.controlplane.api import ApiError
from tests.e2e.adapters import NAMESPACE
from tests.e2e.followers import Followers
from tests.e2e.scene import DEPLOYMENT, Scene

GPU = DEMANDS["gpu"]
AHEAD = f"{GPU}_forecast"
NOW, THEN = 20, 26  # percent: two and three pods of ten
TAUGHT_HOURS = 4


def restless(dice: np.random.Generator) -> Forecaster:
    """Return what is learnt of hours of a load that goes up and down by a quarter in minutes.

    It ends a moment ago: an adapter that starts now goes on with it.
    """
    found, level, now = Forecaster(), 0.0, time.time()
    for number in range(TAUGHT_HOURS * 120, 0, -1):
        level = 0.95 * level + 0.06 * float(dice.standard_normal())
        calm = number <= 8  # the last four minutes are as those that are to come
        demand = float(NOW) if calm else NOW * math.exp(level)
        found.observe(now - number * TICK_SECONDS, demand)
    return found


@pytest.fixture
async def taught(scene: Scene) -> AsyncIterator[Scene]:
    """A cluster in which an adapter has learnt before, and is not there any more."""
    metric = metric_of(GPU)
    assert metric is not None
    key = TotalKey(scene.namespace, "Deployment.apps", DEPLOYMENT, GPU, metric.view)
    packed = remembered.remember(await asyncio.to_thread(restless, np.random.default_rng(1)))
    assert packed is not None
    number = shard_of_workload(scene.namespace, DEPLOYMENT)
    name = f"{NAME}-{number}"
    data = {Demands.name: remembered.encode({key: packed})[number]}
    head = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}"
    await scene.controlplane.kubectl("apply", "-f", "-", stdin=head)
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    forget = ("-n", NAMESPACE, "delete", "configmap", name, "--ignore-not-found")
    await scene.controlplane.kubectl(*forget)
    await scene.api.post(maps, {"metadata": {"name": name}, "data": data})
    yield scene
    await scene.controlplane.kubectl(*forget)


async def test_pods_are_asked_for_before_the_load_is_there_and_beside_it_when_it_is(
    taught: Scene,
) -> None:
    taught.llm.busy_percent = NOW
    await taught.adapters.install()
    await taught.deploy(hpa=False)
    with pytest.raises(ApiError, match=r"annotate its pod template forescale\.dev/forecast"):
        await taught.total(AHEAD)
    noted = {"forescale.dev/target": "gpu=10", "forescale.dev/forecast": "act"}
    followers = Followers(taught)
    await followers.annotate(noted)
    await followers.add("ahead", AHEAD, "10")
    await followers.add("behind", GPU, "10")
    assert await followers.until("behind", 2) == 2
    assert await followers.until("ahead", 3, 4) in (3, 4), "as many as the load of then needs"
    assert await followers.replicas("behind") == 2
    told = await taught.forescale("why", f"deployment/{DEPLOYMENT}", "-n", taught.namespace)
    assert "served is the forecast" in told
    (of_the_pod,) = (await taught.values(AHEAD)).values()
    assert of_the_pod > THEN

    taught.llm.busy_percent = THEN
    assert await followers.until("behind", 3) == 3
