"""Listening: the socket of a host and port, dual-stack where possible, or an error with a fix."""

from __future__ import annotations

import socket

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
