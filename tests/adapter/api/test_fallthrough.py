"""Another adapter's metrics go on working through us, untouched; ours never depend on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapter.api import fallthrough as module
from adapter.api.fallthrough import Fallthrough
from adapter.intake.upstream import UpstreamClient
from adapter.model.owners import DEPLOYMENT
from adapter.model.queried import Board
from adapter.settings import Behind
from tests.adapter.api.serving import METRIC, Answer, Serving, pem, status
from tests.fakes.metrics_server import FakeMetricsServer

NAME = "prometheus-adapter.monitoring.svc"
V1, V2 = (f"/apis/custom.metrics.k8s.io/{version}" for version in ("v1beta1", "v1beta2"))
THEIRS = "/namespaces/default/pods/*/http_requests"


def document(version: str, *names: tuple[str, bool]) -> dict[str, Any]:
    resources = [
        {"name": name, "namespaced": namespaced, "kind": "MetricValueList", "verbs": ["get", "x"]}
        for name, namespaced in names
    ]
    return {"groupVersion": f"custom.metrics.k8s.io/{version}", "resources": resources}


BOARD = Board((("gateway_queue", DEPLOYMENT),), 15.0)


class Falling(Serving):
    """The served world with another adapter behind it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.other = FakeMetricsServer(folder, self.cluster, NAME)
        self.board = BOARD
        for version, path in (("v1beta1", V1), ("v1beta2", V2)):
            self.other.says[path] = document(version, ("pods/http_requests", True))

    def fallthrough(self) -> Fallthrough:
        async def trust() -> str:
            return pem(self.cluster)

        settings = Behind(url=self.other.url, name=NAME, deadline_seconds=0.5)
        client = UpstreamClient("the adapter behind", settings, trust=trust, token=self.kube.token)
        self._stack.push_async_callback(client.close)
        self.made = Fallthrough(client, board=lambda: self.board)
        return self.made

    async def get(self, path: str) -> Answer:
        return await self.proxied("hpa", "system:masters", path=path)

    async def look(self) -> None:
        for version in ("v1beta1", "v1beta2"):
            await self.made._look(version)

    async def listed(self, path: str = V2) -> dict[str, dict[str, Any]]:
        resources = json.loads((await self.get(path))[2])["resources"]
        return {resource["name"]: resource for resource in resources}


@pytest.fixture
async def falling(tmp_path: Path) -> AsyncIterator[Falling]:
    made = Falling(tmp_path)
    async with made.other, made:
        yield made


async def test_a_metric_that_is_not_ours_is_answered_by_the_other_adapter(
    falling: Falling,
) -> None:
    said = b'{"kind":"MetricValueList","items":[]} as it is'
    falling.other.says[V2 + THEIRS] = said
    answer = await falling.get(V2 + THEIRS.replace("*", "%2A") + "?labelSelector=app%3Dx")
    assert (answer[0], answer[2]) == (200, said)
    path, headers = falling.other.asked[-1]
    assert path == f"{V2}{THEIRS.replace('*', '%2A')}?labelSelector=app%3Dx"
    assert headers["Authorization"] == "Bearer adapter"
    assert not [name for name in headers if name.lower().startswith("x-remote")]


async def test_a_metric_that_is_a_query_of_ours_is_not_asked_of_the_other(falling: Falling) -> None:
    path = f"{V2}/namespaces/default/deployments.apps/llm/gateway_queue"
    assert status(await falling.get(path))["code"] == 404  # nothing answers it in this world
    assert falling.other.asked == []
    await falling.look()
    assert "deployments.apps/gateway_queue" in await falling.listed()


async def test_our_metrics_are_ours_whatever_the_other_does(falling: Falling) -> None:
    falling.other.answering.clear()
    assert (await falling.get(METRIC))[0] == 200
    assert falling.other.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/namespaces/default/metrics/ns_metric",
        "/namespaces/default/services/web/http_requests",
        "/namespaces/default/jobs.batch/j/http_requests",
        "/nodes/gpu-0/node_metric",
        "/namespaces/default/deployments.apps/d/http_requests",
    ],
)
async def test_every_form_of_query_goes_on(falling: Falling, path: str) -> None:
    falling.other.says[V1 + path] = {"kind": "MetricValueList"}
    assert (await falling.get(V1 + path))[0] == 200
    assert falling.other.asked[-1][0] == V1 + path


@pytest.mark.parametrize(
    "path",
    [
        "/namespaces/default/http_requests",
        "/namespaces/a/b/c/d/e",
        "/x",
        "/namespaces/%2E%2E/pods/x/http_requests",
        "/namespaces//pods/x/http_requests",
    ],
)
async def test_what_is_no_query_is_not_passed_on(falling: Falling, path: str) -> None:
    assert status(await falling.get(V1 + path))["code"] == 404
    assert falling.other.asked == []


async def test_a_namespaces_own_metric_is_ours_or_passed_on_by_its_name(falling: Falling) -> None:
    code, _, body = await falling.get(V1 + "/namespaces/default/metrics/nvidia_gpu_utilization")
    assert (code, falling.other.asked) == (200, [])
    assert json.loads(body)["items"][0]["describedObject"]["kind"] == "Namespace"


async def test_its_errors_are_its_own_and_it_has_a_deadline(falling: Falling) -> None:
    missing = status(await falling.get(V2 + THEIRS))
    assert missing["message"] == f"no {V2}{THEIRS}"
    falling.other.answering.clear()
    began = time.monotonic()
    late = status(await falling.get(V2 + THEIRS))
    assert time.monotonic() - began < 1.5
    assert (late["code"], "no answer within 0.5 s" in late["message"]) == (503, True)


async def test_rights_are_looked_at_here_before_anything_is_passed_on(falling: Falling) -> None:
    falling.apiserver.allows = lambda spec: (
        spec["resourceAttributes"].get("subresource") == "http_requests"
        and spec["resourceAttributes"].get("namespace") == "default"
    )
    falling.other.says[V2 + THEIRS] = {"kind": "MetricValueList"}
    assert (await falling.proxied("alice", path=V2 + THEIRS))[0] == 200
    asked = len(falling.other.asked)
    for path in (
        "/namespaces/other/pods/*/http_requests",
        "/namespaces/default/pods/*/another",
        "/namespaces/default/metrics/http_requests",
        "/nodes/n/http_requests",
        "/namespaces/default%2F..%2Fother/pods/x/http_requests",
    ):
        assert status(await falling.proxied("alice", path=V2 + path))["code"] == 403, path
    assert len(falling.other.asked) == asked


async def test_discovery_lists_both_and_ours_is_first(falling: Falling) -> None:
    assert "pods/http_requests" not in await falling.listed()
    await falling.look()
    for path in (V1, V2):
        found = await falling.listed(path)
        assert found["pods/http_requests"]["verbs"] == ["get"]
        assert "pods/nvidia_gpu_utilization" in found
        assert next(iter(found)).startswith("pods/")


async def test_what_would_break_discovery_is_left_out(falling: Falling) -> None:
    falling.other.says[V2] = document(
        "v1beta2",
        ("pods/bad", False),
        ("pods/nvidia_gpu_utilization", False),
        ("namespaces/good", False),
        ("namespaces/bad", True),
        ("nodes/good", False),
        ("nodes/bad", True),
        ("toplevel", True),
        ("a/b/c", True),
        ("UPPER/x", True),
    )
    await falling.look()
    found = await falling.listed()
    assert {name for name in found if name.endswith(("bad", "good"))} == {
        "namespaces/good",
        "nodes/good",
    }
    assert found["pods/nvidia_gpu_utilization"]["namespaced"] is True
    assert not {"toplevel", "a/b/c", "UPPER/x"} & found.keys()
    for parent in {name.partition("/")[0] for name in found}:
        same = {r["namespaced"] for name, r in found.items() if name.startswith(f"{parent}/")}
        assert len(same) == 1


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b'{"resources":[{}]}', None])
async def test_a_list_that_cannot_be_read_leaves_the_last_one(
    falling: Falling, said: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    await falling.look()
    if said is None:
        del falling.other.says[V2]
    else:
        falling.other.says[V2] = said
    for _ in range(2):
        await falling.look()
    assert "pods/http_requests" in await falling.listed()
    assert caplog.text.count("fallthrough_unknown") == 1


async def test_discovery_never_waits_for_the_other_adapter(
    falling: Falling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "UNHEARD_SECONDS", 0.01)
    falling.other.answering.clear()
    running = asyncio.create_task(falling.made.run())
    began = time.monotonic()
    assert "pods/nvidia_gpu_utilization" in await falling.listed()
    assert time.monotonic() - began < 0.4
    falling.other.answering.set()
    async with asyncio.timeout(5):
        while "pods/http_requests" not in await falling.listed():
            await asyncio.sleep(0.02)
    running.cancel()


async def test_an_adapter_with_one_version_is_asked_in_that_one(falling: Falling) -> None:
    del falling.other.says[V2]
    falling.other.says[V1 + THEIRS] = {"kind": "MetricValueList"}
    await falling.look()
    assert (await falling.get(V2 + THEIRS))[0] == 200
    assert falling.other.asked[-1][0].startswith(V1)


async def test_it_says_why_the_others_metrics_cannot_be_asked_until_it_was_heard_of(
    falling: Falling,
) -> None:
    assert "it has not answered yet" in (falling.made.hindrance() or "")
    said, falling.other.says = falling.other.says, {}
    await falling.look()
    why = falling.made.hindrance()
    assert why is not None
    assert f"{V1}: 404" in why
    assert "fallthrough.caFile" in why
    assert falling.made.state() == why
    falling.other.says = {V2: said[V2]}  # one version is enough
    await falling.look()
    assert falling.made.hindrance() is None
    assert falling.made.state() == "answers, 1 resources"


async def test_it_says_when_the_other_adapter_no_longer_answers(falling: Falling) -> None:
    await falling.look()
    said, falling.other.says = falling.other.says, {}
    await falling.look()
    assert falling.made.hindrance() is None
    assert falling.made.state().startswith("queries for its metrics fail: ")
    falling.other.says = said
    await falling.look()
    assert falling.made.state().startswith("answers")


async def test_a_huge_list_is_cut(falling: Falling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 10)
    names = [(f"pods/m{number}", True) for number in range(100)]
    falling.other.says[V2] = document("v1beta2", *names)
    await falling.look()
    assert sum("/m" in name for name in await falling.listed()) == 10
