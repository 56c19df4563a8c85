"""On a real ramp the HPA on the forecast has its pods before a queue forms, the other has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adapter.model.target import DEMANDS
from adapter.replay.tracefile import load
from tests.adapter.api.ramp import COLD_SECONDS, STEP_SECONDS, Deployment, play
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import World

TRACE = Path(__file__).parents[3] / "bench" / "traces" / "servegen_m-mid_10s_sampled.csv.gz"
# Of ServeGen's m-mid: an hour and ten minutes as any other, then half as much again in 25 minutes.
FIRST_HOUR, LAST_HOUR = 161.9, 163.7
MOST_RATE = 60.0  # requests a second, some 17 pods


def ramp() -> list[float]:
    """Return the requests a second of each step."""
    trace = load(TRACE).on_grid()
    first, last = (round(hour * 3600 / trace.step_seconds) for hour in (FIRST_HOUR, LAST_HOUR))
    assert trace.known[first:last].all()
    steps = round(STEP_SECONDS / trace.step_seconds)
    rates = trace.arrivals[first:last].reshape(-1, steps).mean(axis=1)
    scaled: list[float] = (rates / rates.max() * MOST_RATE).tolist()
    return scaled


def test_the_forecast_has_its_pods_ready_before_the_queue_of_the_other_forms() -> None:
    asking, inflight = Asking(World()), DEMANDS["inflight"]
    ahead = Deployment(asking, "ahead", f"{inflight}_forecast", pods=13)
    behind = Deployment(asking, "behind", inflight, pods=13)
    play(asking, ramp(), (ahead, behind))
    assert max(behind.waiting) > 200, "the ramp is one that today's load is too late for"
    assert max(ahead.waiting) == 0.0
    queued = next(step for step, waiting in enumerate(behind.waiting) if waiting)
    asked = queued - round(COLD_SECONDS / STEP_SECONDS)
    assert ahead.replicas[asked] > behind.replicas[asked], "pods asked for then are Ready in time"
    assert np.mean(ahead.replicas) < 1.3 * np.mean(behind.replicas), "not by having many for ever"
    until_known = 1_800 // STEP_SECONDS
    assert ahead.replicas[: until_known - 4] == behind.replicas[: until_known - 4]
