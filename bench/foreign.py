"""Claim: pods of others cost an adapter nothing, and next to nothing where it must look at all.

A real kube-apiserver has BENCH_PODS (5000) pods with our label and BENCH_FOREIGN (50000) without
it, and a foreign ReplicaSet for every fifty of those; nobody runs or changes them. The pods of ours
stream (lightfleet.py), half of them busy, each in one of twenty namespaces that are asked for both
parts every 5 s. Rows: an adapter before the foreign pods were there; the same one afterwards; one
that was started among them; and one with `intake.nodeSources` set, which must watch every pod, for
the GPUs that a node's agent may tell of. For BENCH_SECONDS (30) each.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from bench import cluster, fleet, growth, large, table
from bench.growth import Cost
from bench.large import Large
from bench.pods import Sidecar
from tests.controlplane.api import Api, Json
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.processes import Process, free_ports

PODS = int(os.environ.get("BENCH_PODS", "5000"))
FOREIGN = int(os.environ.get("BENCH_FOREIGN", "50000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "30"))
FOREIGN_NAMESPACE = "others"
NETWORK = "10.77.64.0/18"  # a cluster's usual one here has 4,094 addresses
PODS_PER_REPLICA_SET = 50
GOAL_MIB = 400
CONTAINER = {"name": "web", "image": "web:1.0", "ports": [{"containerPort": 8080}]}
ANY_NODE_SOURCE = "--intake-node-sources=gpu-operator/nvidia-dcgm-exporter"


async def measure(controlplane: ControlPlane) -> str:
    """Furnish the cluster, measure each adapter, and return the table."""
    load_before = table.load()
    share = PODS // growth.NAMESPACES
    sizes = {f"team-{number:04d}": share for number in range(growth.NAMESPACES)}
    sizes[FOREIGN_NAMESPACE] = 0  # made while there is a controller manager
    rows: dict[str, Cost] = {}
    async with Api(controlplane.server, controlplane.ssl_context()) as api:
        _say(f"creating {PODS:,} pods with the label")
        everyone = await cluster.furnish(controlplane, api, sizes, NETWORK)
        token = await cluster.reader_token(controlplane)
        async with _streaming(controlplane.folder, everyone):
            async with _adapter(controlplane, "first", len(everyone)) as adapter:
                rows["before there were foreign pods"] = await _cost(adapter, token)
                _say(f"creating {FOREIGN:,} pods without it")
                await _create_foreign(api)
                rows["the same, afterwards"] = await _cost(adapter, token)
            async with _adapter(controlplane, "second", len(everyone)) as adapter:
                rows["started among them"] = await _cost(adapter, token)
            node = (ANY_NODE_SOURCE,)
            async with _adapter(controlplane, "third", len(everyone), *node) as adapter:
                rows["started among them, all pods watched"] = await _cost(adapter, token)
    return _table(rows, load_before)


async def _cost(adapter: Large, token: str) -> Cost:
    await asyncio.sleep(growth.SETTLE_SECONDS)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(
        f"https://127.0.0.1:{adapter.api_port}",
        connector=aiohttp.TCPConnector(ssl=trusting),
        headers={"Authorization": f"Bearer {token}"},
    ) as http:
        return await growth.cost(adapter, http, PODS, SECONDS)


@asynccontextmanager
async def _streaming(folder: Path, everyone: list[Sidecar]) -> AsyncIterator[None]:
    """Serve all sidecars from one process."""
    file = folder / "fleet.json"
    file.write_bytes(msgspec.json.encode(everyone))
    command = [sys.executable, "-m", "bench.lightfleet", str(file)]
    streaming = Process("fleet", command, folder / "fleet.log", environment=dict(os.environ))
    try:
        streaming.start()
        while fleet.READY not in streaming.log.read_text():
            streaming.check()
            await asyncio.sleep(0.1)
        yield
        streaming.check()
    finally:
        streaming.stop()


@asynccontextmanager
async def _adapter(
    controlplane: ControlPlane, name: str, count: int, *more: str
) -> AsyncIterator[Large]:
    """Start an adapter with the rights of its manifests; yields when each pod is served."""
    kubeconfig = await controlplane.service_account_kubeconfig(
        cluster.SYSTEM, cluster.ADAPTER_ACCOUNT
    )
    api_port, ops_port = free_ports(2)
    command = [sys.executable, "-m", "adapter", f"--kubeconfig={kubeconfig}", *more]
    command += ["--api-host=127.0.0.1", f"--api-port={api_port}", "--api-services-manage=false"]
    command += ["--ops-host=127.0.0.1", f"--ops-port={ops_port}"]
    log = controlplane.folder / f"adapter-{name}.log"
    process = Process(name, command, log, environment=dict(os.environ))
    try:
        process.start()
        found = Large(process, api_port, ops_port)
        await large.all_stream(found, count)
        yield found
        process.check()
    finally:
        process.stop()


async def _create_foreign(api: Api) -> None:
    """Create the pods that are none of ours, and ReplicaSets that own none of ours."""
    turn = asyncio.Semaphore(cluster.WRITERS)

    async def create(number: int) -> None:
        async with turn:
            if number % PODS_PER_REPLICA_SET == 0:
                path = f"/apis/apps/v1/namespaces/{FOREIGN_NAMESPACE}/replicasets"
                await api.post(path, _replica_set(number))
            await api.post(f"/api/v1/namespaces/{FOREIGN_NAMESPACE}/pods", _foreign(number))

    await asyncio.gather(*(create(number) for number in range(FOREIGN)))


def _foreign(number: int) -> Json:
    metadata = {"name": f"web-7c9f8d6b5-{number:05d}", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"nodeName": "node-0", "containers": [CONTAINER]}}


def _replica_set(number: int) -> Json:
    labels = {"app": f"web-{number}"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": f"web-{number}", "labels": labels}, "spec": spec}


def _table(rows: dict[str, Cost], load_before: float) -> str:
    shown = [
        (
            which,
            f"{100 * cost.core_ratio:.0f}",
            f"{cost.resident_mib:.0f}",
            f"{cost.queue_age_seconds:.2f}",
            f"{cost.gpu_age_seconds:.2f}",
        )
        for which, cost in rows.items()
    ]
    return table.markdown(
        f"{PODS:,} pods stream in a cluster that has {FOREIGN:,} pods without our label",
        ("adapter", "% of a core", "MiB", "queue age p99, s", "GPU age p99, s"),
        shown,
        f"{SECONDS:g} s each; goals, for 10,000: 100 % of a core, {GOAL_MIB} MiB, 2.5 s and 4.5 s."
        " Ages are since the adapter's start, interpolated within their histogram's buckets."
        " kube-apiserver, etcd and the pods ran on the same machine.",
        f"Machine: {table.machine(load_before)}.",
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    large.enter("bench.foreign")
    large.allow_descriptors()
    with (
        tempfile.TemporaryDirectory(prefix="bench-foreign-") as folder,
        ControlPlane(Path(folder)) as controlplane,
    ):
        written = asyncio.run(measure(controlplane))
    sys.stdout.write(written)


if __name__ == "__main__":
    main()
