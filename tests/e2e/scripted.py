"""A scripted metrics API: what it says, sync by sync, is what a real controller goes by.

It goes by the number of questions and by no clock: of a timeline's first metric the n-th question
begins the n-th sync, so every sync is known, with its answers and with the pods of that moment.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from cryptography import x509

from adapter.model.hpa import Answer
from adapter.model.hpa_metric import Member
from tests.controlplane import pki
from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.workloads import condition
from tests.e2e.adapters import APISERVICES

Json = dict[str, Any]

ADDRESS = "10.77.34.3"
PORT = 6443
SERVICE = "scripted"
CUSTOM, EXTERNAL = "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1"
TIMESTAMP = "2026-01-01T00:00:00Z"  # no controller looks at it
UNAVAILABLE = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "code": 503,
    "reason": "ServiceUnavailable",
    "message": "as the script says",
}

Said = float | None  # in total, or of each ready pod; None: an error


@dataclass(frozen=True)
class Sync:
    """What one sync was told, metric by metric, and what pods there were; `at` is monotonic."""

    at: float
    answers: tuple[Answer, ...]
    members: tuple[Member, ...]


@dataclass
class Script:
    """What the metrics of one autoscaler say at each sync; the last line is said for ever."""

    lines: Sequence[tuple[Said, ...]]
    members: Callable[[], tuple[Member, ...]]
    heard: list[tuple[float, list[Answer], tuple[Member, ...]]] = field(default_factory=list)

    def say(self, number: int, *, per_pod: bool) -> Answer:
        """Answer one question after the metric of that number, and write it down."""
        if number == 0:
            self.heard.append((0.0, [], self.members()))
        _, answers, members = self.heard[-1]
        said = self.lines[min(len(self.heard), len(self.lines)) - 1][number]
        answer: Answer = "error" if said is None else round(1_000 * said)
        if per_pod and isinstance(answer, int):
            answer = {one.name: answer for one in members if one.ready}
        self.heard[-1] = (time.monotonic(), [*answers, answer], members)
        return answer

    def syncs(self) -> list[Sync]:
        """Return the syncs of which every metric was asked."""
        asked = len(self.lines[0])
        whole = [one for one in self.heard if len(one[1]) == asked]
        return [Sync(at, tuple(answers), members) for at, answers, members in whole]

    @property
    def is_over(self) -> bool:
        return len(self.syncs()) > len(self.lines)


class ScriptedMetrics:
    """Owns both metrics groups for as long as it runs; metric `name-n` is the script's n-th."""

    def __init__(self, controlplane: ControlPlane, api: Api, namespace: str, folder: Path) -> None:
        self.scripts: dict[str, Script] = {}
        self._api, self._namespace = api, namespace
        pair = pki.serving(
            controlplane.pki.authority,
            folder / SERVICE,
            SERVICE,
            [x509.DNSName(f"{SERVICE}.{namespace}.svc")],
        )
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pair.certificate, pair.key)
        app = web.Application()
        for group in (CUSTOM, EXTERNAL):
            app.router.add_get(f"/apis/{group}", self._resources)
        within = "namespaces/{namespace}"
        app.router.add_get(f"/apis/{CUSTOM}/{within}/{{kind}}/{{name}}/{{metric}}", self._custom)
        app.router.add_get(f"/apis/{EXTERNAL}/{within}/{{metric}}", self._external)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, PORT, ssl_context=self._context).start()
        await self._service()
        for group in (CUSTOM, EXTERNAL):
            await self._api.post(APISERVICES, _apiservice(group, self._namespace))
        for group in (CUSTOM, EXTERNAL):
            await self._api.until(
                f"{APISERVICES}/{_name(group)}",
                lambda found: condition(found, "Available").get("status") == "True",
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for group in (CUSTOM, EXTERNAL):
            with suppress(ApiError):
                await self._api.delete(f"{APISERVICES}/{_name(group)}")
        await self._runner.cleanup()

    async def _service(self) -> None:
        await self._api.post(
            f"/api/v1/namespaces/{self._namespace}/services",
            {"metadata": {"name": SERVICE}, "spec": {"ports": [{"name": "https", "port": 443}]}},
        )
        piece = {
            "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": PORT}],
        }
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices"
        await self._api.post(slices, piece)

    async def _resources(self, request: web.Request) -> web.Response:
        listed: Json = {"kind": "APIResourceList", "apiVersion": "v1", "resources": []}
        return web.json_response(listed | {"groupVersion": request.path.removeprefix("/apis/")})

    async def _external(self, request: web.Request) -> web.Response:
        metric = request.match_info["metric"]
        said = self._said(metric, per_pod=False)
        if isinstance(said, str):
            return web.json_response(UNAVAILABLE, status=503)
        item = {"metricName": metric, "metricLabels": {}, "timestamp": TIMESTAMP}
        return _list("ExternalMetricValueList", EXTERNAL, [item | {"value": f"{said}m"}])

    async def _custom(self, request: web.Request) -> web.Response:
        metric, name = request.match_info["metric"], request.match_info["name"]
        said = self._said(metric, per_pod=name == "*")
        if isinstance(said, str):
            return web.json_response(UNAVAILABLE, status=503)
        values = {name: said} if isinstance(said, int) else said
        kind = {"kind": "Pod" if name == "*" else "Deployment", "namespace": self._namespace}
        alike = {"metric": {"name": metric}, "timestamp": TIMESTAMP}
        items = [
            {"describedObject": kind | {"name": one}, "value": f"{milli}m"} | alike
            for one, milli in values.items()
        ]
        return _list("MetricValueList", CUSTOM, items)

    def _said(self, metric: str, *, per_pod: bool) -> Answer:
        name, _, number = metric.rpartition("-")
        return self.scripts[name].say(int(number), per_pod=per_pod)


def _list(kind: str, version: str, items: list[Json]) -> web.Response:
    return web.json_response({"kind": kind, "apiVersion": version, "metadata": {}, "items": items})


def _name(group: str) -> str:
    group, _, version = group.partition("/")
    return f"{version}.{group}"


def _apiservice(group: str, namespace: str) -> Json:
    group, _, version = group.partition("/")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": SERVICE, "namespace": namespace},
    }
    return {"metadata": {"name": f"{version}.{group}"}, "spec": spec}
