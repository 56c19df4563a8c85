"""Rates and latencies through the real aggregator: what is served is what the traffic was."""

from __future__ import annotations

import asyncio

import pytest

from adapter.model.quantity import parse_milli
from tests.e2e.scene import DEPLOYMENT, Scene, refusal

ARRIVALS = "llm_inference_arrival_rate"
QUEUE_TIME = "llm_inference_queue_time_seconds"


async def test_what_arrived_is_the_rate_times_its_window_and_latencies_are_merged(
    scene: Scene,
) -> None:
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=2)
    ready = {pod["metadata"]["name"] for pod in scene.kubelet.ready(scene.namespace)}
    await scene.until_served(ARRIVALS, ready)
    # A window over a minute counts a pod's first ten-second step whole, however little of it is
    # known: no traffic falls into that one.
    await asyncio.sleep(10)
    scene.traffic.rate = 6.0
    await asyncio.sleep(20)
    scene.traffic.rate = 0.0
    await asyncio.sleep(5)
    group = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{scene.namespace}"

    chosen = "?metricLabelSelector=stat%3Dmean%2Cwindow%3D120s"
    items = (await scene.raw(f"{group}/pods/*/{ARRIVALS}{chosen}"))["items"]
    counted = sum(parse_milli(item["value"]) / 1000 * item["windowSeconds"] for item in items)
    assert scene.traffic.failed == 0
    assert scene.traffic.served > 100
    assert counted == pytest.approx(scene.traffic.served, rel=0.1)

    owned = f"{group}/deployments.apps/{DEPLOYMENT}/{QUEUE_TIME}"
    (merged,) = (await scene.raw(f"{owned}?metricLabelSelector=agg%3Dmerged"))["items"]
    assert 0 < parse_milli(merged["value"]) < 60_000
    error = await refusal(scene.api.get(owned))
    assert error.code == 400
    assert "no total" in str(error)
