"""Listening: the socket of a host and port, or an error with a fix; how many may be connected."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter

from adapter.errors import StartupError

BACKLOG = 512


def listen(name: str, host: str, port: int) -> socket.socket:
    """Return a listening socket for the settings `name`.host and `name`.port.

    `::` takes IPv4 too, and becomes 0.0.0.0 where IPv6 is off. Raises StartupError naming the
    settings when that is impossible.
    """
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host} port {port} ({error.strerror or error}):"
            f" free it, or set {name}.port or {name}.host to another"
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """Counts open connections, all and by the peer's address; `reserved` are not for strangers.

    Whoever shows a certificate is bounded by `limit` alone: each query of kube-apiserver that waits
    holds a connection, and all of them come from one address.
    """

    def __init__(self, limit: int, per_peer: int, reserved: int = 0) -> None:
        self._limit = limit
        self._per_peer = per_peer
        self._reserved = reserved
        self._open: Counter[str] = Counter()

    def enter(self, peer: str, *, known: bool = False) -> bool:
        """Return whether one more may come in, and count it; `known` shows a certificate."""
        limit = self._limit if known else self._limit - self._reserved
        crowded = not known and self._open[peer] >= self._per_peer
        if crowded or self._open.total() >= limit:
            return False
        self._open[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Count one less."""
        self._open[peer] -= 1
        if self._open[peer] <= 0:
            del self._open[peer]
