"""Owns the process of a real Triton server in tests: started, ready, and gone without a trace."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Self

from tests.triton.install import installed
from tests.triton.server import shared_memory_prefix

MODEL = "llm"
EXIT_TIMEOUT_SECONDS = 5  # an idle server takes 2 s to unload its model
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05
SERVER = Path(__file__).parent / "server.py"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend keeps its segments


class TritonError(RuntimeError):
    """The server did not start or did not end; the text holds the end of its log."""


@dataclasses.dataclass(slots=True)
class TritonServer:
    """One running server; `stop` it, or use it as a context manager.

    Starting does not block. Start it from a thread that outlives it: the kernel ends the server
    when that thread ends, so that no killed test run leaves one behind.
    """

    host: str
    http_port: int
    metrics_port: int
    _process: subprocess.Popen[bytes]
    _log: IO[bytes]

    @classmethod
    def start(
        cls,
        host: str,
        http_port: int,
        metrics_port: int,
        service_time_seconds: float = 0.5,
        *,
        repository: str = "repository",
    ) -> Self:
        """Start a server on both ports of `host`; raise InstallError when none is installed."""
        command = [str(installed() / "bin" / "python"), str(SERVER)]
        command += [f"--host={host}", f"--http-port={http_port}", f"--metrics-port={metrics_port}"]
        command += [f"--service-time={service_time_seconds}", f"--repository={repository}"]
        command += [f"--exit-timeout={EXIT_TIMEOUT_SECONDS}"]
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its process group is then the server's own
        )
        return cls(host, http_port, metrics_port, process, log)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.host}:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, deadline_seconds: float = 30.0) -> None:
        """Return once the model and the metrics page answer.

        Raises TritonError, with the end of the log, when the server dies or is not ready in time.
        """
        give_up = time.monotonic() + deadline_seconds
        while not self._is_ready():
            if self._process.poll() is not None:
                raise TritonError(f"Triton ended with {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > give_up:
                raise TritonError(f"Triton not ready in {deadline_seconds} s:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """End the server and all it started, and return its exit status; harmless when repeated.

        Requests in flight get EXIT_TIMEOUT_SECONDS; after that the process group is killed.
        """
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT_SECONDS + KILL_SECONDS)
        self._end_group()
        for segment in SHARED_MEMORY.glob(f"{shared_memory_prefix(self.pid)}*"):
            segment.unlink(missing_ok=True)
        self._log.close()
        return self._process.wait(KILL_SECONDS)

    def log(self) -> str:
        """Return the last lines of what the server wrote."""
        self._log.flush()
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), 4096, max(0, size - 4096)).decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        """The metrics port opens some 40 ms after the other, so both are asked."""
        return self._answers(self.http_port, f"/v2/models/{MODEL}/ready") and self._answers(
            self.metrics_port, "/metrics"
        )

    def _answers(self, port: int, path: str) -> bool:
        with contextlib.closing(HTTPConnection(self.host, port, timeout=1)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status == 200
            except (HTTPException, OSError):
                return False

    def _end_group(self) -> None:
        give_up = time.monotonic() + KILL_SECONDS
        while self._kill_group():
            self._process.poll()  # an unreaped leader would keep the group alive
            if time.monotonic() > give_up:
                raise TritonError(f"process group {self.pid} outlives SIGKILL:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def _kill_group(self) -> bool:
        """Return whether there was anything left to kill."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
