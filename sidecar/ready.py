"""The ready: one exec probe; it asks the model server itself whether its model is loaded.

It needs nothing of ours that runs: a sampler that is dead takes no model out of service. The
kubelet starts it every few seconds, so it imports nothing but the table.
"""

from __future__ import annotations

import socket
import sys
import time

from sidecar import table
from sidecar.probe import EXIT_BAD_ARGUMENTS, NO_ENDPOINT
from sidecar.row import Ready

EXIT_NOT_READY = 1
ANSWER_SECONDS = 4.0  # the printed probe has five for all of it
LOOPBACK = ("127.0.0.1", "::1")
USAGE = "usage: forescale-sidecar ready ENGINE [PORT]\n"
ABOUT = """
Asks the model server at this pod's loopback whether its model is loaded: an exec probe for a server
that runs under `forescale-sidecar run`. It ends with 0 when it is, 1 when it is not and says why.

  ENGINE  one of {engines}
  PORT    where its API listens, if not at the engine's usual port
"""
_STATUS_BYTES = 12  # HTTP/1.1 200
_HIGHEST_PORT = 65535


def run(arguments: list[str]) -> int:
    """Return 0 when the engine's own endpoint says that its model is loaded, 1 when not, else 2."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(USAGE + ABOUT.format(engines=", ".join(_askable())))
        return 0
    asked = _asked(arguments)
    if isinstance(asked, str):
        sys.stderr.write(f"{USAGE}\nerror: {asked}\n")
        return EXIT_BAD_ARGUMENTS
    why = unready(*asked)
    if why is None:
        return 0
    sys.stderr.write(f"not ready: {why}\n")  # the kubelet shows it in the pod's events
    return EXIT_NOT_READY


def unready(port: int, path: str, hosts: tuple[str, ...] = LOOPBACK) -> str | None:
    """Return why the server at this port is not ready, None when it is; blocks 4 s at most."""
    deadline = time.monotonic() + ANSWER_SECONDS
    failures = []
    for host in hosts:
        try:
            status = _status(host, port, path, deadline)
        except OSError as error:
            failures.append(f"{host} port {port}: {error.strerror or error}")
            continue
        if status.startswith("2"):
            return None
        return f"port {port} answers {path} with {status or 'no HTTP status'}"
    return "; ".join(failures)


def _asked(arguments: list[str]) -> tuple[int, str] | str:
    """Return the port and the path to ask, or what is wrong with the arguments."""
    endpoints = {row.kind: row.ready for row in table.ROWS} | NO_ENDPOINT
    kind, *ports = arguments or [""]
    if kind not in endpoints:
        said = f"ENGINE is {kind!r}" if kind else "ENGINE is missing"
        return f"{said}: give one of {', '.join(_askable())}"
    if len(ports) > 1:
        return f"there is more than ENGINE and PORT: leave out {' '.join(ports[1:])}"
    ready = endpoints[kind]
    if not isinstance(ready, Ready):
        return f"{kind} has no endpoint for a probe: {ready}"
    port = ports[0] if ports else str(ready.port)
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _HIGHEST_PORT):
        return f"PORT is {port!r}: give one of 1 to {_HIGHEST_PORT}"
    return int(port), ready.path


def _askable() -> list[str]:
    return [row.kind for row in table.ROWS if isinstance(row.ready, Ready)]


def _status(host: str, port: int, path: str, deadline: float) -> str:
    """Return the status code of the answer, empty where it is none; raise OSError without one."""
    with socket.create_connection((host, port), _left(deadline)) as there:
        there.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        head = b""
        while len(head) < _STATUS_BYTES:
            there.settimeout(_left(deadline))
            more = there.recv(_STATUS_BYTES - len(head))
            if not more:
                break
            head += more
    protocol, _, code = head.partition(b" ")
    told = code.decode("ascii", "replace")
    return told if protocol.startswith(b"HTTP/1.") and told.isdigit() else ""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
