"""The wrapped sidecar: the sampler that the wrapper starts inside the model's container."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

from sidecar import __main__ as program
from sidecar import flags, wire

PR_SET_PDEATHSIG = 1
# The kernel's out-of-memory killer takes the sampler before the model server.
FIRST_TO_GO = "1000"


def run(arguments: list[str]) -> int:
    """Run the sidecar; it ends when the wrapper ends, whose process id is the first argument.

    The second is time.monotonic() when that started the model server: one clock for a container.
    """
    wrapper, server_started_at, *given = arguments
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(wrapper):  # it ended before it could be listened to
        return 0
    return program.run(
        given,
        scope=wire.CONTAINER,
        face=flags.WRAPPER,
        server_started_at=float(server_started_at),
    )


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
