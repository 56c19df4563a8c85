"""Owns a process that cannot be ended, as one is that a driver holds in uninterruptible sleep.

A traced process that is killed is a zombie that its tracer alone may reap: for its parent it goes
on for as long as the tracer lives (ptrace(2)), whatever signal it is sent. The scripted NVML lets
any process trace the one that loaded it, which Yama would keep to root and to its ancestors.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long,) * 4
SEIZE = 0x4206
if libc.ptrace(SEIZE, int(sys.argv[1]), 0, 0):
    sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Keep the process from its parent's wait until the block ends, killed or not."""
    command = [sys.executable, "-c", _TRACER, str(pid)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "held\n"
        yield
