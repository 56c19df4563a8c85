"""The real metrics-server of a test, and what its kubelets say of the pods' CPU and memory."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from cryptography import x509

from tests.controlplane import build, pki
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.processes import Process
from tests.e2e.llmpods import environment

Json = dict[str, Any]

ADDRESS = "10.77.34.1"
PORT = 4443
KUBELET_PORT = 10250
NAME = "metrics-server.kube-system.svc"
SERVICES = "/api/v1/namespaces/kube-system/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
SECRET = "/api/v1/namespaces/kube-system/secrets/forescale-metrics-server"  # noqa: S105 - a path
RESOLUTION_SECONDS = 10  # the shortest that it takes


class NodeMetrics:
    """A node's `/metrics/resource`, with the pods of one namespace; `cores` is CPU by container."""

    def __init__(self, folder: Path, controlplane: ControlPlane, kubelet: Kubelet) -> None:
        self.cores: Callable[[str, str], float] = lambda _, __: 0.1  # of pod and container
        self.namespace = ""
        self._kubelet = kubelet
        self._used: dict[tuple[str, str], tuple[float, float]] = {}
        address = kubelet.nodes["gpu-node-0"]
        names = [x509.DNSName("gpu-node-0")]
        pair = pki.serving(controlplane.pki.authority, folder / "kubelet", "kubelet", names)
        self._address, self._pair = address, pair
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        app = web.Application()
        app.router.add_get("/metrics/resource", self._page)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, KUBELET_PORT, ssl_context=context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _page(self, _: web.Request) -> web.Response:
        now = time.time()
        lines = [
            *_sample("node_cpu_usage_seconds_total", "", now % 1e6, now),
            *_sample("node_memory_working_set_bytes", "", 8 * 2**30, now),
        ]
        for pod in self._kubelet.running(self.namespace):
            name = pod["metadata"]["name"]
            for container in _running(pod):
                labels = f'{{container="{container}",namespace="{self.namespace}",pod="{name}"}}'
                used = self._cpu_seconds(name, container, now)
                lines += _sample("container_cpu_usage_seconds_total", labels, used, now)
                lines += _sample("container_memory_working_set_bytes", labels, 2**30, now)
                lines += _sample(
                    "container_start_time_seconds", labels, now - 600, now, stamp=False
                )
        return web.Response(text="".join(lines))

    def _cpu_seconds(self, pod: str, container: str, now: float) -> float:
        used, at = self._used.get((pod, container), (10.0, now))
        used += (now - at) * self.cores(pod, container)
        self._used[pod, container] = used, now
        return used


def _running(pod: Json) -> list[str]:
    native = [c for c in pod["spec"].get("initContainers", []) if c.get("restartPolicy")]
    return [container["name"] for container in [*pod["spec"]["containers"], *native]]


def _sample(name: str, labels: str, value: float, now: float, *, stamp: bool = True) -> list[str]:
    at = f" {int(now * 1000)}" if stamp else ""
    return [f"{name}{labels} {value}{at}\n"]


class MetricsServer:
    """The process behind the Service kube-system/metrics-server, its certificate from a Secret."""

    def __init__(self, folder: Path, controlplane: ControlPlane) -> None:
        self._folder = folder
        self._api_folder = folder / "metrics-server"
        self._api_folder.mkdir()
        self._kubeconfig = controlplane.kubeconfig
        self.process = Process(
            "metrics-server",
            [str(build.binary("metrics-server")), *self._arguments()],
            folder / "metrics-server.log",
            environment=environment(),
        )

    async def expose(self, api: Api) -> None:
        """Make its Service, as metrics-server's own manifest does, with the one endpoint."""
        ports = [{"name": "https", "port": 443, "targetPort": PORT}]
        meta = {"name": "metrics-server"}
        await api.post(SERVICES, {"metadata": meta, "spec": {"ports": ports}})
        labels = {"kubernetes.io/service-name": "metrics-server"}
        ready = {"addresses": [ADDRESS], "conditions": {"ready": True}}
        piece = {"metadata": meta | {"labels": labels}, "addressType": "IPv4", "endpoints": [ready]}
        await api.post(SLICES, piece | {"ports": [{"name": "https", "port": PORT}]})

    async def hide(self, api: Api) -> None:
        await api.delete(f"{SLICES}/metrics-server")
        await api.delete(f"{SERVICES}/metrics-server")

    async def start(self, api: Api) -> None:
        """Be the kubelet: wait for the Secret's keys, mount them, start the container."""
        secret = await api.until(SECRET, lambda found: "tls.crt" in (found.get("data") or {}))
        for key in ("tls.crt", "tls.key"):
            (self._api_folder / key).write_bytes(base64.b64decode(secret["data"][key]))
        self.process.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self.process.stop, timeout_seconds=3.0)

    def _arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self._kubeconfig}",
            f"--authentication-kubeconfig={self._kubeconfig}",
            f"--authorization-kubeconfig={self._kubeconfig}",
            f"--bind-address={ADDRESS}",
            f"--secure-port={PORT}",
            f"--tls-cert-file={self._api_folder / 'tls.crt'}",
            f"--tls-private-key-file={self._api_folder / 'tls.key'}",
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-request-timeout=5s",
            f"--metric-resolution={RESOLUTION_SECONDS}s",
        ]
