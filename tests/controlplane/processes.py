"""One program of a test: started, watched, stopped, and never outliving the one that started it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Ports are drawn below the kernel's ephemeral range (32768 and up): one from inside it could be
# taken by an outgoing connection between the draw and the listen.
PORTS = range(20000, 32768)
POLL_SECONDS = 0.05
TAIL_LINES = 25


class ProcessError(Exception):
    """A program died, or was not ready in time; the message ends with its last log lines."""


class Process:
    """A program with its log file, in a session of its own.

    A Ctrl-C on the terminal therefore reaches only the test run, which stops its programs in
    order. The kernel kills it when the thread that started it ends, however that ends: only the
    main thread may start one.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, also its group's; None while it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        if self._process:
            return
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"{self.name} would end with this thread: start it from the main one"
            )
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ProcessError("setpriv is missing: apt-get install util-linux")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [setpriv, "--pdeathsig", "KILL", "--", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises ProcessError if it was started and is dead."""
        if self._process and (code := self._process.poll()) is not None:
            raise ProcessError(f"{self.name} ended with code {code}:\n{self.tail()}")

    def wait_ready(self, probe: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Waits until `probe` says so. Raises ProcessError at death or at the deadline."""
        deadline = time.monotonic() + timeout_seconds
        while not probe():
            self.check()
            if time.monotonic() > deadline:
                waited = f"{self.name} was not ready after {timeout_seconds:g} s"
                raise ProcessError(f"{waited}:\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def terminate(self) -> None:
        """Asks it to end, without waiting."""
        self._signal(signal.SIGTERM)

    def stop(self, *, timeout_seconds: float = 10.0) -> None:
        """Ends it, by force at the deadline; a deadline of 0 is force at once."""
        process = self._process
        if process is None:
            return
        try:
            if timeout_seconds > 0:
                self._signal(signal.SIGTERM)
                process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to all of it, and the wait for its end."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports that nobody listens on now."""
    ports: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(ports) == count:
            break
        if _free(port):
            ports.append(port)
    return ports


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
