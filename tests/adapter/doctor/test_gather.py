"""The gathering over real HTTP: every question once, refusals and silence as facts, all bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from adapter.doctor import gates
from adapter.doctor import gather as gathering
from adapter.doctor.checks import CHECKS, diagnose
from adapter.doctor.facts import GPU, QUEUE, Facts
from adapter.doctor.finding import Level
from adapter.doctor.gather import gather
from adapter.doctor.rights import wanted
from adapter.errors import KubeError
from adapter.intake.apiservice import CUSTOM, PATH
from adapter.intake.kube import Kube
from adapter.ops.coldstart import Stories
from adapter.settings import Api
from tests.adapter.doctor.healthy import (
    ACCOUNT,
    NOW,
    PODS,
    hpa,
    loads,
    node,
    pod,
    replica,
    service,
    start,
    story,
    told,
)
from tests.fakes.apiserver import ACCESS_REVIEWS, FakeApiServer

Json = dict[str, Any]
ZERO = 'kubernetes_feature_enabled{name="HPAScaleToZero",stage="BETA"}'
METRICS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/llm"
HPAS = "/apis/autoscaling/v2/horizontalpodautoscalers"


def cluster(server: FakeApiServer) -> None:
    """Put a healthy cluster into the API server."""

    def has(path: str, body: Json) -> None:
        collection, _, name = path.rpartition("/")
        server.collections.setdefault(collection, {})[name] = body

    has("/version", {"gitVersion": "v1.37.2"})
    for version in CUSTOM.versions:
        has(f"/apis/{CUSTOM.name}/{version}", {"resources": [{"name": "pods/x"}]})
        has(f"{PATH}/{version}", service(f"{version}.{CUSTOM.name}"))
    for name in ("a", "b"):
        has(f"/api/v1/namespaces/forescale-system/pods/{name}", replica(name))
    has("/api/v1/nodes/n", node("n"))
    for name in PODS:
        has(f"/api/v1/pods/{name}", pod(name))
        has(f"/api/v1/namespaces/default/pods/{name}", pod(name))
    has("/apis/resource.k8s.io/v1/resourceslices/s", {"spec": {"driver": "other"}})
    has("/apis/karpenter.sh", {"kind": "APIGroup"})
    has(f"{HPAS}/llm", hpa())
    has("/apis/apps/v1", {"resources": [{"name": "deployments", "kind": "Deployment"}]})
    has(f"{DEPLOYMENT}/scale", {"status": {"replicas": 2, "selector": "app=llm"}})
    for metric in (QUEUE, GPU):
        items = [{"describedObject": {"name": name}, "value": "3"} for name in PODS]
        has(f"{METRICS}/{metric}", {"items": items})
    server.texts[gates.PATH] = f"# HELP apiserver_x\n{ZERO} 1\nz_total 3\n"
    server.allows = may


def may(spec: Json) -> bool:
    """Allow the HPA controller to read metrics of pods, and the adapter all."""
    return spec["user"] == ACCOUNT or spec["resourceAttributes"]["resource"] == "pods"


async def page(path: str, query: Mapping[str, str]) -> Json:
    """Answer as the ops port does."""
    if path == "/top":
        assert query == {"namespace": "default"}
        return dict(msgspec.json.decode(msgspec.json.encode(loads({"1.2.0": 2}).body)))
    if path == "/coldstart":
        assert query == {"namespace": "default", "name": query["name"]}
        found = Stories(NOW, (start(77.0),))
        return dict(msgspec.json.decode(msgspec.json.encode(found)))
    assert (path, query["namespace"], query["kind"], query["name"]) == (
        "/why",
        "default",
        "Pod",
        "*",
    )
    said = story(query["metric"], *(told(name) for name in PODS)).body
    return dict(msgspec.json.decode(msgspec.json.encode(said)))


async def seen(kube: Kube, namespace: str = "") -> Facts:
    return await gather(kube, page, Api(), namespace)


def gravest(facts: Facts) -> dict[str, Level]:
    lines = diagnose(facts).lines
    return {line.check: line.level for line in lines if line.level is not Level.PASS}


async def test_a_healthy_cluster_is_gathered_whole(server: FakeApiServer, kube: Kube) -> None:
    cluster(server)
    facts = await seen(kube)
    # The story's clock stands still in the tests; the API server's is today's.
    assert gravest(facts) == {"clock": Level.WARN}
    assert {line.check for line in diagnose(facts).lines} == set(CHECKS) - {
        "hpa-requests",
        "hpa-room",
    }
    assert facts.node_autoscaler.body == "Karpenter"
    assert facts.gate.body is True
    assert facts.scaled["default", "llm"].start.body == start(77.0)
    assert abs(facts.clock.body - facts.clock.at) < 5
    first, *others = [spec["user"] for spec in server.reviewed]
    assert first == "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
    assert set(others) == {ACCOUNT}
    assert len(others) == len(facts.rights) == len(list(wanted(Api().namespace)))
    assert {"labelSelector": "app=llm"} in server.queries


async def test_one_namespace_is_asked_for_alone(server: FakeApiServer, kube: Kube) -> None:
    cluster(server)
    await seen(kube, "prod")
    assert server.calls["GET /api/v1/namespaces/prod/pods"] == 1
    assert server.calls["GET /apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"] == 1
    assert server.calls["GET /api/v1/pods"] == 0


async def test_a_refusal_is_a_fact_in_the_servers_own_words(
    server: FakeApiServer, kube: Kube
) -> None:
    cluster(server)
    no = {"code": 403, "reason": "Forbidden", "message": "you may not"}
    server.refusals = {"GET /api/v1/nodes": no, f"GET {METRICS}/{GPU}": no}
    facts = await seen(kube)
    assert (facts.nodes.refusal, facts.nodes.code, facts.nodes.body) == ("you may not", 403, None)
    assert gravest(facts) == {
        "clock": Level.WARN, "gpus": Level.UNKNOWN, "hpa-metrics": Level.FAIL,
    }  # fmt: skip


async def test_a_gate_is_found_in_the_figures_or_not_told(
    server: FakeApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(server)
    long = "".join(f'apiserver_bucket{{le="{number}"}} 1\n' for number in range(20_000))
    server.texts[gates.PATH] = f"{long}{ZERO} 0\n{long}"
    assert (await seen(kube)).gate.body is False
    server.texts[gates.PATH] = long
    untold = (await seen(kube)).gate
    assert (untold.body, untold.refusal) == (None, None)
    monkeypatch.setattr(gathering, "MAX_PAGE_BYTES", 1000)
    server.texts[gates.PATH] = f"{long}{ZERO} 0\n"
    assert (await seen(kube)).gate.body is None
    server.refusals = {f"GET {gates.PATH}": {"code": 403, "reason": "Forbidden", "message": "no"}}
    refused = (await seen(kube)).gate
    assert (refused.refusal, refused.code) == ("no", 403)


async def test_the_rights_of_the_account_that_runs_are_asked_for(
    server: FakeApiServer, kube: Kube
) -> None:
    cluster(server)
    for name in ("a", "b"):
        path = "/api/v1/namespaces/forescale-system/pods"
        server.collections[path][name]["spec"]["serviceAccountName"] = "own"
    facts = await seen(kube)
    assert {user for user, _ in facts.rights} == {ACCOUNT.replace("forescale-adapter", "own")}
    assert gravest(facts)["adapter-rights"] in (Level.WARN, Level.FAIL)


async def test_whoever_may_not_ask_for_rights_asks_once(server: FakeApiServer, kube: Kube) -> None:
    cluster(server)
    no = {"code": 403, "reason": "Forbidden", "message": "you may not"}
    server.refusals = {f"POST {ACCESS_REVIEWS}": no}
    facts = await seen(kube)
    assert server.calls[f"POST {ACCESS_REVIEWS}"] == 1
    unknown = {"hpa-rights": Level.UNKNOWN, "adapter-rights": Level.UNKNOWN}
    assert gravest(facts) == {"clock": Level.WARN, **unknown}


async def test_of_an_hpa_without_a_target_nothing_more_is_asked(
    server: FakeApiServer, kube: Kube
) -> None:
    cluster(server)
    astray = hpa(name="astray")
    astray["spec"]["scaleTargetRef"]["name"] = "gone"
    server.collections[HPAS] = {"astray": astray}
    facts = await seen(kube)
    assert facts.scaled["default", "astray"].is_lost
    assert facts.scaled["default", "astray"].answers == (None, None)
    assert [call for call in server.calls if call.startswith(f"GET {METRICS}")] == []
    assert gravest(facts) == {"clock": Level.WARN, "hpa-status": Level.FAIL}


async def test_a_target_of_an_unknown_kind_costs_its_own_hpa_alone(
    server: FakeApiServer, kube: Kube
) -> None:
    cluster(server)
    odd = hpa(name="odd")
    odd["spec"]["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Odd", "name": "x"}
    server.collections[HPAS]["odd"] = odd
    facts = await seen(kube)
    scales = {name: one.scale.refusal for (_, name), one in facts.scaled.items()}
    assert scales == {"llm": None, "odd": "apps/v1 has no kind Odd"}


async def test_long_lists_are_paged_and_cut(
    server: FakeApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "PAGE_ITEMS", 2)
    monkeypatch.setattr(gathering, "MAX_ITEMS", 4)
    cluster(server)
    nodes = {f"n{number}": node(f"n{number}") for number in range(4)}
    server.collections["/api/v1/nodes"] = nodes
    facts = await seen(kube)
    assert (len(facts.nodes.body), facts.left_out) == (4, ())
    server.collections["/api/v1/nodes"] = nodes | {"n4": node("n4")}
    facts = await seen(kube)
    assert (len(facts.nodes.body), facts.left_out) == (4, ("/api/v1/nodes after its first 4",))


async def test_an_answer_that_is_no_story_is_a_refusal(server: FakeApiServer, kube: Kube) -> None:
    async def broken(path: str, query: Mapping[str, str]) -> Json:
        return {"pods": f"{path} {query}", "workloads": 3}

    cluster(server)
    facts = await gather(kube, broken, Api(), "")
    assert {story.body for story in facts.stories.values()} == {None}
    starts = facts.scaled["default", "llm"].start
    for untold in (facts.stories["default", QUEUE], starts, facts.loads["default"]):
        assert "the adapter's answer is not understood" in str(untold.refusal)


async def test_after_the_whole_time_nothing_more_is_asked(
    server: FakeApiServer, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(server)
    monkeypatch.setattr(gathering, "WHOLE_SECONDS", -1.0)
    with pytest.raises(KubeError, match="not asked: -1 s were over"):
        await seen(kube)
    assert sum(server.calls.values()) == 0


async def test_an_api_server_that_is_away_is_an_error(server: FakeApiServer, kube: Kube) -> None:
    await server.__aexit__()
    with pytest.raises(KubeError, match="GET /version"):
        await seen(kube)
