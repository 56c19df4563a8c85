"""The adapter pods of a test: what manifests/base deploys, run as real adapter processes."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane, KubectlError
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.processes import Process
from tests.controlplane.workloads import condition
from tests.e2e.llmpods import ROOT, TIMEOUT, environment

Json = dict[str, Any]

NAMESPACE = "forescale-system"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/forescale-adapter"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
REPLICAS = 2  # in manifests/base
VERSIONS = ("v1beta1", "v1beta2")
EXTERNAL = "v1beta1.external.metrics.k8s.io"
PROBE_SECONDS = 0.2
STOP_SECONDS = 15.0  # draining takes five


class Adapters:
    """Runs one process per adapter pod and probes it as the manifest's readinessProbe would."""

    def __init__(
        self,
        folder: Path,
        controlplane: ControlPlane,
        api: Api,
        kubelet: Kubelet,
        session: aiohttp.ClientSession,
    ) -> None:
        self.processes: dict[str, Process] = {}
        self.addresses: dict[str, str] = {}
        self.arguments: list[str] = []
        self.manifests = ROOT / "manifests" / "base"
        self.ops_port = 8080
        self.started_at = 0.0  # the newest process, by the monotonic clock
        self._folder = folder
        self._controlplane = controlplane
        self._api = api
        self._kubelet = kubelet
        self._session = session
        self._kubeconfig: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        self._probes: dict[str, asyncio.Task[None]] = {}

    async def install(self, replicas: int = 1) -> None:
        """Apply the manifests with that many replicas, and wait until the API is available."""
        self._kubelet.take(NAMESPACE)
        await self._apply(replicas)
        await self.account()
        await self._kubelet.wait_ready(NAMESPACE, replicas, timeout_seconds=60)
        await self.available()

    async def account(self) -> None:
        """Give the adapters their service account's token, which a kubelet would mount."""
        await self._api.appears(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/forescale-adapter")
        if not self._kubeconfig.done():
            self._kubeconfig.set_result(
                await self._controlplane.service_account_kubeconfig(NAMESPACE, "forescale-adapter")
            )

    async def _apply(self, replicas: int) -> None:
        """Apply the manifests as a person would; with another number of replicas for one test."""
        kubectl, base = self._controlplane.kubectl, str(self.manifests)
        if replicas == REPLICAS:
            await kubectl("apply", "-k", base)
            return
        built = await kubectl("kustomize", base)
        changed = built.replace(f"replicas: {REPLICAS}", f"replicas: {replicas}")
        assert changed != built
        await kubectl("apply", "-f", "-", stdin=changed)

    async def scale(self, replicas: int) -> None:
        """Set the Deployment's replicas."""
        await self._api.patch(f"{DEPLOYMENT}", {"spec": {"replicas": replicas}})

    async def available(self, timeout_seconds: float = 45.0) -> None:
        """Wait until kube-apiserver calls both APIServices available."""
        for version in VERSIONS:
            path = f"{APISERVICES}/{version}.custom.metrics.k8s.io"
            await self._api.appears(path, timeout_seconds=timeout_seconds)
            await self._api.until(
                path,
                lambda found: condition(found, "Available").get("status") == "True",
                timeout_seconds=timeout_seconds,
            )

    async def uninstall(self) -> None:
        """Delete the APIServices first, then the adapter, as the documentation says."""
        names = [f"{version}.custom.metrics.k8s.io" for version in VERSIONS]
        if "--external-enabled" in self.arguments:
            names.append(EXTERNAL)
        for name in names:
            with suppress(KubectlError):
                await self._controlplane.kubectl("delete", "apiservice", name)
        await self.scale(0)
        await self._kubelet.drained(NAMESPACE, timeout_seconds=60)
        await self.close()

    async def start(self, pod: Json) -> None:
        """Hook: an adapter pod's container starts."""
        name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
        command = [sys.executable, "-m", "adapter", "--kubeconfig", str(await self._kubeconfig)]
        command += ["--api-host", ip, "--ops-host", ip, "--ops-port", str(self.ops_port)]
        command += self.arguments
        log = self._folder / f"{name}.log"
        self.processes[name] = Process(name, command, log, environment=environment())
        self.addresses[name] = ip
        self.processes[name].start()
        self.started_at = time.monotonic()
        self._probes[name] = asyncio.create_task(self._probe(name, ip))

    async def restart(self, pod: Json) -> None:
        """Hook: the container starts again after its process was killed."""
        self.processes[pod["metadata"]["name"]].start()

    async def crash(self, *names: str) -> None:
        """Kill these adapters, or all, as the kernel would; the kubelet starts them again."""
        for name in names or self.processes:
            await asyncio.to_thread(self.processes[name].kill)
        for name in names or self.processes:
            await self._kubelet.restart_container(NAMESPACE, name, exit_code=137)

    async def stop(self, pod: Json) -> None:
        """Hook: an adapter pod was deleted."""
        name = pod["metadata"]["name"]
        self._probes.pop(name).cancel()
        await asyncio.to_thread(self.processes.pop(name).stop, timeout_seconds=STOP_SECONDS)

    async def close(self) -> None:
        """End everything that still runs."""
        for name in list(self.processes):
            await self.stop({"metadata": {"name": name}})

    def log(self) -> str:
        """All that the adapters of this test wrote."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    async def metrics(self, name: str) -> str:
        """One adapter's own metrics."""
        url = f"http://{self.addresses[name]}:{self.ops_port}/metrics"
        async with self._session.get(url, timeout=TIMEOUT) as answer:
            return await answer.text()

    async def _probe(self, name: str, ip: str) -> None:
        told = False
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            ready = await self._is_ready(ip)
            if ready != told:
                with suppress(LookupError, RuntimeError):  # not running yet, or gone
                    await self._kubelet.set_ready(NAMESPACE, name, is_ready=ready)
                    told = ready

    async def _is_ready(self, ip: str) -> bool:
        try:
            url = f"http://{ip}:{self.ops_port}/readyz"
            async with self._session.get(url, timeout=TIMEOUT) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
