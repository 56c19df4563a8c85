"""Each demo has addresses of its own."""

from __future__ import annotations

import socket

import pytest

from adapter.demo.deployment import Network
from adapter.demo.pod import SIDECAR_PORT


def test_a_pods_address_is_a_loopback_address_that_can_be_listened_on() -> None:
    network = Network()
    address = network.address()
    assert address.startswith("127.")
    with socket.create_server((address, SIDECAR_PORT)) as listening:
        assert listening.getsockname()[0] == address
    network.close()


def test_no_address_is_given_out_twice_in_a_row_of_250() -> None:
    network = Network()
    addresses = [network.address() for _ in range(250)]
    assert len(set(addresses)) == 250
    assert network.address() == addresses[0]
    network.close()


def test_two_demos_never_share_addresses() -> None:
    one, other = Network(), Network()
    assert one.address().rsplit(".", 1)[0] != other.address().rsplit(".", 1)[0]
    guarded = one.address().rsplit(".", 1)[0] + ".254"
    with pytest.raises(OSError, match="in use"):
        socket.create_server((guarded, SIDECAR_PORT))
    one.close()
    other.close()
