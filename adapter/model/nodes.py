"""The nodes: what each says of its GPUs, and whether there is room for one more pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.holding import Node
from adapter.model.selection import NOBODY


class Room(NamedTuple):
    """Whether the next pod finds free GPUs; None where that cannot be said, `words` why."""

    fits: bool | None
    words: str


class Rooms(msgspec.Struct, frozen=True):
    """The free GPUs of a fleet's nodes, and how many pods wait for the scheduler to take some.

    Of pods that the adapter does not watch nothing is known: there may be less room than this, and
    never more.
    """

    free: Mapping[str, int]  # by node; those that take no pods are left out
    nodes: Mapping[str, Node]
    waiting: int

    @classmethod
    def of(cls, fleet: Fleet) -> Rooms:
        free = {
            name: node.capacity - _held(fleet.by_node.get(name, NOBODY).pods)
            for name, node in fleet.nodes.items()
            if node.capacity and node.takes_pods
        }
        return cls(free, fleet.nodes, sum(map(_waits, fleet.ordered)))

    def room(self, asked: int, product: str | None) -> Room:
        """Return whether a pod that asks for so many GPUs fits; a product of None is any."""
        if not asked:
            return Room(None, "its pods ask for no nvidia.com/gpu")
        if not self.free:
            return Room(None, "no node tells of its GPUs")
        alike = [
            max(0, free)
            for name, free in self.free.items()
            if product is None or self.nodes[name].product == product
        ]
        fits = sum(free // asked for free in alike) > self.waiting
        of = f" {product}" if product else ""
        return Room(fits, f"{sum(alike)}{of} GPUs are free on {len(alike)} nodes")


NOWHERE = Rooms({}, {}, 0)


def _held(pods: Iterable[Pod]) -> int:
    return sum(pod.holding.requested for pod in pods if pod.standing() is not Standing.ENDED)


def _waits(pod: Pod) -> bool:
    """Tell whether the pod is about to take free GPUs; one that no node has room for is not."""
    asks = bool(pod.holding.requested) and pod.standing() is Standing.WAITING
    return asks and pod.node is None and not pod.startup.unschedulable
