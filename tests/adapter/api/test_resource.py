"""metrics.k8s.io through our own server, with an API behind it, asked as the aggregator asks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapter.api.resource import Resource
from adapter.intake.upstream import UpstreamClient
from adapter.settings import Behind
from tests.adapter.api.serving import Answer, Serving, pem, status
from tests.adapter.model.world import serving_pod
from tests.fakes.metrics_server import NAME, PODS, FakeMetricsServer, item, listed

HPA_ACCEPT = "application/vnd.kubernetes.protobuf, */*"


class Merging(Serving):
    """The served world with a metrics-server behind it and one pod with a GPU."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.upstream = FakeMetricsServer(folder, self.cluster)
        self.world.pods.clear()
        for name in ("gpu-0", "gpu-1"):
            self.world.pods[name] = serving_pod(name, gpus={"llm": 1})
            self.world.say[name] = {"gpu_busy_percent": 80.0}
        self.world.advance(40)
        self.items = [item("gpu-0", "llm", "side"), item("gpu-1", "llm"), item("web", "nginx")]
        self.upstream.says[PODS] = listed(*self.items)

    def resource(self) -> Resource:
        async def trust() -> str:
            return pem(self.cluster)

        settings = Behind(url=self.upstream.url, name=NAME, deadline_seconds=0.5)
        self.client = UpstreamClient("metrics-server", settings, trust=trust, token=self.kube.token)
        self._stack.push_async_callback(self.client.close)
        return Resource(self.client, lambda: self.world.snapshot)

    async def hpa(self, path: str = PODS, accept: str = HPA_ACCEPT) -> Answer:
        headers = [("X-Remote-User", "hpa"), ("X-Remote-Group", "system:masters")]
        return await self.ask(path, client=self.proxy, headers=[*headers, ("Accept", accept)])


@pytest.fixture
async def merging(tmp_path: Path) -> AsyncIterator[Merging]:
    made = Merging(tmp_path)
    async with made.upstream, made:
        yield made


def gpus(answer: Answer) -> dict[str, list[str | None]]:
    items: list[dict[str, Any]] = json.loads(answer[2])["items"]
    return {
        found["metadata"]["name"]: [c["usage"].get("nvidia.com/gpu") for c in found["containers"]]
        for found in items
    }


async def test_gpu_pods_get_their_usage_and_all_else_is_metrics_servers(merging: Merging) -> None:
    answer = await merging.hpa(PODS + "?labelSelector=app%3Dllm-inference")
    assert answer[0] == 200
    assert answer[1]["Content-Type"] == "application/json"
    assert gpus(answer) == {"gpu-0": ["800m", "0"], "gpu-1": ["800m"], "web": [None]}
    bare = json.loads(
        answer[2].replace(b',"nvidia.com/gpu":"800m"', b"").replace(b',"nvidia.com/gpu":"0"', b"")
    )
    assert bare == listed(*merging.items)
    path, headers = merging.upstream.asked[-1]
    assert path == PODS + "?labelSelector=app%3Dllm-inference"
    assert headers["Accept"] == "application/json"
    assert headers["Authorization"] == "Bearer adapter"
    assert not [name for name in headers if name.lower().startswith("x-remote")]


async def test_a_pod_without_a_fresh_reading_is_left_as_it_is(merging: Merging) -> None:
    del merging.world.say["gpu-1"]
    merging.world.advance(61)
    assert gpus(await merging.hpa())["gpu-0"] == ["800m", "0"]
    assert gpus(await merging.hpa())["gpu-1"] == [None]


async def test_below_the_quorum_no_pod_has_a_value(merging: Merging) -> None:
    merging.world.pods["gpu-2"] = serving_pod("gpu-2", gpus={"llm": 1})
    for name in ("gpu-1", "gpu-2"):
        merging.world.say.pop(name, None)
    merging.world.advance(61)
    assert gpus(await merging.hpa()) == {"gpu-0": [None, None], "gpu-1": [None], "web": [None]}


async def test_a_loading_pod_has_no_value(merging: Merging) -> None:
    merging.world.change("gpu-1", model_ready=False, ready_changed_at=None)
    merging.world.advance()
    assert gpus(await merging.hpa())["gpu-1"] == [None]


async def test_one_pod_by_its_name_is_merged_too(merging: Merging) -> None:
    merging.upstream.says[f"{PODS}/gpu-1"] = item("gpu-1", "llm")
    found = json.loads((await merging.hpa(f"{PODS}/gpu-1"))[2])
    assert found["containers"][0]["usage"]["nvidia.com/gpu"] == "800m"


async def test_the_list_of_all_namespaces_is_merged_by_namespace(merging: Merging) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/pods"
    merging.upstream.says[path] = listed(
        item("gpu-0", "llm"), item("gpu-0", "llm", namespace="other")
    )
    items = json.loads((await merging.hpa(path))[2])["items"]
    assert ["nvidia.com/gpu" in found["containers"][0]["usage"] for found in items] == [True, False]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/apis/metrics.k8s.io/v1beta1/namespaces/other/pods", HPA_ACCEPT),
        ("/apis/metrics.k8s.io/v1beta1/nodes", HPA_ACCEPT),
        ("/apis/metrics.k8s.io/v1beta1/nodes/pods", HPA_ACCEPT),
        (PODS, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
        (PODS + "/web", HPA_ACCEPT),
    ],
)
async def test_what_concerns_no_gpu_is_streamed_through_in_the_form_asked_for(
    merging: Merging, path: str, accept: str
) -> None:
    body = b"k8s\x00 any bytes \xff"
    merging.upstream.says[path] = body
    merging.upstream.content_type = "application/vnd.kubernetes.protobuf"
    code, headers, found = await merging.hpa(path, accept)
    assert (code, found) == (200, body)
    assert headers["Content-Type"] == "application/vnd.kubernetes.protobuf"
    assert merging.upstream.asked[-1][1]["Accept"] == accept


async def test_errors_of_metrics_server_are_passed_on(merging: Merging) -> None:
    missing = await merging.hpa(f"{PODS}/nobody")
    assert missing[0] == 404
    assert status(missing)["message"] == f"no {PODS}/nobody"
    merging.upstream.status = 503
    merging.upstream.headers = {"Retry-After": "1"}
    merging.upstream.says[PODS] = {"kind": "Status", "apiVersion": "v1", "code": 503}
    assert status(await merging.hpa())["code"] == 503


async def test_without_metrics_server_the_error_says_so_within_the_deadline(
    merging: Merging,
) -> None:
    merging.upstream.answering.clear()
    began = time.monotonic()
    late = await merging.hpa()
    assert time.monotonic() - began < 1.5
    assert status(late)["code"] == 503
    assert "metrics-server at https://127.0.0.1" in status(late)["message"]
    assert "no answer within 0.5 s" in status(late)["message"]
    await merging.upstream.__aexit__()
    assert "Cannot connect" in status(await merging.hpa())["message"]


@pytest.mark.parametrize("kind", ["redirect", "html"])
async def test_a_redirect_or_a_page_for_people_is_no_answer(merging: Merging, kind: str) -> None:
    if kind == "redirect":
        merging.upstream.status = 302
        merging.upstream.headers = {"Location": "https://elsewhere/"}
    else:
        merging.upstream.content_type = "text/html"
    assert "is no metrics API's" in status(await merging.hpa())["message"]


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(merging: Merging) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/nodes"
    merging.upstream.says[path] = b"x" * 300_000
    merging.upstream.breaks_off = True
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
        await merging.hpa(path)
    merging.upstream.breaks_off = False
    assert (await merging.hpa(path))[0] == 200


async def test_what_cannot_be_read_is_passed_on_and_told_once(
    merging: Merging, caplog: pytest.LogCaptureFixture
) -> None:
    merging.upstream.says[PODS] = b'{"items":[{}]}'
    for _ in range(2):
        assert (await merging.hpa())[2] == b'{"items":[{}]}'
    assert caplog.text.count("pod_metrics_unreadable") == 1


async def test_a_list_beyond_the_limit_is_passed_on_unchanged(
    merging: Merging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.api.relay.MAX_EDITED_BYTES", 10)
    assert json.loads((await merging.hpa())[2]) == listed(*merging.items)


async def test_a_long_list_is_merged_beside_the_loop(
    merging: Merging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.api.resource.THREAD_BYTES", 10)
    assert gpus(await merging.hpa())["gpu-1"] == ["800m"]


async def test_while_the_loop_stands_still_cpu_goes_on(merging: Merging) -> None:
    merging.world.snapshot = None
    assert gpus(await merging.hpa()) == {"gpu-0": [None, None], "gpu-1": [None], "web": [None]}


async def test_a_selector_that_cannot_be_read_is_metrics_servers_to_refuse(
    merging: Merging,
) -> None:
    answer = await merging.hpa(PODS + "?labelSelector=%21%21")
    assert gpus(answer)["gpu-0"] == [None, None]
    assert merging.upstream.asked[-1][0].endswith("?labelSelector=%21%21")


async def test_only_what_was_authorized_is_asked_of_metrics_server(merging: Merging) -> None:
    merging.apiserver.allows = lambda spec: (
        spec["resourceAttributes"].get("namespace") == "default"
        and spec["resourceAttributes"]["verb"] == "list"
    )
    assert (await merging.proxied("alice", path=PODS))[0] == 200
    asked = len(merging.upstream.asked)
    for path in (
        PODS + "/gpu-0",
        "/apis/metrics.k8s.io/v1beta1/pods",
        "/apis/metrics.k8s.io/v1beta1/nodes",
        "/apis/metrics.k8s.io/v1beta1/namespaces/default%2F..%2Fother/pods",
        "/apis/metrics.k8s.io/v1beta1/namespaces/other/pods",
    ):
        refused = await merging.proxied("alice", path=path)
        assert status(refused)["code"] == 403, path
    assert "cannot list resource" in status(refused)["message"]
    assert len(merging.upstream.asked) == asked


async def test_a_name_of_dots_is_refused(merging: Merging) -> None:
    refused = await merging.hpa("/apis/metrics.k8s.io/v1beta1/namespaces/%2E%2E/pods")
    assert refused[0] in (400, 404)
    assert merging.upstream.asked == []


async def test_watches_are_refused(merging: Merging) -> None:
    assert status(await merging.hpa(PODS + "?watch=true"))["code"] == 405


async def test_discovery_says_what_metrics_server_would(merging: Merging) -> None:
    found = json.loads((await merging.hpa("/apis/metrics.k8s.io/v1beta1"))[2])
    assert {r["name"]: (r["kind"], r["namespaced"]) for r in found["resources"]} == {
        "nodes": ("NodeMetrics", False),
        "pods": ("PodMetrics", True),
    }
    groups = json.loads((await merging.hpa("/apis"))[2])["groups"]
    names = [group["name"] for group in groups]
    assert names == ["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"]
    merging.upstream.answering.clear()
    assert (await merging.hpa("/apis/metrics.k8s.io/v1beta1"))[0] == 200
    merging.upstream.answering.set()
    await asyncio.sleep(0)
