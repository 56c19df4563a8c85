"""Beside the Go library's own adapter: its metrics go on working through ours, untouched."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from tests.controlplane import build, pki
from tests.controlplane.api import ApiError
from tests.controlplane.processes import Process
from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES, NAMESPACE, VERSIONS
from tests.e2e.asking import asking
from tests.e2e.clusterdiscovery import discovery_is_current
from tests.e2e.llmpods import ROOT, environment
from tests.e2e.rights import each_right_of_an_overlay_is_needed
from tests.e2e.scene import GPU, GROUP, Scene

Json = dict[str, Any]

ADDRESS = "10.77.34.2"
PORT = 6443
WRITE_PORT = 8080  # fixed in the test-adapter, on every address
METRIC = "http_requests"


class Other:
    """The test-adapter behind a Service `other`, with the group's APIServices."""

    def __init__(self, scene: Scene, folder: Path, *flags: str) -> None:
        self.scene = scene
        self.name = f"other.{scene.namespace}.svc"
        signer = scene.controlplane.pki.authority
        pair = pki.serving(signer, folder / "other", "other", [x509.DNSName(self.name)])
        self.authority = signer.pair.certificate
        kubeconfig = scene.controlplane.kubeconfig
        uses = ("lister", "authentication", "authorization")
        self.process = Process(
            "test-adapter",
            [
                str(build.binary("test-adapter")),
                f"--bind-address={ADDRESS}",
                f"--secure-port={PORT}",
                f"--tls-cert-file={pair.certificate}",
                f"--tls-private-key-file={pair.key}",
                *(f"--{use}-kubeconfig={kubeconfig}" for use in uses),
                *flags,
            ],
            folder / "test-adapter.log",
            environment=environment(),
        )

    async def start(self) -> None:
        self.process.start()
        api, namespace = self.scene.api, self.scene.namespace
        ports = [{"name": "https", "port": 443, "targetPort": PORT}]
        await api.post(
            f"/api/v1/namespaces/{namespace}/services",
            {"metadata": {"name": "other"}, "spec": {"ports": ports}},
        )
        labels = {"kubernetes.io/service-name": "other"}
        piece = {
            "metadata": {"name": "other", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": PORT}],
        }
        await api.post(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", piece)
        for version in VERSIONS:
            await api.post(APISERVICES, self._apiservice(version))

    async def write(self, pod: str, value: str) -> None:
        await self.put(f"namespaces/{self.scene.namespace}/pods/{pod}/{METRIC}", value)

    async def put(self, place: str, value: str) -> None:
        """Set the value of any place in the URL space below the version."""
        at = f"/write-metrics/{place}"
        async with aiohttp.ClientSession() as http:
            for _ in range(100):
                with suppress(aiohttp.ClientConnectionError):
                    async with http.post(
                        f"http://127.0.0.1:{WRITE_PORT}{at}", json=value
                    ) as answer:
                        answer.raise_for_status()
                        return
                await asyncio.sleep(0.1)
        raise TimeoutError(self.process.tail())

    async def stop(self) -> None:
        await asyncio.to_thread(self.process.stop, timeout_seconds=3.0)
        for version in VERSIONS:
            with suppress(ApiError):
                await self.scene.api.delete(f"{APISERVICES}/{version}.custom.metrics.k8s.io")

    def _apiservice(self, version: str) -> Json:
        return {
            "metadata": {"name": f"{version}.custom.metrics.k8s.io"},
            "spec": {
                "group": "custom.metrics.k8s.io",
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(self.authority.read_bytes()).decode(),
                "service": {"name": "other", "namespace": self.scene.namespace, "port": 443},
            },
        }


@pytest.fixture
async def other(scene: Scene, tmp_path: Path) -> AsyncIterator[Other]:
    made = Other(scene, tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_the_other_adapters_hpa_and_errors_stay_while_ours_has_the_group(
    scene: Scene, other: Other, tmp_path: Path
) -> None:
    begin = scene.controlplane.audit_log.stat().st_size
    scene.adapters.ops_port = 8088
    await scene.deploy(hpa=False)
    (pod,) = [p["metadata"]["name"] for p in scene.kubelet.ready(scene.namespace)]
    await other.write(pod, "7")
    await scene.api.post(
        f"/apis/autoscaling/v2/namespaces/{scene.namespace}/horizontalpodautoscalers",
        autoscaler(),
    )
    await scene.until_hpa_reads(METRIC)
    before = await answers(scene, pod)

    trust = tmp_path / "trust.crt"
    trust.write_bytes(scene.controlplane.pki.front_proxy_authority.pair.certificate.read_bytes())
    scene.adapters.manifests = ROOT / "manifests" / "overlays" / "fallthrough"
    scene.adapters.arguments = [
        "--api-services-takeover=true",
        f"--fallthrough-url=https://{ADDRESS}:{PORT}",
        f"--fallthrough-name={other.name}",
        f"--fallthrough-ca-file={trust}",
    ]
    theirs = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/pods/%2A/{METRIC}"
    async with asking(scene.api, theirs) as watched:
        await scene.adapters.install()
        await left_to_the_other_and_told(scene)
        assert await answers(scene, pod) == before
        trust.write_bytes(other.authority.read_bytes())
        await owned(scene)
        await asyncio.sleep(3)
    assert watched.failures == []
    assert "[+]fallthrough: answers" in await readyz(scene)
    assert await answers(scene, pod) == before
    await scene.until_served(GPU, {pod})
    await both_are_listed(scene)
    await other.write(pod, "9")
    await scene.until_hpa_reads('"9"')
    hpa = await scene.hpa()
    assert condition(hpa, "ScalingActive")["reason"] == "ValidMetricFound"

    await each_right_of_an_overlay_is_needed(scene, "fallthrough", begin)

    await asyncio.to_thread(other.process.stop, timeout_seconds=3.0)
    with_ours = await scene.values(GPU)
    assert set(with_ours) == {pod}
    gone = await asked(scene, f"pods/{pod}/{METRIC}")
    assert (gone["code"], "the adapter behind this one" in gone["message"]) == (503, True)


async def left_to_the_other_and_told(scene: Scene) -> None:
    """The Event comes when the group would have been taken."""
    found = await scene.api.until(
        f"/api/v1/namespaces/{NAMESPACE}/events",
        lambda listed: any(map(waiting(scene), listed["items"])),
        timeout_seconds=30,
    )
    event = next(filter(waiting(scene), found["items"]))
    assert "its certificate cannot be verified" in event["message"]
    assert "is not taken over yet: " in await readyz(scene)
    for version in VERSIONS:
        service = await scene.raw(f"{APISERVICES}/{version}.custom.metrics.k8s.io")
        assert service["spec"]["service"]["name"] == "other"
    assert condition(await scene.hpa(), "ScalingActive")["reason"] == "ValidMetricFound"


async def readyz(scene: Scene) -> str:
    """Ask the one adapter's probe, which is no failure meanwhile."""
    (address,) = scene.adapters.addresses.values()
    url = f"http://{address}:{scene.adapters.ops_port}/readyz?verbose"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


def waiting(scene: Scene) -> Callable[[Json], bool]:
    return lambda event: (
        event["reason"] == "APIServiceTakeoverWaits" and f"{scene.namespace}/" in event["message"]
    )


async def owned(scene: Scene) -> None:
    for version in VERSIONS:
        await scene.api.until(
            f"{APISERVICES}/{version}.custom.metrics.k8s.io",
            lambda found: (
                found["spec"]["service"]["namespace"] == NAMESPACE
                and condition(found, "Available").get("status") == "True"
            ),
        )


async def answers(scene: Scene, pod: str) -> list[Json]:
    """Ask what the other adapter has and has not; its times of reading aside."""
    paths = (f"pods/{pod}/{METRIC}", f"pods/%2A/{METRIC}", f"pods/{pod}/unheard_of", "pods/no/x")
    found = [await asked(scene, path) for path in paths]
    for answer in found:
        for item in answer.get("items", []):
            del item["timestamp"]
    return found


async def asked(scene: Scene, path: str) -> Json:
    url = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/{path}"
    async with scene.api.session.get(url) as response:
        return dict(await response.json())


async def both_are_listed(scene: Scene) -> None:
    """The Go library lists one nameless metric by default: passed on, it would make ours stale."""
    await discovery_is_current(scene)
    for version in VERSIONS:
        listed = await scene.raw(f"{GROUP}/{version}")
        names = {resource["name"] for resource in listed["resources"]}
        assert f"pods/{GPU}" in names
        assert not {name for name in names if name.endswith("custommetrics")}


def autoscaler() -> Json:
    target = {"type": "AverageValue", "averageValue": "10"}
    metric = {"type": "Pods", "pods": {"metric": {"name": METRIC}, "target": target}}
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "llm-inference-deployment",
    }
    spec = {"scaleTargetRef": reference, "maxReplicas": 3, "metrics": [metric]}
    return {"metadata": {"name": "llm-inference-hpa"}, "spec": spec}
