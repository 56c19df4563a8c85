"""Every query of dashboard and rules, asked of a real Prometheus that scrapes real processes.

A query without a series is a misspelt one, or one of a metric that is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from adapter import night
from scripts import prometheus_rule
from tests.adapter.api.serving import pem
from tests.adapter.intake.test_podjson import owner, pod_json
from tests.controlplane import pki
from tests.controlplane.processes import free_ports
from tests.fakes.apiserver import FakeApiServer, Json
from tests.fakes.nvml import FakeGpus

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "manifests" / "dashboards" / "forescale.json").read_text())
PODS, SETS, NODES = "/api/v1/pods", "/apis/apps/v1/replicasets", "/api/v1/nodes"
PRICES = "{H100: {onDemand: 9, spot: 2.5}}"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
METRICS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods"
PENDING = "llm_inference_pending_requests"
DEADLINE_SECONDS = 100.0  # of which a quiet machine needs fifteen
# A forecast is known after half an hour of readings: that the adapter knows the name must do.
LATER = ("forescale_adapter_forecast", "forescale_adapter_forecast_coverage_ratio")
SELECTOR = re.compile(
    r"\b(?:forescale_|llm_inference_|nvidia_gpu_|namespace:|workload:|instance:)[\w:]+(?:\{[^}]*\})?"
)


def panel_queries() -> Iterator[str]:
    """Yield what Grafana would ask, of a day that is all night."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield asked(target["expr"])


def asked(expr: str, dark: tuple[int, int] = (0, 24)) -> str:
    """Return a panel's query as Grafana asks it; a step of minutes would have the test wait."""
    expr = re.sub(r"\$__range(:\dm)?", lambda it: "5m:1s" if it[1] else "5m", expr)
    expr = re.sub(r"\$(namespace|pod)\b", ".+", expr).replace("$product", ".*")
    return expr.replace("$night_from", str(dark[0])).replace("$night_to", str(dark[1]))


def query_of(title: str, number: int = 0) -> str:
    """Return a query of the panel with this title, as the dashboard has it."""
    (panel,) = [one for one in DASHBOARD["panels"] if one["title"] == title]
    return str(panel["targets"][number]["expr"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in prometheus_rule.groups() for rule in group["rules"]]


def selectors() -> Iterator[str]:
    """Yield each selector of each rule, matchers included: an alert that does not fire is empty."""
    for rule in rules():
        for found in SELECTOR.finditer(rule["expr"]):
            yield found[0]
        if "record" in rule:
            yield rule["record"]


def is_later(query: str) -> bool:
    return any(found[0].partition("{")[0] in LATER for found in SELECTOR.finditer(query))


class Scene:
    """A pod with a sidecar, one that is silent, an adapter on a small API server, a Prometheus."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.engine, self.sidecar, self.api, self.ops, self.prometheus = free_ports(5)
        self.apiserver = FakeApiServer()

    async def start(self) -> None:
        await self._stack.enter_async_context(self.apiserver)
        self._populate()
        gpus = FakeGpus(self.folder, count=1)
        gpus.set(0, busy_percent=40, memory_used_bytes=2**30, energy_millijoules=5_000)
        model = ["tests.fakes.model_server", "--port", str(self.engine), "--service-time", "0.05"]
        await self._run(*model)
        beside = ["sidecar", "--engine=vllm", "--host=127.0.0.1", f"--port={self.sidecar}"]
        beside += [f"--engine-url=http://127.0.0.1:{self.engine}/metrics", "--pod-uid=uid-llm-0"]
        await self._run(*beside, f"--gpu-uuids={gpus.uuids[0]}", env=gpus.env())
        adapter = ["adapter", f"--kubeconfig={self.apiserver.kubeconfig(self.folder)}"]
        adapter += ["--api-host=127.0.0.1", f"--api-port={self.api}", "--ops-host=127.0.0.1"]
        adapter += [f"--ops-port={self.ops}", "--intake-allow-loopback=true"]
        adapter += ["--intake-first-try-seconds=1", f"--cost-prices-per-gpu-hour={PRICES}"]
        await self._run(*adapter)
        await self._run_prometheus()

    def _populate(self) -> None:
        self.apiserver.users["t"] = {"username": "ann", "groups": ["system:authenticated"]}
        self.apiserver.allows = lambda _: True
        front = pki.authority(self.folder / "front-ca", "front")
        data = {"client-ca-file": "", "requestheader-client-ca-file": pem(front)}
        data |= {"requestheader-allowed-names": "[]"}
        data |= {"requestheader-username-headers": '["X-Remote-User"]'}
        data |= {"requestheader-group-headers": '["X-Remote-Group"]'}
        data |= {"requestheader-extra-headers-prefix": '["X-Remote-Extra-"]'}
        name = "extension-apiserver-authentication"
        self.apiserver.put(CONFIG_MAPS, {"metadata": {"name": name}, "data": data})
        replica_set = {"name": "llm-5d", "namespace": "default", "uid": "rs"}
        replica_set |= {"ownerReferences": [owner("Deployment", "llm")]}
        self.apiserver.put(SETS, {"metadata": replica_set})
        self.apiserver.put(NODES, a_node("n1", "H100"))
        self.apiserver.put(NODES, a_node("n2", "A10"))
        self.apiserver.put(PODS, a_pod("llm-0", self.sidecar))
        silent = a_pod("silent-0", free_ports(1)[0])
        silent["metadata"].pop("ownerReferences")
        silent["metadata"].pop("annotations")
        silent["spec"]["nodeName"] = "n2"
        last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        silent["status"]["containerStatuses"][0]["lastState"] = last
        self.apiserver.put(PODS, silent)

    async def _run(self, *module: str, env: dict[str, str] | None = None) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FORESCALE_")}
        await self._process(sys.executable, "-m", *module, env=clean | (env or {}))

    async def _run_prometheus(self) -> None:
        program = shutil.which("prometheus")
        assert program, "prometheus is missing: sudo apt-get install -y prometheus"
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(prometheus_rule.RULES / "*.yaml")],
            "scrape_configs": [
                target("PodMonitor", self.sidecar, "default", "llm-0"),
                target("ServiceMonitor", self.ops, "forescale-system", "adapter-0"),
            ],
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        await self._process(
            program,
            f"--config.file={self.folder / 'config.json'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
            env=dict(os.environ),
        )

    async def _process(self, *command: str, env: dict[str, str]) -> None:
        log = (self.folder / f"{Path(command[0]).name}-{len(command)}.log").open("wb")
        self._stack.callback(log.close)
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=env, stdout=log, stderr=log
        )

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.wait()

        self._stack.push_async_callback(end)

    async def ask(self, http: aiohttp.ClientSession) -> None:
        """Send requests to the model server, and queries to the adapter, one of them in vain."""
        for _ in range(3):
            url = f"http://127.0.0.1:{self.engine}/v1/completions"
            async with http.post(url, json={"prompt": "a", "max_tokens": 1}) as answer:
                await answer.read()
        for name in ("llm-0", "silent-0"):
            url = f"https://127.0.0.1:{self.api}{METRICS}/{name}/{PENDING}"
            headers = {"Authorization": "Bearer t"}
            async with http.get(url, headers=headers, ssl=False) as answer:
                await answer.read()

    async def series(self, http: aiohttp.ClientSession, query: str) -> int:
        """Return how many series the query has now; fail where it is no query."""
        return len(await self.values(http, query))

    async def values(
        self, http: aiohttp.ClientSession, query: str, at: float | None = None
    ) -> list[float]:
        """Return the value of each series now, or at another time."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/query"
        when = {} if at is None else {"time": str(at)}
        async with http.get(url, params={"query": query} | when) as answer:
            told = await answer.json()
        assert told["status"] == "success", (query, told)
        return [float(one["value"][1]) for one in told["data"]["result"]]

    async def known(self, http: aiohttp.ClientSession) -> set[str]:
        """Return the names of which targets have told a type, with series or without."""
        async with http.get(f"http://127.0.0.1:{self.prometheus}/api/v1/metadata") as answer:
            return set((await answer.json())["data"])


def target(monitor: str, port: int, namespace: str, pod: str) -> Json:
    """Return the job that the Prometheus Operator makes of our monitor of this kind."""
    text = (ROOT / "manifests/components/monitoring/monitors.yaml").read_text()
    (spec,) = [one["spec"] for one in yaml.safe_load_all(text) if one["kind"] == monitor]
    (endpoint,) = [*spec.get("endpoints", ()), *spec.get("podMetricsEndpoints", ())]
    static = {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "pod": pod}}
    return {
        "job_name": monitor,
        "metrics_path": endpoint["path"],
        "honor_labels": endpoint.get("honorLabels", False),
        "static_configs": [static],
    }


def a_pod(name: str, port: int) -> Json:
    """Return a pod on loopback that took forty seconds until it served, a minute ago."""
    now = datetime.now(UTC)
    raw = pod_json(since=stamp(now - timedelta(seconds=60)))
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    raw["metadata"]["labels"]["forescale.dev/source"] = "sidecar"
    noted = {"forescale.dev/forecast": "observe", "forescale.dev/target": "inflight=4"}
    raw["metadata"]["annotations"] = noted
    raw["metadata"]["creationTimestamp"] = stamp(now - timedelta(seconds=100))
    raw["spec"]["nodeName"] = "n1"
    raw["spec"]["initContainers"][0]["ports"][0]["containerPort"] = port
    raw["status"]["podIP"] = "127.0.0.1"
    return raw


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def a_node(name: str, product: str) -> Json:
    labels = {"nvidia.com/gpu.product": product, "karpenter.sh/capacity-type": "spot"}
    return {"metadata": {"name": name, "labels": labels}}


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        made = Scene(folder, stack)
        await made.start()
        yield made


async def test_every_query_of_dashboard_and_rules_has_series(tmp_path: Path) -> None:
    missing = {*panel_queries(), *selectors()}
    assert len(missing) > 40
    later = {query for query in missing if is_later(query)}
    missing -= later
    async with scene(tmp_path) as made, aiohttp.ClientSession() as http:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while missing:
            assert time.monotonic() < deadline, sorted(missing)
            await asyncio.sleep(1.0)
            try:
                await made.ask(http)
                missing -= {one for one in missing if await made.series(http, one)}
            except aiohttp.ClientConnectorError:
                continue  # not all listen yet
        for query in later:
            await made.series(http, query)
        assert set(LATER) <= await made.known(http)
        await check_costs(made, http)
        assert await made.series(http, "forescale_adapter_no_such_metric") == 0
        assert "forescale_adapter_no_such_metric" not in await made.known(http)


async def check_costs(made: Scene, http: aiohttp.ClientSession) -> None:
    """A product costs its own price, spot apart, and at night the hours of the night alone."""
    cost, dark = query_of("Cost by workload"), query_of("Cost at night by workload")
    hours, _, _ = cost.partition(" * on (product")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (ratios := await made.values(http, asked(f"({cost}) / ({hours}) >= 0"))):
            await asyncio.sleep(0.5)  # until the first seconds are charged: 0 / 0 is no ratio
    assert ratios == pytest.approx([2.5])  # of the one H100, spot
    assert await made.values(http, asked(f"({dark}) / ({cost}) >= 0")) == pytest.approx([1.0])
    unpriced = query_of("GPU-hours without a price")
    for product, count in (("A10", 1), ("H100", 0)):
        one = f'label_replace(vector(1), "product", "{product}", "", "")'
        assert await made.series(http, asked(f"({unpriced}) and on (product) {one}")) == count
    when = dark.partition(" and on () ")[2].partition(")[$__range")[0]
    for text in ("22-6", "4-12", "22-24", "0-24"):
        both = night.parse(text)
        for since in (300, 3600):  # what a value is of are the five minutes before it
            found = [
                hour
                for hour in range(night.HOURS)
                if await made.values(http, asked(when, both), hour * 3600 + since)
            ]
            assert found == sorted(night.hours(both)), text
