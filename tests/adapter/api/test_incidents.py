"""What goes wrong with a load, played on the adapter's loop, its API and the HPA's algorithm.

A crowd, a storm of retries and a silence of all sources; each beside an HPA on today's load.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adapter.model.foreseen import Foreseen
from adapter.model.target import DEMANDS
from tests.adapter.api.ramp import COLD_SECONDS, STEP_SECONDS, TARGET, Deployment
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import World

INFLIGHT = DEMANDS["inflight"]
CALM = (
    2_700 // STEP_SECONDS
)  # three quarters of an hour: from half of one on forecasts are believed
COLD = round(COLD_SECONDS / STEP_SECONDS)
RATE, PODS, MOST = 30.0, 10, 40  # 240 in flight are nine pods' worth
MINUTE = 60 // STEP_SECONDS
Rates = Callable[[int, Deployment], float]


class Incident:
    """Two Deployments alike, on the forecast and on the present; what was foreseen at each step."""

    def __init__(self, steps: int, rates: Rates, silent: range = range(0)) -> None:
        asking = Asking(World())
        self.ahead = Deployment(asking, "ahead", f"{INFLIGHT}_forecast", PODS, MOST)
        self.behind = Deployment(asking, "behind", INFLIGHT, PODS, MOST)
        self.foreseen: list[Foreseen] = []
        around = 1.0 + 0.05 * np.random.default_rng(1).standard_normal(CALM + steps)
        for step in range(CALM + steps):
            for one in (self.ahead, self.behind):
                one.serve(float(around[step]) * rates(step - CALM, one))
            if step - CALM in silent:
                asking.world.say.clear()
            self._look(asking.world)

    def _look(self, world: World) -> None:
        world.now += STEP_SECONDS - 1.0
        known = world.advance(1).foreseen
        self.foreseen += [one for key, one in known.items() if key.name == "ahead"]
        for one in (self.ahead, self.behind):
            one.sync()


def test_a_crowd_is_answered_at_once_and_pods_go_again_when_it_is_served() -> None:
    found = Incident(60 * MINUTE, lambda step, _: RATE if step < 0 else 2 * RATE)
    ahead, behind = found.ahead.replicas[CALM:], found.behind.replicas[CALM:]
    assert ahead[1] >= 2 * PODS, "no forecast is waited for"
    assert sum(found.ahead.waiting) <= sum(found.behind.waiting)
    assert set(found.ahead.waiting[CALM + 2 * COLD :]) == {0.0}
    needed = round(2 * RATE * 8 / TARGET)
    served = slice(45 * MINUTE, None)
    assert max(behind[served]) <= needed + 2
    assert max(ahead[served]) <= 1.5 * needed, "what was asked for goes again"
    assert min(ahead[served]) >= needed


def test_a_storm_of_retries_does_not_feed_on_the_forecast() -> None:
    """While anything waits, each request is sent two and a half times."""

    def rates(step: int, one: Deployment) -> float:
        base = RATE * (1.6 if 0 <= step < 5 * MINUTE else 1.0)
        return base * (2.5 if one.waiting and one.waiting[-1] > 0 else 1.0)

    found = Incident(60 * MINUTE, rates)
    for one in found.foreseen:
        assert one.value is None or one.value <= 3 * one.present + TARGET
    storms = [np.flatnonzero(one.waiting) for one in (found.ahead, found.behind)]
    assert all(len(storm) > 5 * MINUTE for storm in storms), "it outlives what it came from"
    assert storms[0][-1] <= storms[1][-1], "the forecast does not prolong it"
    assert max(found.ahead.replicas) <= MOST
    later = found.ahead.replicas[CALM + 45 * MINUTE :]
    assert max(later) <= 2 * PODS, "it is not believed beyond that for ever"


def test_a_silence_of_all_sources_moves_no_pod_and_teaches_nothing() -> None:
    """Half of the load goes meanwhile, which nobody can see."""
    silence = range(10 * MINUTE)
    found = Incident(
        30 * MINUTE, lambda step, _: RATE if step < 5 * MINUTE else RATE / 2, silent=silence
    )
    during = slice(CALM, CALM + len(silence))
    held = [answer for answer in found.ahead.answers[during] if not isinstance(answer, str)]
    words = [answer for answer in found.ahead.answers[during] if isinstance(answer, str)]
    assert len(held) <= 2 * MINUTE
    assert all("no reading for" in one for one in words)
    assert max(held) <= found.ahead.answers[CALM - 1]
    for one in (found.ahead, found.behind):
        assert set(one.replicas[during]) == {one.replicas[CALM - 1]}
    before, last = found.foreseen[CALM], found.foreseen[CALM + len(silence) - 1]
    assert (last.predicted, last.covered) == (before.predicted, before.covered), "masked"
    after = found.foreseen[CALM + len(silence)]
    assert after.value is None
    assert after.why == "present value: no reading was there until a moment ago"
    assert max(found.ahead.replicas[CALM + 20 * MINUTE :]) <= PODS
