"""A view of few pods is the same as of all, and costs no more than those few."""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.model.catalogue import WINDOWS_SECONDS, Stat, View
from adapter.model.snapshot import Snapshot
from tests.adapter.model.world import WALL, World, serving_pod

VIEWS = [
    View(Stat.RAW),
    *(View(stat, window) for stat in Stat if stat is not Stat.RAW for window in WINDOWS_SECONDS),
]
MANY = 1_000  # more than the pods from which on a view of all is worked out


@functools.cache
def crowd() -> Snapshot:
    """Many pods of which some are silent, some load and some have no such figure."""
    changes = {"model_ready": False, "model_started_at": WALL, "ready_changed_at": WALL}
    pods = [serving_pod(f"p{n:04d}", **(changes if n % 7 == 0 else {})) for n in range(MANY)]
    world = World(*pods)
    world.say = {pod.name: {"pending": float(n % 11)} for n, pod in enumerate(pods) if n % 5}
    world.advance(20)
    world.say = {name: said for n, (name, said) in enumerate(world.say.items()) if n % 3}
    return world.advance(20)


def unseen() -> Snapshot:
    """The same moment, of which nobody has asked for a view yet."""
    return dataclasses.replace(crowd(), _levels={}, _looked={})


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Equal but for the last bits: how many rows there are decides in which order numpy adds."""
    told, wanted = one.astype(float), other.astype(float)
    return told.shape == wanted.shape and np.allclose(
        told, wanted, rtol=1e-12, atol=0, equal_nan=True
    )


@given(
    st.sampled_from(VIEWS),
    st.lists(st.integers(0, MANY - 1), max_size=20),
    st.sampled_from(("pending", "running")),
)
def test_the_levels_of_few_pods_are_those_that_all_have(
    view: View, places: list[int], series: str
) -> None:
    chosen = np.array(places, dtype=np.int64)
    alone = unseen().levels(view, series, chosen)
    of_all = unseen().levels(view, series, np.arange(MANY))
    for few, all_of_them in zip(alone, of_all.of(chosen), strict=True):
        assert same(few, all_of_them)


def test_a_tenant_who_asks_for_every_view_pays_for_its_own_pods_alone() -> None:
    def cost(pods: int) -> float:
        seen = unseen()
        began = time.process_time()
        for view in VIEWS:
            seen.levels(view, "pending", np.arange(pods))
        return time.process_time() - began

    # Measured: a twelfth. No clock but the processor's own, and both in one process.
    assert 3 * cost(2) < cost(MANY)


def test_a_thousand_who_ask_for_one_view_of_their_own_pod_get_what_all_have() -> None:
    seen = unseen()
    looks = [seen.levels(VIEWS[1], "pending", np.array([place])) for place in range(MANY)]
    of_all = unseen().levels(VIEWS[1], "pending", np.arange(MANY))
    for column, whole in zip(zip(*looks, strict=True), of_all, strict=True):
        assert same(np.concatenate(column), whole)
