"""The connections: an estimate of the queue of a server that tells none, from the kernel's table.

All containers of a pod share its network namespace, so the sidecar sees the connections to the
model server's port without any right. Connections that are kept open and idle count too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
MAX_TABLE_BYTES = 8 * 1024 * 1024  # 150 bytes a connection: 50,000 of them
# What can be read so, and the port where it is known: Ollama has no metrics page at all.
PORTS = {"connections": None, "ollama": 11434}

_ESTABLISHED = b"01"  # include/net/tcp_states.h
_LISTEN = b"0A"
_FIELDS = 5  # sl, local address, remote address, state, queues


@dataclass(frozen=True, slots=True)
class Connections:
    """What is connected to one port; `established` is None where nothing listens there."""

    established: int | None
    unaccepted: int = 0  # of those, in the listening socket's queue: the server took none of them


def offer(port: int) -> str:
    """Return in words what reads a server at this port that has no page, or none with a queue."""
    known = next((kind for kind, usual in PORTS.items() if usual == port), None)
    flags = f"--engine {known}" if known else f"--engine connections --engine-port {port}"
    return f"`{flags}` estimates its queue by its connections"


def read(port: int, tables: Iterable[Path] = TABLES) -> Connections:
    """Return the connections to this port; raise OSError where the kernel shows no table."""
    texts = []
    for path in tables:
        try:
            with path.open("rb") as file:
                texts.append(file.read(MAX_TABLE_BYTES))
        except FileNotFoundError:  # no IPv6 here
            continue
    if not texts:
        raise FileNotFoundError("the kernel shows no table of connections")
    return parse(b"\n".join(texts), port)


def parse(table: bytes, port: int) -> Connections:
    """Return the connections to this port in the text of /proc/net/tcp."""
    ending = b":%04X" % port
    established = unaccepted = 0
    listening = False
    for line in table.split(b"\n"):
        if ending not in line:
            continue
        fields = line.split(maxsplit=_FIELDS)
        if len(fields) < _FIELDS or not fields[1].endswith(ending):
            continue
        if fields[3] == _ESTABLISHED:
            established += 1
        elif fields[3] == _LISTEN:
            listening = True
            unaccepted += int(fields[4].rpartition(b":")[2], 16)
    return Connections(established if listening else None, unaccepted)
