"""Pods without room for their forecast; what is served of forecasts is in test_custom_forecast."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from adapter.model import prospect
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.foreseen import Doubt, Foreseen, Mode
from adapter.model.selector import EVERYTHING
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.target import DEMANDS
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod

METRIC = METRICS[DEMANDS["inflight"]]
KEY = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, METRIC.name, METRIC.view)
CROWDED = Foreseen(Mode.ACT, None, None, None, None, "", "no room", Doubt.NO_ROOM)


@functools.cache
def snapshot(*inflight: float) -> Snapshot:
    """One pod for each figure."""
    world = World(*(serving_pod(f"llm-{n}", forecast=Mode.ACT) for n in range(len(inflight))))
    world.say = {f"llm-{n}": {"inflight": level} for n, level in enumerate(inflight)}
    return world.advance(3)


def foresee(seen: Snapshot, foreseen: Foreseen) -> Snapshot:
    return dataclasses.replace(seen, foreseen={KEY: foreseen})


def test_pods_without_room_are_named_with_the_reason_and_ended_ones_are_not() -> None:
    world = World(
        serving_pod("llm-0"),
        serving_pod("ended", terminating=True),
        serving_pod("other", owners=(Owner("Deployment.apps", "other"),)),
    )
    crowded = foresee(world.advance(), CROWDED)
    assert [(pod.name, why) for pod, why in prospect.without_room(crowded)] == [
        ("llm-0", f"{METRIC.name} is not forecast: no room")
    ]
    believed = structs.replace(CROWDED, doubt=None)
    assert list(prospect.without_room(foresee(world.advance(), believed))) == []


@given(
    st.sampled_from([(0.0,), (0.3, 0.1), (7.7, 0.0, 11.01), (5e3, 1e-3, 3.3, 1 / 3, 2 / 7)]),
    st.none() | st.floats(0, 1e5),
    st.sampled_from(Mode),
)
def test_the_parts_of_the_pods_are_the_total_and_never_less_than_the_present(
    inflight: tuple[float, ...], value: float | None, mode: Mode
) -> None:
    seen = snapshot(*inflight)
    present = seen.total(METRIC, KEY).milli[0]
    ahead = foresee(seen, Foreseen(mode, present / 1000, value, value, None, "", "forecast"))
    (whole,) = prospect.total(ahead, METRIC, KEY).milli
    parts = prospect.pods(ahead, METRIC, NAMESPACE, EVERYTHING, None)
    assert whole >= present
    assert len(set(parts.milli)) == 1
    assert len(parts.names) == len(inflight)
    assert whole <= sum(parts.milli) < whole + len(inflight)
    if mode is not Mode.ACT or value is None:
        assert whole == present


def test_of_the_parts_each_has_the_age_and_the_window_of_its_pod() -> None:
    seen = foresee(snapshot(1.0, 2.0), structs.replace(CROWDED, doubt=None))
    parts = prospect.pods(seen, METRIC, NAMESPACE, EVERYTHING, None)
    own = seen.pods(METRIC, METRIC.view, NAMESPACE, EVERYTHING, None)
    assert (parts.taken_at, parts.window_seconds) == (own.taken_at, own.window_seconds)
    assert parts.milli == [pytest.approx(1500)] * 2
