"""Whether one more pod finds free GPUs, as far as what is watched can tell."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.fleet import Fleet, Pod
from adapter.model.holding import Holding, Node
from adapter.model.nodes import NOWHERE, Rooms
from adapter.model.sighting import Startup

H100 = Node(capacity=8, product="H100")


def a_pod(name: str, node: str | None = "n1", gpus: int = 2, **changes: object) -> Pod:
    found = Pod(
        uid=name,
        namespace="default",
        name=name,
        labels={},
        phase="Running" if node else "Pending",
        node=node,
        holding=Holding(requested=gpus),
    )
    return msgspec.structs.replace(found, **changes)


def room(*pods: Pod, nodes: dict[str, Node]) -> tuple[bool | None, str]:
    """Return whether there is room for another pod like the first one."""
    first = pods[0]
    product = nodes.get(first.node or "", Node()).product
    return Rooms.of(Fleet.of(pods, nodes=nodes)).room(first.holding.requested, product)


def test_free_gpus_are_those_that_no_pod_of_the_node_holds() -> None:
    pods = [a_pod(f"{n}") for n in range(3)]
    assert room(*pods, nodes={"n1": H100}) == (True, "2 H100 GPUs are free on 1 nodes")
    assert room(*pods, a_pod("x"), nodes={"n1": H100}) == (False, "0 H100 GPUs are free on 1 nodes")


def test_free_gpus_on_several_nodes_are_not_put_together() -> None:
    pods = [a_pod("a", gpus=5), a_pod("b", "n2", gpus=5)]
    assert room(*pods, nodes={"n1": H100, "n2": H100})[0] is False


def test_pods_that_have_ended_hold_nothing() -> None:
    pods = [a_pod("a", gpus=8), a_pod("b", gpus=8, phase="Succeeded")]
    assert room(*pods, nodes={"n1": H100, "n2": H100})[0] is True
    ended = [a_pod("a", gpus=8, phase="Failed")]
    assert room(*ended, nodes={"n1": H100})[0] is True


def test_nodes_of_another_product_and_cordoned_ones_have_no_room() -> None:
    full = {"n1": H100, "other": Node(capacity=8, product="L4")}
    assert room(a_pod("a", gpus=8), nodes=full)[0] is False
    cordoned = {"n1": H100, "n2": msgspec.structs.replace(H100, takes_pods=False)}
    assert room(a_pod("a", gpus=8), nodes=cordoned)[0] is False


def test_where_products_are_not_labelled_all_nodes_count() -> None:
    nodes = {"n1": Node(capacity=8), "n2": H100}
    assert room(a_pod("a", gpus=8), nodes=nodes) == (True, "8 GPUs are free on 2 nodes")


def test_pods_that_wait_take_free_gpus_and_those_without_room_take_none() -> None:
    first = a_pod("a", gpus=4)
    waiting = a_pod("b", None, gpus=4)
    assert room(first, waiting, nodes={"n1": H100})[0] is False
    stuck = msgspec.structs.replace(waiting, startup=Startup(unschedulable=True))
    assert room(first, stuck, nodes={"n1": H100})[0] is True


@pytest.mark.parametrize(
    ("pod", "nodes", "words"),
    [
        (a_pod("a", gpus=0), {"n1": H100}, "its pods ask for no nvidia.com/gpu"),
        (a_pod("a"), {}, "no node tells of its GPUs"),
        (a_pod("a"), {"n1": Node()}, "no node tells of its GPUs"),
    ],
)
def test_what_is_not_known_is_neither_room_nor_none(
    pod: Pod, nodes: dict[str, Node], words: str
) -> None:
    assert room(pod, nodes=nodes) == (None, words)


def test_of_no_nodes_nothing_is_known() -> None:
    assert NOWHERE.room(1, None).fits is None


PLACES = st.lists(st.tuples(st.sampled_from(["n1", "n2", None]), st.integers(0, 8)), max_size=8)


@given(PLACES, st.sampled_from(["n1", "n2", None]), st.integers(1, 8))
def test_one_more_pod_never_makes_room(
    places: list[tuple[str | None, int]], node: str | None, gpus: int
) -> None:
    nodes = {"n1": H100, "n2": H100}
    asking = a_pod("asking", "n1", 1)
    pods = [asking, *(a_pod(f"{n}", where, held) for n, (where, held) in enumerate(places))]
    if room(*pods, nodes=nodes)[0] is False:
        assert room(*pods, a_pod("more", node, gpus), nodes=nodes)[0] is False
