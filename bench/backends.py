"""The servers that are measured: the adapter, the Go library's test-adapter, and static bytes."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import aiohttp
import msgspec
import psutil
from cryptography import x509
from yarl import URL

from bench import cluster, fleet
from bench.pods import Sidecar
from tests.controlplane import build, pki
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.processes import Process

ROOT = Path(__file__).resolve().parent.parent
GROUP_VERSION = "custom.metrics.k8s.io/v1beta2"
METRIC = "nvidia_gpu_utilization"
PORT = 10250
PEER_VALUE = "7"  # no replayed GPU is that idle
PEER_WRITE_PORT = 8080  # fixed in the test-adapter
READY_SECONDS = 60.0
POLL_SECONDS = 0.1
# Requests a second of the test-adapter's own client; its default of 5 is what one gets.
UNLIMITED = 100_000


class Backend(StrEnum):
    """Name and Service of each."""

    FORESCALE = "forescale"
    PEER = "test-adapter"
    STATIC = "static"


ADDRESSES = {
    Backend.FORESCALE: "10.77.34.1",
    Backend.PEER: "10.77.34.2",
    Backend.STATIC: "10.77.34.3",
}


def path(namespace: str) -> str:
    """Return the query of an HPA for all pods of the namespace's workload."""
    return (
        f"/apis/{GROUP_VERSION}/namespaces/{namespace}/pods/*/{METRIC}"
        "?labelSelector=app%3Dllm-inference"
    )


def direct(backend: Backend, at: str) -> str:
    return f"https://{ADDRESSES[backend]}:{PORT}{at}"


class Backends:
    """Owns the processes; `stop` ends them."""

    def __init__(self, controlplane: ControlPlane, api: Api, client: Path, token: str) -> None:
        self._controlplane = controlplane
        self._api = api
        self._client = client
        self._token = token
        self._folder = controlplane.folder
        self._running: dict[str, Process] = {}
        self._refusal = ""
        self._certificate = pki.serving(
            controlplane.pki.authority,
            self._folder / "backend",
            "backend",
            [x509.DNSName(f"{name}.{cluster.SYSTEM}.svc") for name in Backend],
        )

    async def start_fleet(self, pods: Sequence[Sidecar]) -> None:
        """Serve every pod's sidecar; returns when all listen."""
        file = self._folder / "fleet.json"
        file.write_bytes(msgspec.json.encode(list(pods)))
        process = self._start("fleet", [sys.executable, "-m", "bench.fleet", str(file)])
        await _until(lambda: _says(process, fleet.READY), process)

    async def start_forescale(self) -> None:
        """Start the adapter with the rights of its manifests; returns when it is ready."""
        kubeconfig = await self._controlplane.service_account_kubeconfig(
            cluster.SYSTEM, cluster.ADAPTER_ACCOUNT
        )
        host = ADDRESSES[Backend.FORESCALE]
        command = [sys.executable, "-m", "adapter", f"--kubeconfig={kubeconfig}"]
        command += [f"--api-host={host}", f"--api-port={PORT}"]
        command += [f"--ops-host={host}", "--ops-port=8081", "--api-services-manage=false"]
        process = self._start(Backend.FORESCALE, command)
        await _until(lambda: self._get(f"https://{host}:{PORT}/readyz"), process)

    async def start_peer(self, pods: Sequence[Sidecar], client_qps: int | None) -> None:
        """Start the test-adapter (again) and write every pod's value; None leaves its own limit."""
        self.stop(Backend.PEER)
        kubeconfig = self._controlplane.kubeconfig
        host = ADDRESSES[Backend.PEER]
        command = [str(build.binary("test-adapter")), f"--bind-address={host}"]
        command += [f"--secure-port={PORT}", *self._tls()]
        command += [
            f"--{use}-kubeconfig={kubeconfig}"
            for use in ("lister", "authentication", "authorization")
        ]
        if client_qps is not None:
            command += [f"--client-qps={client_qps}", f"--client-burst={client_qps}"]
        process = self._start(Backend.PEER, command)
        await _until(lambda: self._get(f"https://{host}:{PORT}/readyz"), process)
        await _write_values(pods)

    async def start_static(self, namespaces: Sequence[str]) -> None:
        """Serve what the adapter answers now, byte for byte, to whoever asks."""
        bodies = self._folder / "static"
        bodies.mkdir()
        for name in namespaces:
            (bodies / name).write_bytes(await self.body(Backend.FORESCALE, path(name)))
        discovery = await self.body(Backend.FORESCALE, f"/apis/{GROUP_VERSION}")
        (bodies / "discovery").write_bytes(discovery)
        host = ADDRESSES[Backend.STATIC]
        command = [str(self._client), "static", f"-address={host}:{PORT}", f"-folder={bodies}"]
        command += [f"-{flag.removeprefix('--')}" for flag in self._tls()]
        process = self._start(Backend.STATIC, command)
        await _until(lambda: self._get(f"https://{host}:{PORT}/apis"), process)

    async def body(self, backend: Backend, at: str) -> bytes:
        """Return the backend's own answer. Raises RuntimeError where it is none."""
        _, body = await self._ask(direct(backend, at))
        return body

    async def put_services(self) -> None:
        for backend in Backend:
            await cluster.put_service(self._api, backend, ADDRESSES[backend], PORT)

    async def register(self, backend: Backend, namespace: str) -> None:
        """Let kube-apiserver ask this backend from now on; returns when it does."""
        version = GROUP_VERSION.rpartition("/")[2]
        name = f"{version}.custom.metrics.k8s.io"
        at = "/apis/apiregistration.k8s.io/v1/apiservices"
        service = {"name": str(backend), "namespace": cluster.SYSTEM, "port": 443}
        spec = {
            "group": "custom.metrics.k8s.io",
            "version": version,
            "service": service,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 200,
        }
        known = {item["metadata"]["name"] for item in (await self._api.get(at))["items"]}
        if name in known:
            await self._api.patch(f"{at}/{name}", {"spec": {"service": service}})
        else:
            await self._api.post(at, {"metadata": {"name": name}, "spec": spec})
        try:
            await _until(lambda: self._is_asked(backend, namespace))
        except TimeoutError as error:
            state = (await self._api.get(f"{at}/{name}")).get("status")
            raise RuntimeError(
                f"kube-apiserver does not ask {backend}: {state}; {self._refusal}"
            ) from error

    async def check_answers(self, sizes: Mapping[str, int]) -> None:
        """Raise RuntimeError unless every backend answers one item for each pod."""
        for backend in Backend:
            for namespace, count in sizes.items():
                items = json.loads(await self.body(backend, path(namespace)))["items"]
                if len(items) != count:
                    raise RuntimeError(f"{backend}: {len(items)} items for {count} pods")

    def processor_seconds(self, backend: Backend) -> float:
        """Return what the backend's process has spent since it was started."""
        spent = psutil.Process(self._running[backend].pid).cpu_times()
        return float(spent.user + spent.system)

    def stop(self, *names: str) -> None:
        """End these, or all."""
        for name in names or tuple(self._running):
            process = self._running.pop(name, None)
            if process is not None:
                process.stop()

    def check(self) -> None:
        for process in self._running.values():
            process.check()

    async def _is_asked(self, backend: Backend, namespace: str) -> bool:
        """Tell whether five answers running come from this backend."""
        for _ in range(5):
            try:
                headers, body = await self._ask(self._api.server + path(namespace))
            except RuntimeError as error:
                self._refusal = str(error)
                return False
            if _who(headers, body) is not backend:
                return False
        return True

    async def _get(self, url: str) -> bool:
        try:
            async with self._session() as http, http.get(url, headers=self._bearer()) as answer:
                return answer.status in (200, 404)
        except aiohttp.ClientError:
            return False

    async def _ask(self, url: str) -> tuple[dict[str, str], bytes]:
        at = URL(url, encoded=True)
        async with self._session() as http, http.get(at, headers=self._bearer()) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{url} answered {answer.status}: {body[:500]!r}")
            return dict(answer.headers), body

    def _session(self) -> aiohttp.ClientSession:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        timeout = aiohttp.ClientTimeout(total=10)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting), timeout=timeout)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _tls(self) -> list[str]:
        pair = self._certificate
        return [f"--tls-cert-file={pair.certificate}", f"--tls-private-key-file={pair.key}"]

    def _start(self, name: str, command: list[str]) -> Process:
        log = self._folder / f"{name}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = Process(name, command, log, environment=environment)
        process.start()
        self._running[name] = process
        return process


def _who(headers: dict[str, str], body: bytes) -> Backend:
    if headers.get("X-Backend") == "static":
        return Backend.STATIC
    items = json.loads(body)["items"]
    return Backend.PEER if items and items[0]["value"] == PEER_VALUE else Backend.FORESCALE


async def _write_values(pods: Sequence[Sidecar]) -> None:
    async with aiohttp.ClientSession() as http:
        for pod in pods:
            at = f"/write-metrics/namespaces/{pod.namespace}/pods/{pod.name}/{METRIC}"
            url = f"http://127.0.0.1:{PEER_WRITE_PORT}{at}"
            async with http.post(url, json=PEER_VALUE) as answer:
                answer.raise_for_status()


async def _says(process: Process, words: str) -> bool:
    return words in process.log.read_text()


async def _until(holds: Callable[[], Awaitable[bool]], process: Process | None = None) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not await holds():
        if process is not None:
            process.check()
        if time.monotonic() > deadline:
            told = f" of {process.name}:\n{process.tail()}" if process else ""
            raise TimeoutError(f"not ready after {READY_SECONDS:g} s{told}")
        await asyncio.sleep(POLL_SECONDS)
