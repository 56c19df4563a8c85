"""One running control plane: etcd, API server, controller manager and, if wanted, a scheduler."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from tests.controlplane import build, components, netns, pki
from tests.controlplane.components import Options, Place
from tests.controlplane.processes import Process, free_ports

READY_SECONDS = 60.0
PROBE_SECONDS = 2.0
KUBECTL_SECONDS = 60.0
STOP_SECONDS = 10.0
# On SIGTERM the API server waits for its watchers to leave, and they only leave when it is gone.
RESTART_GRACE_SECONDS = 3.0

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
# The API server must find etcd alive while it ends, or it hangs; the two others their API server.
STOP_ORDER = (CONTROLLER_MANAGER, SCHEDULER, APISERVER, ETCD)


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it wrote to stderr."""

    def __init__(self, arguments: tuple[str, ...], code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: code {code}: {stderr.strip()}")
        self.code = code
        self.stdout = stdout
        self.stderr = stderr


class ControlPlane:
    """A control plane in `folder` (its logs and audit log stay there after `stop`).

    Start and stop it from the main thread: the kernel ends its processes with their starter.
    """

    def __init__(
        self, folder: Path, options: Options | None = None, *, binary: Path | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.options = options or Options()
        self.binary = binary or build.binary()
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self._running: dict[str, Process] = {}
        self._place: Place | None = None
        self._pki: pki.Pki | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def place(self) -> Place:
        if self._place is None:
            raise RuntimeError("the control plane was not started")
        return self._place

    @property
    def pki(self) -> pki.Pki:
        """The certificates: `admin`, both authorities (they sign more), the front proxy's."""
        if self._pki is None:
            raise RuntimeError("the control plane was not started")
        return self._pki

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.place.server

    @property
    def audit_log(self) -> Path:
        """One JSON event a line, level Metadata."""
        return self.place.audit_log

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each running component, also its group's id."""
        return {name: run.pid for name, run in self._running.items() if run.pid is not None}

    def ssl_context(self) -> ssl.SSLContext:
        """The admin's credentials, for an HTTP client of the test."""
        context = ssl.create_default_context(cafile=self.pki.authority.pair.certificate)
        context.load_cert_chain(self.pki.admin.certificate, self.pki.admin.key)
        return context

    def start(self) -> None:
        """Returns when the API server is ready and the controller manager works."""
        if not netns.inside():
            raise netns.NetworkError(
                "not inside the test network: run `make e2e`,"
                " or `python tests/controlplane/netns.py COMMAND`"
            )
        self._prepare()
        try:
            for name in (ETCD, APISERVER, CONTROLLER_MANAGER):
                self._wait_ready(self._launch(name))
            if self.options.scheduler:
                self._wait_ready(self._launch(SCHEDULER))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends everything, in order; the data goes, the logs stay."""
        for name in (CONTROLLER_MANAGER, SCHEDULER):
            if name in self._running:
                self._running[name].terminate()
        for name in STOP_ORDER:
            self._end(name, STOP_SECONDS)
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def check(self) -> None:
        """Raises ProcessError, with its last log lines, if a component has died."""
        for process in self._running.values():
            process.check()

    async def start_component(self, name: str) -> None:
        """Starts a component that does not run (the scheduler too); returns when it is ready."""
        process = self._launch(name)
        await asyncio.to_thread(self._wait_ready, process)

    async def stop_component(self, name: str, *, grace_seconds: float = STOP_SECONDS) -> None:
        """Ends one component, by force after the grace; 0 gives it no time to say goodbye."""
        await asyncio.to_thread(self._end, name, grace_seconds)

    async def restart_apiserver(self, *, kill: bool = False) -> None:
        """The same API server again, on the same port with the same data; returns when ready."""
        grace_seconds = 0.0 if kill else RESTART_GRACE_SECONDS
        await self.stop_component(APISERVER, grace_seconds=grace_seconds)
        await self.start_component(APISERVER)

    async def kubectl(
        self, *arguments: str, stdin: str | None = None, timeout_seconds: float = KUBECTL_SECONDS
    ) -> str:
        """Runs the built-in kubectl as admin; returns stdout. Raises KubectlError, TimeoutError."""
        command = self._kubectl_command(arguments)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        try:
            said = process.communicate((stdin or "").encode())
            out, err = await asyncio.wait_for(said, timeout_seconds)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise KubectlError(arguments, process.returncode, out.decode(), err.decode())
        return out.decode()

    def kubectl_blocking(
        self, *arguments: str, stdin: str = "", timeout_seconds: float = KUBECTL_SECONDS
    ) -> str:
        """The same for code without an event loop; refused inside one, whose pods would stop."""
        if _in_event_loop():
            raise RuntimeError("inside an event loop: `await controlplane.kubectl(...)`")
        done = subprocess.run(
            self._kubectl_command(arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            env=self._environment(),
            check=False,
        )
        if done.returncode:
            raise KubectlError(arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    async def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a one-hour token of that service account, which must exist."""
        token = (await self.kubectl("create", "token", name, "-n", namespace)).strip()
        user = f"{namespace}-{name}"
        credentials = {"token": token}
        return components.write_kubeconfig(self.place, self.pki, user, credentials, namespace)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._place = Place(self.folder, *free_ports(3))
        self._pki = pki.create(
            self.folder / "pki",
            server_names=components.SERVER_NAMES,
            server_addresses=components.SERVER_ADDRESSES,
        )
        components.write_files(self._place, self._pki)

    def _launch(self, name: str) -> Process:
        process = self._running.setdefault(name, self._process(name))
        process.start()
        return process

    def _wait_ready(self, process: Process) -> None:
        process.wait_ready(lambda: self._is_ready(process.name), timeout_seconds=READY_SECONDS)

    def _end(self, name: str, grace_seconds: float) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.stop(timeout_seconds=grace_seconds)

    def _process(self, name: str) -> Process:
        commands = {
            ETCD: lambda: components.etcd(self.place),
            APISERVER: lambda: components.apiserver(self.place, self.pki, self.options),
            CONTROLLER_MANAGER: lambda: components.controller_manager(
                self.place, self.pki, self.options
            ),
            SCHEDULER: lambda: components.scheduler(self.place, self.options),
        }
        command = [str(self.binary), *commands[name]()]
        log = self.folder / f"{name}.log"
        return Process(name, command, log, environment=self._environment())

    def _environment(self) -> dict[str, str]:
        # Nothing else of the caller: etcd and kubectl read settings from their environment.
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)}

    def _kubectl_command(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(self.binary), "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]

    def _is_ready(self, name: str) -> bool:
        if name == ETCD:
            return _answers(f"{self.place.etcd}/readyz")
        if name == APISERVER:
            return self._get("/readyz")
        if name == CONTROLLER_MANAGER:
            return self._get("/api/v1/namespaces/default/serviceaccounts/default")
        return True

    def _get(self, path: str) -> bool:
        return _answers(f"{self.server}{path}", self.ssl_context())


def _answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS, context=context) as response:  # noqa: S310
            return bool(response.status == http.client.OK)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
