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
    """Run the sidecar; the first argument is the wrapper's process id: it ends when that ends."""
    wrapper, *given = arguments
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(wrapper):  # it ended before it could be listened to
        return 0
    return program.run(given, scope=wire.CONTAINER, face=flags.WRAPPER)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
