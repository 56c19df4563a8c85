"""Nobody gets in but by a front proxy's certificate or a token, and nowhere without a right."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapter.api.auth import Attributes
from adapter.api.server import Server
from adapter.api.turns import CALLER
from tests.adapter.api.serving import METRIC, Answer, Serving, pem, status
from tests.controlplane import pki

ADMIN = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/"
PROBES = ("/livez", "/readyz", "/healthz")
UNDERSCORES = [("X_Remote_User", "admin"), ("X_Remote_Group", "system:masters")]
# Who they say they are, and which certificate they have: authority and name.
STRANGERS = {
    "nobody": ([], None),
    "headers without certificate": (ADMIN, None),
    "headers with underscores": (UNDERSCORES, ("front-proxies", "front-proxy-client")),
    "the cluster's CA, a front proxy's name": (ADMIN, ("cluster", "front-proxy-client")),
    "the cluster's admin": (ADMIN, ("cluster", "kubernetes-admin")),
    "right CA, wrong name": (ADMIN, ("front-proxies", "somebody-else")),
    "front proxy that names nobody": ([], ("front-proxies", "front-proxy-client")),
    "unknown token": ([("Authorization", "Bearer bad")], None),
    "empty token": ([("Authorization", "Bearer ")], None),
    "basic credentials": ([("Authorization", "Basic YTpi")], None),
}


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(tmp_path) as running:
        running.apiserver.users["good"] = {"username": "alice", "groups": ["people"]}
        yield running


async def strange(serving: Serving, who: str, path: str, method: str) -> Answer:
    """One request of somebody without a credential that holds."""
    headers, certificate = STRANGERS[who]
    client = None
    if certificate is not None:
        authorities = {"front-proxies": serving.front_proxies, "cluster": serving.cluster}
        client = serving.client(authorities[certificate[0]], certificate[1])
    return await serving.ask(path, method=method, client=client, headers=headers)


def paths(server: Server) -> list[str]:
    """One path for each route of the router, and some that no route has."""
    place = {"version": "v1beta1", "namespace": "default", "resource": "pods", "name": "*"}
    place |= {"metric": "nvidia_gpu_utilization", "slash": ""}
    made = []
    for resource in server.app.router.resources():
        assert isinstance(resource, web.DynamicResource)
        made.append(str(resource.url_for(**{k: place[k] for k in _groups(resource)})))
    return [
        *made,
        "/",
        "//apis",
        "/apis/../metrics",
        "/metrics",
        "/debug",
        "/%2e%2e/livez",
        "/apisx",
    ]


def _groups(resource: web.DynamicResource) -> list[str]:
    return list(resource.get_info()["pattern"].groupindex)


@pytest.mark.parametrize("who", STRANGERS)
async def test_strangers_are_told_401_everywhere_but_at_the_probes(
    serving: Serving, who: str
) -> None:
    for path, method in itertools.product(paths(serving.server), METHODS):
        code, headers, body = answer = await strange(serving, who, path, method)
        if path in PROBES and method == "GET":
            assert (code, body) == (200, b"ok"), (path, method)
            continue
        assert code == 401, (path, method, body)
        assert headers["Connection"] == "close"
        if method != "HEAD":
            assert "Unauthorized" in status(answer)["message"]
    assert not any("resourceAttributes" in spec for spec in serving.apiserver.reviewed)


async def test_whoever_has_no_right_is_told_403_at_every_route(serving: Serving) -> None:
    for path in paths(serving.server):
        answer = await serving.proxied("alice", "people", path=path)
        if path in PROBES:
            assert answer[0] == 200
        elif path.startswith(("/apis/", "/openapi")) or path == "/apis":
            expected = 404 if ".." in path else 403
            assert answer[0] == expected, (path, answer)
            assert status(answer)["code"] == expected
        else:
            assert answer[0] == 404, path


async def test_whoever_may_everything_gets_answers_and_405_for_other_methods(
    serving: Serving,
) -> None:
    for path, method in itertools.product(paths(serving.server), METHODS):
        code, _, body = answer = await serving.proxied(
            "admin", "system:masters", path=path, method=method
        )
        groups = ("/apis/custom.", "/apis/external.", "/openapi")
        known = path in PROBES or path.startswith(groups) or path == "/apis"
        found = 400 if path.startswith(EXTERNAL) else 200  # it names no workload
        expected = 404 if not known else found if method == "GET" else 405
        assert code == expected, (path, method, body)
        if code != 200 and method != "HEAD":
            assert status(answer)["reason"] in ("NotFound", "MethodNotAllowed", "BadRequest")
    # Masters are asked about nowhere: the aggregator's probes must not depend on reviews.
    assert serving.apiserver.reviewed == []


async def test_a_route_without_a_policy_is_closed_to_all(serving: Serving) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="secret")

    policies = {route.name: route.policy for route in serving.server.routes}
    app = web.Application(middlewares=[serving.auth.middleware(policies)])
    app.router.add_get("/new", handler, name="new")
    app.router.add_get("/unnamed", handler)
    request_paths = [resource.canonical for resource in app.router.resources()]
    assert request_paths == ["/new", "/unnamed"]
    serving.server.app.router._resources.extend(app.router.resources())
    for resource in app.router.resources():
        serving.server.app.router.index_resource(resource)
    for path in request_paths:
        answer = await serving.proxied("admin", "system:masters", path=path)
        assert answer[0] == 403
        assert "nobody may ask" in status(answer)["message"]


async def test_a_token_is_reviewed_and_its_user_is_asked_about(serving: Serving) -> None:
    serving.apiserver.allows = lambda spec: spec["user"] == "alice"
    code, _, body = await serving.ask(headers=[("Authorization", "Bearer good")])
    assert code == 200
    assert json.loads(body)["items"][0]["value"] == "50"
    token, right = serving.apiserver.reviewed
    assert token == {"token": "good"}
    assert right == {
        "user": "alice",
        "groups": ["people", "system:authenticated"],
        "resourceAttributes": {
            "verb": "get",
            "namespace": "default",
            "group": "custom.metrics.k8s.io",
            "version": "v1beta2",
            "resource": "pods",
            "name": "*",
            "subresource": "nvidia_gpu_utilization",
        },
    }


async def test_discovery_is_a_path_of_which_the_group_less_aggregator_may_read(
    serving: Serving,
) -> None:
    # RBAC lets system:authenticated read discovery; the aggregator's own user has no groups.
    serving.apiserver.allows = lambda spec: "system:authenticated" in spec["groups"]
    path = "/apis/custom.metrics.k8s.io/v1beta1"
    assert (await serving.proxied("system:kube-aggregator", path=path))[0] == 200
    attributes = serving.apiserver.reviewed[-1]["nonResourceAttributes"]
    assert attributes == {"path": path, "verb": "get"}


async def test_anonymous_requests_that_are_proxied_stay_anonymous(serving: Serving) -> None:
    serving.apiserver.allows = lambda spec: "system:authenticated" in spec["groups"]
    answer = await serving.proxied("system:anonymous", "system:unauthenticated")
    assert answer[0] == 403
    assert serving.apiserver.reviewed[-1]["groups"] == ["system:unauthenticated"]


async def test_the_refusal_says_who_may_not_do_what(serving: Serving) -> None:
    message = status(await serving.proxied("bob"))["message"]
    assert message == (
        'User "bob" cannot get resource "pods/nvidia_gpu_utilization" in API group'
        ' "custom.metrics.k8s.io" in the namespace "default"'
    )


async def test_any_name_of_the_front_proxies_ca_will_do_where_none_is_listed(
    serving: Serving,
) -> None:
    client = serving.client(serving.front_proxies, "any-name")
    assert (await serving.ask(client=client, headers=ADMIN))[0] == 401
    serving.trust(pem(serving.front_proxies), pem(serving.cluster), [])
    assert (await serving.ask(client=client, headers=ADMIN))[0] == 200
    other = serving.client(serving.cluster, "any-name")
    assert (await serving.ask(client=other, headers=ADMIN))[0] == 401


async def test_a_new_front_proxy_ca_counts_at_once_and_the_old_one_no_longer(
    serving: Serving,
) -> None:
    fresh = serving.authority("front-proxies-next")
    client = serving.client(fresh, "front-proxy-client")
    names = ["front-proxy-client"]
    serving.trust(pem(serving.front_proxies) + pem(fresh), pem(serving.cluster), names)
    assert (await serving.ask(client=client, headers=ADMIN))[0] == 200
    assert (await serving.ask(client=serving.proxy, headers=ADMIN))[0] == 200
    serving.trust(pem(fresh), pem(serving.front_proxies), names)
    assert (await serving.ask(client=client, headers=ADMIN))[0] == 200
    assert (await serving.ask(client=serving.proxy, headers=ADMIN))[0] == 401


async def test_without_a_front_proxy_ca_nobody_is_a_front_proxy(serving: Serving) -> None:
    serving.trust("", pem(serving.front_proxies), [])
    assert (await serving.ask(client=serving.proxy, headers=ADMIN))[0] == 401


async def test_a_certificate_for_servers_is_no_front_proxys(serving: Serving) -> None:
    # OpenSSL refuses it in the handshake already; a serving certificate never asks for anybody.
    pair = pki.serving(serving.front_proxies, serving.folder / "srv", "front-proxy-client", [])
    der = _der(pair.certificate)
    assert serving.certificate.front_proxy_name(der) is None
    assert serving.certificate.front_proxy_name(_der(serving.proxy.certificate)) is not None


def _der(path: Path) -> bytes:
    import ssl  # noqa: PLC0415

    return ssl.PEM_cert_to_DER_cert(path.read_text())


@pytest.mark.parametrize("size", [300, 900])
async def test_a_user_in_hundreds_of_groups_gets_through(serving: Serving, size: int) -> None:
    serving.apiserver.allows = lambda _: True
    groups = [f"team-{number}" for number in range(size)]
    assert (await serving.proxied("alice", *groups))[0] == 200
    assert len(serving.apiserver.reviewed[-1]["groups"]) == size + 1


@pytest.mark.parametrize(("name", "code"), [(b"alice", b"200"), (b"al\xffice", b"401")])
async def test_a_name_that_is_no_text_is_nobody(serving: Serving, name: bytes, code: bytes) -> None:
    serving.apiserver.allows = lambda _: True
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nX-Remote-User: %b\r\nConnection: close\r\n\r\n"
    answer = await serving.raw(request % (METRIC.encode(), name), client=serving.proxy)
    assert answer.split()[1] == code


async def test_whoever_comes_past_kube_apiserver_stands_in_one_line_with_all_who_do(
    serving: Serving,
) -> None:
    serving.apiserver.allows = lambda _: True
    callers: list[object] = []

    async def handler(request: web.Request) -> web.Response:
        callers.append(request[CALLER])
        return web.Response()

    guard = serving.auth.middleware({"route": lambda _: Attributes(path="/route")})
    app = web.Application(middlewares=[guard])
    app.router.add_get("/route", handler, name="route")
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer good"}
        async with session.get(server.make_url("/route"), headers=headers) as response:
            assert response.status == 200
    assert callers == [None]
