"""The server as a whole: every form of URL, failures as Status, its socket, and how it stops."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapter.api.server import Server
from adapter.errors import StartupError
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.owners import Owners
from adapter.settings import Api
from adapter.telemetry import Metrics
from tests.adapter.api.serving import METRIC, Serving, status
from tests.adapter.model.world import DEPLOYMENT, serving_pod

GROUP = "/apis/custom.metrics.k8s.io"
PODS = f"{GROUP}/v1beta1/namespaces/default/pods"


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(tmp_path) as running:
        running.apiserver.allows = lambda _: True
        yield running


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "place",
    [
        "pods/*",
        "pods/%2A",
        "pods/%2a",
        "pods/llm-0",
        f"deployments.apps/{DEPLOYMENT}",
        "deployments.apps/*",
        f"replicasets.apps/{DEPLOYMENT}-1",
        "metrics",
    ],
)
async def test_every_form_of_url_is_answered(
    serving: Serving, version: str, place: str, slash: str
) -> None:
    path = f"{GROUP}/{version}/namespaces/default/{place}/nvidia_gpu_utilization{slash}"
    for query in ("", "?limit=500&timeout=5s", "?metricLabelSelector=stat%3Dmean"):
        code, headers, body = await serving.proxied("hpa", path=path + query)
        assert code == 200
        assert headers["Content-Type"] == "application/json"
        answer = json.loads(body)
        assert answer["apiVersion"] == f"custom.metrics.k8s.io/{version}"
        assert [item["value"] for item in answer["items"]] == ["50"]


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("app%3Dllm-inference", 1),
        ("app%21%3Dllm-inference", 0),
        ("app+in+%28llm-inference%2Cx%29", 1),
        ("app+notin+%28x%2Cy%29%2C%21other", 1),
        ("app", 1),
        ("%21app", 0),
    ],
)
async def test_selectors_arrive_as_the_hpa_encodes_them(
    serving: Serving, selector: str, count: int
) -> None:
    code, _, body = await serving.proxied("hpa", path=f"{METRIC}?labelSelector={selector}")
    assert (code, len(json.loads(body)["items"])) == (200, count)


async def test_what_is_in_no_namespace_is_asked_for_outside_of_any(tmp_path: Path) -> None:
    """Only kinds that say so; the right is one on the whole cluster."""
    serving = Serving(tmp_path)
    serving.owners = Owners.of("fleets.v1.x.io=Fleet:cluster, pools.v1.x.io=Pool:selector")
    serving.world.change("llm-0", owners=(Owner("Fleet.x.io", "eu"),))
    serving.world.advance()
    async with serving:
        serving.apiserver.allows = lambda spec: not spec["resourceAttributes"]["namespace"]
        for slash in ("", "/"):
            path = f"{GROUP}/v1beta2/fleets.x.io/eu/nvidia_gpu_utilization{slash}"
            code, _, body = await serving.proxied("me", path=path)
            assert (code, json.loads(body)["items"][0]["value"]) == (200, "50")
        for place, code in (("pools.x.io", 404), ("namespaces/default/fleets.x.io", 403)):
            path = f"{GROUP}/v1beta2/{place}/eu/nvidia_gpu_utilization"
            assert (await serving.proxied("me", path=path))[0] == code


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "path",
    ["/apis", GROUP, f"{GROUP}/v1beta1", f"{GROUP}/v1beta2", "/openapi/v2", "/openapi/v3"],
)
async def test_documents_are_there_with_and_without_a_slash(
    serving: Serving, path: str, slash: str
) -> None:
    code, headers, body = await serving.proxied("system:kube-aggregator", path=path + slash)
    assert code == 200
    assert headers["Content-Type"] == "application/json"
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        (f"{PODS}/*/nope", 404, "served are"),
        (f"{PODS}/none/nvidia_gpu_utilization", 404, "no pod `none`"),
        (f"{PODS}/*/llm_inference_kv_cache_utilization", 503, "known for 0 of 1"),
        (f"{PODS}/*/nvidia_gpu_utilization?labelSelector=a%3Db+c", 400, "labelSelector"),
        (f"{PODS}/*/nvidia_gpu_utilization?metricLabelSelector=a%3Db", 400, "stat=raw"),
        (f"{PODS}/*/nvidia_gpu_utilization?fieldSelector=metadata.name%3Dx", 400, "contradicts"),
        (f"{PODS}/*/nvidia_gpu_utilization?watch=true", 405, "cannot be watched"),
        (f"{GROUP}/v1beta1/namespaces/default/services/a/nvidia_gpu_utilization", 404, "no pod"),
        (f"{GROUP}/v1beta1/namespaces/default/nodes/a/nvidia_gpu_utilization", 404, "no pod"),
        (f"{GROUP}/v1beta1/namespaces/default/jobs/a/nvidia_gpu_utilization", 404, "served"),
        (f"{GROUP}/v1beta1/namespaces/x/metrics/nvidia_gpu_utilization", 404, "Namespace `x`"),
        (f"{GROUP}/v1beta1/namespaces/default/nvidia_gpu_utilization", 404, "NAMESPACE"),
        (f"{GROUP}/v1beta1/nodes/a/nvidia_gpu_utilization", 404, "Node `a` has no pod"),
        (f"{GROUP}/v1beta1/pods/a/nvidia_gpu_utilization", 404, "NAMESPACE"),
        (f"{GROUP}/v1beta3", 404, "nothing is served at"),
        (f"{PODS}/*/nvidia_gpu_utilization/more", 404, "nothing is served at"),
        (f"{PODS}/a%2Fb/nvidia_gpu_utilization", 404, "no pod `a/b`"),
        (f"{PODS}/..%2F..%2Fx/nvidia_gpu_utilization", 404, "no pod"),
    ],
)
async def test_failures_are_a_status_that_says_why(
    serving: Serving, path: str, code: int, words: str
) -> None:
    answer = await serving.proxied("hpa", path=path)
    assert answer[0] == code
    assert words in status(answer)["message"]


async def test_any_accept_header_is_answered_with_json(serving: Serving) -> None:
    for accept in ("application/vnd.kubernetes.protobuf, */*", "text/html", "image/png"):
        headers = [("X-Remote-User", "hpa"), ("Accept", accept)]
        code, got, _ = await serving.ask(client=serving.proxy, headers=headers)
        assert (code, got["Content-Type"]) == (200, "application/json")


async def test_the_readiness_says_what_is_missing(serving: Serving) -> None:
    assert (await serving.ask("/readyz"))[0] == 200
    serving.why_unready = "the pod list has not come yet"
    answer = await serving.ask("/readyz")
    assert (answer[0], status(answer)["message"]) == (503, "the pod list has not come yet")
    assert (await serving.ask("/livez"))[0] == 200
    assert (await serving.proxied("system:kube-aggregator", path="/apis"))[0] == 200


async def test_an_error_of_our_own_is_a_status_and_in_the_log(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    serving.world.snapshot = "broken"  # type: ignore[assignment]
    answer = await serving.proxied("hpa")
    assert (answer[0], status(answer)["reason"]) == (500, "InternalError")
    assert "answer_failed" in caplog.text


async def test_answers_are_counted_by_code_and_timed(serving: Serving) -> None:
    await serving.proxied("hpa")
    await serving.ask()
    value = serving.metrics.registry.get_sample_value
    assert value("forescale_adapter_api_requests_total", {"code": "200"}) == 1
    assert value("forescale_adapter_api_requests_total", {"code": "401"}) == 1
    assert value("forescale_adapter_api_request_duration_seconds_count") == 2


async def test_names_of_callers_make_no_new_series(serving: Serving) -> None:
    for number in range(30):
        await serving.proxied(f"user-{number}", path=f"{PODS}/*/metric-{number}")
    samples = [s for family in serving.metrics.registry.collect() for s in family.samples]
    assert {s.labels["code"] for s in samples if s.name.endswith("requests_total")} == {"404"}


async def test_stopping_turns_unready_first_and_serves_until_the_end(serving: Serving) -> None:
    port = serving.server.port
    stopping = asyncio.create_task(serving.server.stop(0.5))
    await asyncio.sleep(0.1)
    answer = await serving.ask("/readyz")
    assert (answer[0], status(answer)["message"]) == (503, "the adapter is stopping")
    code, headers, _ = await serving.proxied("hpa")
    assert (code, headers["Connection"]) == (200, "close")
    await stopping
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_handshake_that_never_comes_is_given_up(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.api.server.HANDSHAKE_SECONDS", 0.3)
    server = Server(
        serving.answers(),
        auth=serving.auth,
        metrics=Metrics(),
        ready=lambda: None,
        now=time.monotonic,
    )
    await server.start(serving.settings.api, serving.certificate.context)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()
    finally:
        await server.stop(0.0)


def alone(serving: Serving) -> Server:
    """A server as the demo has it: no kube-apiserver, nobody is authenticated."""
    return Server(
        serving.answers(), auth=None, metrics=Metrics(), ready=lambda: None, now=time.monotonic
    )


async def test_standing_alone_it_answers_anybody_on_loopback_in_plain_http(
    serving: Serving,
) -> None:
    server = alone(serving)
    await server.start(Api(host="127.0.0.1", port=0), None)
    try:
        url = f"http://127.0.0.1:{server.port}{METRIC}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
            assert (await response.json())["items"][0]["value"] == "50"
    finally:
        await server.stop(0.0)


@pytest.mark.parametrize("host", ["::", "0.0.0.0", "10.0.0.1", "example.org"])
async def test_standing_alone_it_listens_on_loopback_only(serving: Serving, host: str) -> None:
    with pytest.raises(StartupError, match=r"set api\.host to 127\.0\.0\.1"):
        await alone(serving).start(Api(host=host, port=0), None)


async def test_a_port_that_is_taken_is_named(serving: Serving) -> None:
    with pytest.raises(StartupError, match=f"port {serving.server.port}.*api.port"):
        await alone(serving).start(Api(host="127.0.0.1", port=serving.server.port), None)


async def test_all_addresses_are_those_of_ipv4_too(serving: Serving) -> None:
    server = Server(
        serving.answers(),
        auth=serving.auth,
        metrics=Metrics(),
        ready=lambda: None,
        now=time.monotonic,
    )
    await server.start(Api(host="::", port=0), serving.certificate.context)
    try:
        hosts = ["127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])]
        for host in hosts:
            _, writer = await asyncio.open_connection(host, server.port)
            assert writer.get_extra_info("peername")[0] == host
            writer.close()
    finally:
        await server.stop(0.0)


async def test_every_route_has_a_policy_and_its_own_name(serving: Serving) -> None:
    names = [route.name for route in serving.server.routes]
    assert len(names) == len(set(names))
    routed = {resource.name for resource in serving.server.app.router.resources()}
    assert routed == set(names)
    assert all(isinstance(r, web.DynamicResource) for r in serving.server.app.router.resources())


async def test_all_metrics_that_discovery_lists_are_known(serving: Serving) -> None:
    for name in METRICS:
        code, _, _ = await serving.proxied("hpa", path=f"{PODS}/*/{name}")
        assert code in (200, 503)


async def test_no_query_is_given_anothers_answer_of_the_same_snapshot(serving: Serving) -> None:
    serving.world.pods["other"] = serving_pod("other", uid="u2", labels={"app": "other"})
    serving.world.pods["theirs"] = serving_pod("llm-0", uid="u3", namespace="theirs")
    serving.world.say |= {"other": {"pending": 9.0}, "theirs": {"pending": 7.0}}
    serving.world.advance(5)
    serving.world.say["llm-0"] = {"gpu_busy_percent": 50.0, "pending": 30.0}
    serving.world.advance(1)
    queries = {
        "": {"llm-0", "other"},
        "?labelSelector=app%3Dllm-inference": {"llm-0"},
        "?labelSelector=app%3Dother": {"other"},
    }
    values = set()
    for _ in range(2):  # built anew, and from memory
        for query, names in queries.items():
            path = f"{PODS}/*/llm_inference_pending_requests{query}"
            _, _, body = await serving.proxied("hpa", path=path)
            found = json.loads(body)["items"]
            assert {item["describedObject"]["name"] for item in found} == names
        for stat in ("raw", "mean", "max"):
            path = f"{PODS}/llm-0/llm_inference_pending_requests?metricLabelSelector=stat%3D{stat}"
            _, _, body = await serving.proxied("hpa", path=path)
            values.add(json.loads(body)["items"][0]["value"])
        path = f"{PODS}/*/llm_inference_pending_requests".replace("/default/", "/theirs/")
        _, _, body = await serving.proxied("hpa", path=path)
        assert [item["value"] for item in json.loads(body)["items"]] == ["7"]
    assert len(values) == 2  # the last reading and the highest are one, the mean is another
