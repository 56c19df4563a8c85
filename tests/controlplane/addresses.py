"""The addresses of a test cluster's pods."""

from __future__ import annotations

import ipaddress
from collections import deque

from tests.controlplane import netns


class AddressPool:
    """Pod addresses, handed out in order; one that comes back is used again last."""

    def __init__(self, network: str = netns.PODS) -> None:
        self._free = deque(str(address) for address in ipaddress.ip_network(network).hosts())

    def take(self) -> str:
        if not self._free:
            raise RuntimeError("all pod addresses are in use")
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        self._free.append(address)
