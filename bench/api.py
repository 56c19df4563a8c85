"""Claim: a list query takes a millisecond or two, where the Go library's adapter lists the pods.

The query an HPA sends for all pods of a workload, at 1, 100 and 1,000 pods, to three servers in
turn: our adapter, the test-adapter of sigs.k8s.io/custom-metrics-apiserver, and a server of static
bytes in Go (the floor). Each is asked directly (TLS 1.3, HTTP/1.1, the same bearer token) and
through kube-apiserver's aggregator (one APIService, pointed at each in turn), by the same client
program: once after the other on one kept connection (latency), and, at 100 and 1,000 pods, on 16
connections (requests per second, and what an answer costs the server's processor). Every URL is
another one, to every server: our adapter keeps the bytes of an answer until its next tick, which
helps nobody who asks every 15 s, so the figures that count are those of answers built anew. Ours is
asked for one URL again and again besides. What all
queries of one tick share even so is the metric's view of all pods, computed for the first of them.
Real kube-apiserver and etcd; scheduler and controller manager do not run; 1,101 pods stream to our
adapter all the while, half of them busy (fleet.py). The test-adapter's own client is limited to 5
requests a second by default; it is measured as it ships (directly, on 16 connections) and, in its
favour, unlimited. BENCH_REPETITIONS (3) of all, in turn.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import msgspec

from bench import apitables, backends, cluster, loadgen, table
from bench.apitables import Key, Urls, Way
from bench.backends import Backend, Backends
from bench.loadgen import Cell, Plan
from tests.controlplane import build, netns
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.processes import ProcessError

REPETITIONS = int(os.environ.get("BENCH_REPETITIONS", "3"))
SIZES = {"pods-1": 1, "pods-100": 100, "pods-1000": 1000}
CROWDED = {name: count for name, count in SIZES.items() if count >= 100}
IDLE_SECONDS = 10.0
SETTLE_SECONDS = 10.0  # the streams of 1,101 pods are open and the first backlogs read

ONE = Plan(connections=1, seconds=2.0, warm=5, least=20)
MANY = Plan(connections=apitables.MANY, seconds=3.0, warm=2, most=6.0)
# Long enough that a burst of 10 does not count for much: the warm-up has it, and more.
LIMITED = Plan(connections=apitables.MANY, seconds=8.0, warm=2, most=8.0)


FAILURES = (
    netns.NetworkError,
    build.BuildError,
    ProcessError,
    loadgen.LoadError,
    RuntimeError,
    TimeoutError,
)


class Bench:
    """One run of all: servers in turn, sizes, ways; `cells` has what was seen."""

    def __init__(self, servers: Backends, server: str, client: Path, token: str) -> None:
        self.cells: dict[Key, Cell] = defaultdict(lambda: Cell(runs=[]))
        self._servers = servers
        self._apiserver = server
        self._client = client
        self._token = token

    async def repeat(self, number: int) -> None:
        """Measure every server once; a different one is first each time."""
        order = list(Backend)
        for backend in order[number % 3 :] + order[: number % 3]:
            _say(f"repetition {number + 1} of {REPETITIONS}: {backend}")
            await self._servers.register(backend, next(iter(SIZES)))
            for namespace in SIZES:
                await self._measure(backend, namespace)
            self._servers.check()

    async def limited(self) -> None:
        """Measure the test-adapter's throughput as it ships."""
        for namespace in CROWDED:
            key = Key(Backend.PEER, Way.DIRECT, namespace, limited=True)
            await self._run(key, LIMITED)

    async def _measure(self, backend: Backend, namespace: str) -> None:
        asked = tuple(Urls) if backend is Backend.FORESCALE else (Urls.ANEW,)
        plans = (ONE, MANY) if namespace in CROWDED else (ONE,)
        for way, urls, plan in itertools.product(Way, asked, plans):
            await self._run(Key(backend, way, namespace, urls), plan)

    async def _run(self, key: Key, plan: Plan) -> None:
        at = backends.path(key.namespace)
        direct = key.way is Way.DIRECT
        url = backends.direct(key.backend, at) if direct else self._apiserver + at
        asking = msgspec.structs.replace(plan, unique=key.urls is Urls.ANEW)
        cell = self.cells[msgspec.structs.replace(key, connections=plan.connections)]
        spent = self._servers.processor_seconds(key.backend)
        report = await loadgen.run(self._client, url, self._token, asking)
        cell.processor_seconds += self._servers.processor_seconds(key.backend) - spent
        cell.asked += len(report.latencies_seconds) + plan.connections * plan.warm
        cell.runs.append(report)


async def measure(controlplane: ControlPlane, client: Path) -> str:
    """Furnish the cluster, start everything, measure, and return the tables."""
    load_before = table.load()
    async with Api(controlplane.server, controlplane.ssl_context()) as api:
        _say(f"creating {sum(SIZES.values()):,} pods")
        pods = await cluster.furnish(controlplane, api, SIZES)
        token = await cluster.reader_token(controlplane)
        servers = Backends(controlplane, api, client, token)
        try:
            _say("starting the servers")
            await servers.start_fleet(pods)
            await servers.start_forescale()
            await asyncio.sleep(SETTLE_SECONDS)
            await servers.start_peer(pods, backends.UNLIMITED)
            await servers.start_static(list(SIZES))
            await servers.put_services()
            await servers.check_answers(SIZES)
            bench = Bench(servers, controlplane.server, client, token)
            idle = await _idle(servers)
            for number in range(REPETITIONS):
                await bench.repeat(number)
            _say("the test-adapter as it ships")
            await servers.start_peer(pods, None)
            await bench.limited()
        finally:
            servers.stop()
    machine = table.machine(load_before)
    return apitables.render(
        bench.cells, SIZES, CROWDED, idle_ratio=idle, ran=_ran(), machine=machine
    )


async def _idle(servers: Backends) -> float:
    """Return which share of a core our adapter takes for its streams, while nobody asks."""
    spent, began = servers.processor_seconds(Backend.FORESCALE), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    spent = servers.processor_seconds(Backend.FORESCALE) - spent
    return spent / (time.monotonic() - began)


def _ran() -> str:
    return (
        f"{REPETITIONS} repetitions in turn; p50 is the median of their medians, p99 that of all"
        f" requests together. {sum(SIZES.values()):,} pods streamed to forescale all the while,"
        " from the same machine, as did the client."
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    try:
        if not netns.inside():
            netns.enter([sys.executable, "-m", "bench.api"])
        client = loadgen.program()
        build.binary("test-adapter")
        with tempfile.TemporaryDirectory(prefix="bench-api-") as folder:
            with ControlPlane(Path(folder)) as controlplane:
                tables = asyncio.run(measure(controlplane, client))
            sys.stdout.write(tables)
    except FAILURES as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
