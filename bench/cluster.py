"""The cluster: a real API server with namespaces of running pods, and nobody who changes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from bench import pods
from bench.pods import Sidecar
from tests.controlplane import netns
from tests.controlplane.addresses import AddressPool
from tests.controlplane.api import Api, Json
from tests.controlplane.cluster import CONTROLLER_MANAGER, ControlPlane

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests" / "base"
SYSTEM = "forescale-system"
ADAPTER_ACCOUNT = "forescale-adapter"
READER = "bench-reader"
RIGHTS = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
WRITERS = 16  # requests under way; more wait in the API server
SIDECAR_PORT = 9401


async def furnish(
    controlplane: ControlPlane, api: Api, sizes: Mapping[str, int], network: str = netns.PODS
) -> list[Sidecar]:
    """Create the adapter's rights, a reader, and so many running pods in each namespace.

    The controller manager is stopped: it would end pods whose node is not there.
    """
    for name in sizes:
        await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    await _apply_rights(controlplane)
    await _make_reader(controlplane)
    for name in (*sizes, SYSTEM):
        await api.appears(f"/api/v1/namespaces/{name}/serviceaccounts/default")
    await controlplane.stop_component(CONTROLLER_MANAGER)
    return await _create_pods(api, sizes, AddressPool(network))


async def reader_token(controlplane: ControlPlane) -> str:
    """Return the token of an account that may read custom metrics, as an HPA controller may."""
    return (await controlplane.kubectl("create", "token", READER, "--duration=2h")).strip()


async def _apply_rights(controlplane: ControlPlane) -> None:
    built = yaml.safe_load_all(await controlplane.kubectl("kustomize", str(MANIFESTS)))
    rights = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [one for one in built if one["kind"] in RIGHTS],
    }
    await controlplane.kubectl("apply", "-f", "-", stdin=json.dumps(rights))


async def _make_reader(controlplane: ControlPlane) -> None:
    await controlplane.kubectl("create", "serviceaccount", READER)
    await controlplane.kubectl(
        "create",
        "clusterrolebinding",
        READER,
        "--clusterrole=forescale-metrics-reader",
        f"--serviceaccount=default:{READER}",
    )


async def _create_pods(api: Api, sizes: Mapping[str, int], addresses: AddressPool) -> list[Sidecar]:
    planned = [
        pods.of(namespace, number, addresses.take(), SIDECAR_PORT, busy=number % 2 == 0)
        for namespace, count in sizes.items()
        for number in range(count)
    ]
    turn = asyncio.Semaphore(WRITERS)

    async def create(pod: Sidecar) -> Sidecar:
        async with turn:
            return await _create(api, pod)

    return list(await asyncio.gather(*(create(pod) for pod in planned)))


async def _create(api: Api, pod: Sidecar) -> Sidecar:
    """Create the pod as running; return it with the UID that it was given."""
    path = f"/api/v1/namespaces/{pod.namespace}/pods"
    content = pods.as_json(pod)
    del content["metadata"]["uid"], content["status"]
    created = await api.post(path, content)
    await api.patch(f"{path}/{pod.name}/status", {"status": pods.status(pod.ip)})
    return msgspec.structs.replace(pod, uid=created["metadata"]["uid"])


async def put_service(api: Api, name: str, address: str, port: int) -> None:
    """Create a Service with one endpoint, which nobody but us keeps."""
    base = f"/namespaces/{SYSTEM}"
    ports = [{"name": "https", "port": 443, "protocol": "TCP"}]
    await api.post(
        f"/api/v1{base}/services", {"metadata": {"name": name}, "spec": {"ports": ports}}
    )
    slice_: Json = {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    await api.post(f"/apis/discovery.k8s.io/v1{base}/endpointslices", slice_)
