"""Route x identity x method, made from the router with everything behind us: denied is the rule.

A new route is in here as soon as it is in the router; without a policy of its own it fails.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from adapter.api.fallthrough import Fallthrough
from adapter.api.resource import Resource
from adapter.intake.upstream import UpstreamClient
from adapter.settings import Behind
from tests.adapter.api.serving import Answer, Serving, pem, status
from tests.fakes.metrics_server import NAME, FakeMetricsServer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PROBES = {"livez", "readyz", "healthz"}
PLACE = {
    "version": "v1beta1",
    "namespace": "default",
    "resource": "pods",
    "name": "*",
    "metric": "nvidia_gpu_utilization",
    "rest": "namespaces/default/services/web/http_requests",
    "slash": "",
}
ADMIN = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]


class Whole(Serving):
    """The server with all routes that there are; what is behind it counts what it is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.behind = FakeMetricsServer(folder, self.cluster)

    def resource(self) -> Resource | None:
        return Resource(self._client(), lambda: self.world.snapshot)

    def fallthrough(self) -> Fallthrough | None:
        return Fallthrough(self._client())

    def _client(self) -> UpstreamClient:
        async def trust() -> str:
            return pem(self.cluster)

        settings = Behind(url=self.behind.url, name=NAME)
        client = UpstreamClient("behind", settings, trust=trust, token=self.kube.token)
        self._stack.push_async_callback(client.close)
        return client

    def paths(self) -> dict[str, str]:
        """One path for each route, by the route's name."""
        made = {}
        for name, resource in self.server.app.router.named_resources().items():
            groups = list(resource.get_info()["pattern"].groupindex)
            made[name] = str(resource.url_for(**{key: PLACE[key] for key in groups}))
        return made


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    made = Whole(tmp_path)
    async with made.behind, made:
        yield made


async def test_every_route_has_a_name_a_policy_and_a_path_of_its_own(whole: Whole) -> None:
    paths = whole.paths()
    assert set(paths) == {route.name for route in whole.server.routes}
    assert len(whole.server.app.router.resources()) == len(paths)
    assert len(set(paths.values())) == len(paths) > 12
    assert all(route.policy is not None for route in whole.server.routes)
    assert {name for name in paths if name.startswith(("resource", "others", "custom"))}


async def test_no_route_answers_a_stranger_and_nothing_behind_is_asked(whole: Whole) -> None:
    cluster_admin = whole.client(whole.cluster, "front-proxy-client")
    strangers: list[dict[str, Any]] = [
        {},
        {"headers": ADMIN},
        {"headers": ADMIN, "client": cluster_admin},
        {"headers": [("Authorization", "Bearer bad")]},
        {"client": whole.proxy},
    ]
    for name, path in whole.paths().items():
        for who in strangers:
            code, _, body = await whole.ask(path, **who)
            expected = 200 if name in PROBES else 401
            assert code == expected, (name, who, body)
    assert whole.behind.asked == []


@pytest.mark.parametrize(
    ("user", "groups"),
    [("system:anonymous", ["system:unauthenticated"]), ("alice", []), ("alice", ["people"])],
)
async def test_no_route_answers_whoever_has_no_right(
    whole: Whole, user: str, groups: list[str]
) -> None:
    for name, path in whole.paths().items():
        answer = await whole.proxied(user, *groups, path=path)
        if name in PROBES:
            assert answer[0] == 200
            continue
        assert answer[0] == 403, (name, answer)
        assert f'User "{user}" cannot' in status(answer)["message"]
    assert whole.behind.asked == []


async def test_each_route_asks_for_one_right_and_that_one_opens_no_other(whole: Whole) -> None:
    paths = whole.paths()
    asked: dict[str, dict[str, Any]] = {}
    async with connected(whole) as code_of:
        for name, path in paths.items():
            whole.apiserver.reviewed.clear()
            await code_of("alice", path)
            reviewed = [_attributes(spec) for spec in whole.apiserver.reviewed]
            assert len(reviewed) == (0 if name in PROBES else 1), name
            if reviewed:
                asked[name] = reviewed[0]
        assert len({str(found) for found in asked.values()}) == len(asked)
        for number, (right, granted) in enumerate(asked.items()):
            whole.apiserver.allows = lambda spec, granted=granted: _attributes(spec) == granted
            for name in asked:
                code = await code_of(f"user-{number}", paths[name])
                assert (code == 403) is (name != right), (right, name, code)


@asynccontextmanager
async def connected(whole: Whole) -> AsyncIterator[Callable[[str, str], Awaitable[int]]]:
    """Ask for a user on connections that stay open, as kube-apiserver's do."""
    connector = aiohttp.TCPConnector(ssl=whole.context(whole.proxy))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def code_of(user: str, path: str) -> int:
            async with session.get(
                URL(f"https://127.0.0.1:{whole.server.port}{path}", encoded=True),
                headers={"X-Remote-User": user},
                server_hostname="forescale.forescale-system.svc",
            ) as response:
                return response.status

        yield code_of


def _attributes(spec: dict[str, Any]) -> dict[str, Any]:
    return dict(spec.get("resourceAttributes") or spec.get("nonResourceAttributes") or {})


async def test_only_get_is_known_whoever_asks(whole: Whole) -> None:
    for name, path in whole.paths().items():
        for method in METHODS[1:]:
            answer: Answer = await whole.proxied(
                "admin", "system:masters", path=path, method=method
            )
            assert answer[0] == 405, (name, method, answer)
            stranger = await whole.ask(path, method=method)
            assert stranger[0] == 401, (name, method)
    assert whole.behind.asked == []


COLLECTIONS = (
    "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/nvidia_gpu_utilization",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/nvidia_gpu_utilization",
    "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods",
)


async def test_a_namespace_can_be_deleted_whatever_is_down(whole: Whole) -> None:
    """Every document of discovery is there and offers nothing to delete; who tries is told no."""
    whole.world.snapshot = None
    whole.why_unready = "the list of pods has not come"
    await whole.behind.__aexit__()
    for name, path in whole.paths().items():
        if not name.startswith("document"):
            continue
        code, headers, body = await whole.proxied(
            "system:kube-aggregator", "system:masters", path=path
        )
        assert (code, headers["Content-Type"].partition(";")[0]) == (200, "application/json"), path
        for resource in json.loads(body).get("resources", ()):
            assert set(resource["verbs"]) <= {"get", "list"}, (path, resource)
    for path in COLLECTIONS:
        answer = await whole.proxied(
            "namespace-controller", "system:masters", path=path, method="DELETE"
        )
        assert answer[0] == 405, path
        assert status(answer)["reason"] == "MethodNotAllowed"
