"""The wrapper: `forescale-sidecar run [FLAGS] -- CMD…`, the first process of a model's container.

It starts the model server with the container's own input, output and environment, hands every
signal on to it, reaps whatever is orphaned, and ends with the server's exit code (128 + n for
signal n). Beside it runs the sampler, which is the sidecar itself: it may crash and is started
again, and never outlives or ends the server. One thread, standard library alone: signals are
blocked and waited for, so that none is lost and none interrupts.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sidecar import interpreter, log
from sidecar.backoff import Backoff

EXIT_USAGE = 2
# As shells say it, so that a mistyped command reads as it does without us.
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
SIGNALLED = 128

USAGE = """usage: forescale-sidecar run [FLAGS] -- COMMAND [ARGUMENTS]

error: there is no command behind `--`

hint: write for example `forescale-sidecar run --engine vllm -- vllm serve MODEL`
"""
SAMPLER = "sidecar.wrapped"
# The sampler ends within a second of SIGTERM; what hangs then is in the driver.
LEAVE_SECONDS = 1.5
# siginfo's code of a signal that the kernel sent: a terminal's goes to the server directly.
SI_KERNEL = 0x80
PR_SET_CHILD_SUBREAPER = 36
# These are faults of this process itself, or cannot be caught.
_NOT_PASSED = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}
WATCHED = frozenset(signal.valid_signals() - _NOT_PASSED)
# Python ignores these from its start on; a program that it starts must not.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def run(arguments: list[str]) -> int:
    """Run the command until it ends and return its exit code, or why it could not be started."""
    flags, command = split(arguments)
    if {"-h", "--help"} & set(flags):
        return _help()
    if not command:
        sys.stderr.write(USAGE)
        return EXIT_USAGE
    log.configure("info")
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    adopt_orphans()
    try:
        server = spawn(command, environment())
    except OSError as error:
        log.event(logging.ERROR, "the command cannot be started", why=str(error))
        return EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE
    sampler = Sampler(flags, server_started_at=time.monotonic())
    code = follow(server, sampler)
    sampler.end()
    return code


def _help() -> int:
    from sidecar import settings  # noqa: PLC0415 - 20 MiB that only this pays for
    from sidecar.flags import WRAPPER  # noqa: PLC0415

    settings.load(["--help"], {}, "", WRAPPER)  # prints it and leaves
    return 0


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the sidecar's flags and the command, which are divided by the first `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def environment() -> dict[bytes, bytes]:
    """Return the environment this process was started with: Python adds LC_CTYPE to its own."""
    try:
        block = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs}


def adopt_orphans() -> None:
    """Become the parent of orphans also where another process is the container's first."""
    if os.getpid() != 1:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(command: list[str], environ: dict[bytes, bytes], *, apart: bool = False) -> int:
    """Start a program with no signal blocked or ignored by us; return its process id.

    `apart` gives it a process group of its own, so that a terminal's Ctrl-C is not for it.
    """
    signals: dict[str, Any] = {"setsigmask": [], "setsigdef": _IGNORED_BY_PYTHON}
    if apart:
        return os.posix_spawnp(command[0], command, environ, setpgroup=0, **signals)
    return os.posix_spawnp(command[0], command, environ, **signals)


def follow(server: int, sampler: Sampler) -> int:
    """Hand on signals and reap until the server has ended; return its exit code."""
    while True:
        ended = dict(reaped())
        for pid, code in ended.items():
            sampler.ended(pid, code)
        if server in ended:
            return ended[server]
        sampler.start_when_due()
        told = signal.sigtimedwait(WATCHED, sampler.wait_seconds())
        if told is not None and told.si_signo != signal.SIGCHLD and told.si_code != SI_KERNEL:
            try:
                os.kill(server, told.si_signo)
            except ProcessLookupError:
                continue  # it has just ended, and is reaped next


def reaped() -> list[tuple[int, int]]:
    """Return every child that has ended by now, with its exit code; orphans are among them."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        code = os.waitstatus_to_exitcode(status)
        found.append((pid, code if code >= 0 else SIGNALLED - code))


class Sampler:
    """The sidecar as a child: started again with back-off, given up when its settings are wrong."""

    def __init__(self, flags: list[str], *, server_started_at: float) -> None:
        self._arguments = [str(os.getpid()), str(server_started_at), *flags]
        self._pid: int | None = None
        self._given_up = False
        self._backoff = Backoff(first_seconds=1.0, most_seconds=60.0)

    def start_when_due(self) -> None:
        """Start it when it does not run and may; a failure to start is one more to wait for."""
        now = time.monotonic()
        if self._pid is not None or self._given_up or now < self._backoff.retry_at:
            return
        # Allocators and shims of the model's image are for the model.
        environ = {k: v for k, v in os.environb.items() if k != b"LD_PRELOAD"}
        try:
            command = interpreter.command(SAMPLER, *self._arguments)
            self._pid = spawn(command, environ, apart=True)
        except OSError as error:
            self._failed(str(error))
        else:
            self._backoff = self._backoff.started(now)

    def ended(self, pid: int, code: int) -> None:
        """Take note of a child that ended; an orphan is none of ours."""
        if pid != self._pid:
            return
        self._pid = None
        if code == EXIT_USAGE:
            self._given_up = True
            log.event(logging.ERROR, "the sampler's settings are wrong; there are no metrics")
        else:
            self._failed(f"it ended with exit code {code}")

    def wait_seconds(self) -> float:
        """Return how long nothing is to be done for it."""
        if self._pid is not None or self._given_up:
            return 3600.0
        return max(0.0, self._backoff.retry_at - time.monotonic())

    def end(self) -> None:
        """End it: SIGTERM, so that it releases the GPUs, and SIGKILL for what hangs after that."""
        for number, seconds in ((signal.SIGTERM, LEAVE_SECONDS), (signal.SIGKILL, LEAVE_SECONDS)):
            if self._pid is None:
                return
            os.kill(self._pid, number)
            self._await(time.monotonic() + seconds)

    def _await(self, deadline: float) -> None:
        while self._pid is not None and (left := deadline - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, left)
            if any(pid == self._pid for pid, _ in reaped()):
                self._pid = None

    def _failed(self, why: str) -> None:
        now = time.monotonic()
        self._backoff = self._backoff.failed(now, at_once=True)
        again = round(self._backoff.retry_at - now, 1)
        log.event(logging.WARNING, "the sampler ended", why=why, again_in_seconds=again)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
