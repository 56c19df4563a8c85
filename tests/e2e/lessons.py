"""Lessons: what an adapter has learnt before a test, as the ConfigMaps that it goes on from."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np

from adapter.intake import kept
from adapter.intake.shards import NAME
from adapter.model import checkpoint, remembered
from adapter.model.forecast import TICK_SECONDS, Forecaster
from adapter.model.sighting import Key, Start
from adapter.model.snapshot import TotalKey
from adapter.model.target import metric_of
from tests.e2e.adapters import NAMESPACE
from tests.e2e.scene import Scene

PAST_SECONDS = 12.0  # that pods have had the load by then: a window's step is ten
TAUGHT_HOURS = 4
CALM_TICKS = 8  # the last four minutes are as those that are to come


def restless(usual: float, size: float = 0.06) -> Forecaster:
    """Return what is learnt of hours of a load that goes up and down by a quarter in minutes.

    It ends now: an adapter that starts goes on with it, if what the load is until then is in the
    windows of pods that had it before; else it would not be believed for half an hour.
    """
    dice = np.random.default_rng(1)
    found, level, now = Forecaster(), 0.0, time.time()
    for number in reversed(range(TAUGHT_HOURS * 120)):
        level = 0.95 * level + size * float(dice.standard_normal())
        demand = usual if number < CALM_TICKS else usual * math.exp(level)
        found.observe(now - number * TICK_SECONDS, demand)
    return found


def demand_of(namespace: str, deployment: str, metric_name: str) -> TotalKey:
    metric = metric_of(metric_name)
    assert metric is not None
    return TotalKey(namespace, "Deployment.apps", deployment, metric_name, metric.view)


def starts_before(count: int, seconds: float, *, new_node: bool = False) -> list[Start]:
    """Return starts of an hour ago that took so long; of their phases nothing is known."""
    at = time.time() - 3_600.0
    return [Start(seconds, ended=True, at=at, new_node=new_node)] * count


def key_before(namespace: str, deployment: str) -> Key:
    """Return the key of the pods of another template, which count by half."""
    return Key(namespace, f"Deployment/{deployment}", "before")


@asynccontextmanager
async def taught(
    scene: Scene,
    demands: Mapping[TotalKey, Forecaster] | None = None,
    starts: Mapping[Key, Sequence[Start]] | None = None,
) -> AsyncIterator[None]:
    """Write the lessons where adapters look at their start; they are gone at the end."""
    packed = {key: remembered.remember(one) for key, one in (demands or {}).items()}
    known = {key: one for key, one in packed.items() if one is not None}
    assert known.keys() == packed.keys(), "too little for a forecast"
    texts = {
        kept.Demands.name: remembered.encode(known),
        kept.Starts.name: checkpoint.encode(starts or {}, time.time()),
    }
    head = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}"
    await scene.controlplane.kubectl("apply", "-f", "-", stdin=head)
    await _forget(scene)
    for number in range(checkpoint.SHARDS):
        data = {what: shards[number] for what, shards in texts.items()}
        maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        await scene.api.post(maps, {"metadata": {"name": f"{NAME}-{number}"}, "data": data})
    yield
    await _forget(scene)


async def _forget(scene: Scene) -> None:
    names = [f"{NAME}-{number}" for number in range(checkpoint.SHARDS)]
    command = ("-n", NAMESPACE, "delete", "configmap", "--ignore-not-found", *names)
    await scene.controlplane.kubectl(*command)
