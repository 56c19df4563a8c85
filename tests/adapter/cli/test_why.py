"""`forescale why` at an adapter's ops port: one screen, JSON when asked, errors with a hint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapter.api import query
from adapter.cli import why as command
from adapter.errors import NoValue
from adapter.model.catalogue import Metric
from adapter.model.owners import KNOWN
from adapter.model.queried import Board, Figure, Key
from adapter.model.target import DEMANDS, DESIRED_REPLICAS, Target
from adapter.model.why import Choice
from adapter.model.word import Phases, Word
from adapter.ops.changes import Changes
from adapter.ops.why import Why
from adapter.settings import ObjectQuery, Prometheus
from tests.adapter.cli.opsport import serving
from tests.adapter.cli.test_totals import HPAS, external, pod, total
from tests.adapter.model.world import (
    DEPLOYMENT,
    HOLD_SECONDS,
    START,
    WALL,
    World,
    serving_pod,
)
from tests.adapter.test_main import kubeconfig


def world() -> World:
    made = World(
        serving_pod("llm-a"),
        serving_pod("llm-b"),
        serving_pod("llm-c", model_ready=False, ready_changed_at=None),
    )
    made.say = {"llm-a": {"pending": 12.0, "running": 8.0}, "llm-b": {"pending": 4.0}}
    made.advance(20)
    return made


JOBS = Prometheus(objects=(ObjectQuery("jobs_waiting", "q"),))
ANSWERED = {Key("jobs_waiting", "Deployment.apps", "default", DEPLOYMENT): Figure(7.0, START + 15)}
BOARD = Board.of(JOBS, KNOWN, 60.0).after(ANSWERED, {}, START + 15)


@pytest.fixture
def url() -> Iterator[str]:
    snapshot = world().snapshot
    with serving(Why(lambda: snapshot, query.choice, lambda: BOARD)) as found:
        yield found


class Cluster:
    """An API server with one HPA, and a real adapter's why page behind its proxy."""

    path = "/{path:.*}"

    def __init__(
        self,
        *metrics: dict[str, Any],
        values: dict[str, str] | None = None,
        pages: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        made = World(*(serving_pod(name, target=SIXTEEN) for name in ("llm-a", "llm-b")))
        made.say = {
            "llm-a": {"inflight": 20.0, "gpu_busy_percent": 60.0},
            "llm-b": {"inflight": 30.0, "gpu_busy_percent": 90.0},
        }
        snapshot = made.advance(20)
        self._why = Why(lambda: snapshot, query.choice, lambda: BOARD)
        self.asked_lately: list[str] = []  # the kinds of workloads whose past was asked for
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT}
        spec = {"scaleTargetRef": target, "maxReplicas": 9, "metrics": [*metrics]} | spec
        scale = f"/apis/apps/v1/namespaces/default/deployments/{DEPLOYMENT}/scale"
        pods = {"items": [pod("llm-a"), pod("llm-b")]}
        self._pages: dict[str, Any] = {
            f"{HPAS}/h": {
                "metadata": {"name": "h", "namespace": "default"},
                "spec": spec,
                "status": status or {},
            },
            "/apis/apps/v1": {"resources": [{"name": "deployments", "kind": "Deployment"}]},
            scale: {"spec": {"replicas": 2}, "status": {"replicas": 2, "selector": "app=llm"}},
            "/api/v1/namespaces/default/pods": pods,
            "/api/v1/namespaces/default/events": {"items": []},
        }
        for path, value in (values or {}).items():
            self._pages[path] = {"items": [{"value": value}]}
        self._pages |= pages or {}

    def tell(self, why: Why) -> None:
        """Have the adapter's why page be this one."""
        self._why = why

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith(f"/services/forescale:ops/proxy{Changes.path}"):
            self.asked_lately.append(request.query["kind"])
        if request.path.endswith("/services/forescale:ops/proxy/why"):
            return await self._why.handle(request)
        page = self._pages.get(request.path, (404, {"kind": "Status"}))
        status, body = page if isinstance(page, tuple) else (200, page)
        return web.json_response(body, status=status)


SIXTEEN = Target(DEMANDS["inflight"], 16_000)
OBJECTS = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/deployments.apps/{DEPLOYMENT}"
EXTERNALS = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"


def of_deployment(metric: str, labels: dict[str, str], **target: str) -> dict[str, Any]:
    made = total("Deployment", DEPLOYMENT, "apps/v1", **target)
    made["object"]["metric"] = {"name": metric, "selector": {"matchLabels": labels}}
    return made


def of_external(metric: str, labels: dict[str, str], **target: str) -> dict[str, Any]:
    made = external(labels, **target)
    made["external"]["metric"]["name"] = metric
    return made


HTML = web.Response(text="<p>", content_type="text/html")
VALUE = {"type": "Value", "value": "20"}
INFLIGHT = "llm_inference_inflight_requests"
HEAD = "  POD    STATE    LAST  AGE           SERVED: mean over 15 s  WHY NOT"
LAST_HEAD = "  POD    STATE    LAST  AGE           SERVED: last reading  WHY NOT"
TABLE = [
    HEAD,
    "  llm-a  serving  20    0.0 s  fresh  20",
    "  llm-b  serving  30    0.0 s  fresh  30",
]
BY_TARGET = "replicas, by forescale.dev/target"
QUERIED = ["  LAST  AGE           SERVED  WHY NOT", "  7     5.0 s  fresh  7"]


@pytest.mark.parametrize(
    ("metric", "values", "lines"),
    [
        (
            of_deployment(INFLIGHT, {"agg": "mean"}, **VALUE),
            {f"{OBJECTS}/{INFLIGHT}": "25"},
            [
                f"{INFLIGHT} of Deployment {DEPLOYMENT} (requests, mean 15s, agg=mean)",
                *TABLE,
                "  total: 25",
                f"  = {INFLIGHT}: 25 / 20 = 1.25 x 2 ready pods -> 3",
            ],
        ),
        (
            of_external(INFLIGHT.upper(), {"workload": DEPLOYMENT, "stat": "raw"}),
            {f"{EXTERNALS}/{INFLIGHT}": "50"},
            [
                f"{INFLIGHT.upper()} External (stat=raw,workload={DEPLOYMENT}) (requests, raw)",
                LAST_HEAD,
                *TABLE[1:],
                "  total: 50",
                f"  = {INFLIGHT.upper()}: 50 in total / 8 per pod -> 7",
            ],
        ),
        (
            of_deployment("jobs_waiting", {}),
            {f"{OBJECTS}/jobs_waiting": "7"},
            [
                f"jobs_waiting of Deployment {DEPLOYMENT} (as the query counts, query)",
                *QUERIED,
                "  = jobs_waiting: 7 in total / 8 per pod -> 1",
            ],
        ),
        (
            of_deployment(DESIRED_REPLICAS, {}, averageValue="1"),
            {f"{OBJECTS}/{DESIRED_REPLICAS}": "4"},
            [
                f"{DESIRED_REPLICAS} of Deployment {DEPLOYMENT} ({BY_TARGET})",
                f"  {INFLIGHT} (requests, mean 15s)",
                *TABLE,
                "  total: 50",
                "  50 / 16 per pod -> 4 replicas",
                "  total: 4",
                f"  = {DESIRED_REPLICAS}: 4 in total / 1 per pod -> 4",
            ],
        ),
        (
            of_deployment(f"{INFLIGHT}_forecast", {}),
            {f"{OBJECTS}/{INFLIGHT}_forecast": "50"},
            [
                f"{INFLIGHT}_forecast of Deployment {DEPLOYMENT} (requests, mean 15s)",
                *TABLE,
                (
                    f"  total: none: Deployment {DEPLOYMENT} is not forecast: annotate its pod"
                    " template forescale.dev/forecast: observe (later act)"
                ),
                f"  = {INFLIGHT}_forecast: 50 in total / 8 per pod -> 7",
            ],
        ),
        (
            of_external("s3.bytes", {"queue": "prompts"}),
            {f"{EXTERNALS}/s3.bytes": "16"},
            [
                "s3.bytes External (queue=prompts)",
                "  = s3.bytes: 16 in total / 8 per pod x 2 = 1.00, within 0.9 to 1.1 -> stays at 2",
            ],
        ),
    ],
)
def test_an_hpas_objects_and_external_metrics_are_told_from_the_readings_to_its_arithmetic(
    tmp_path: Path,
    metric: dict[str, Any],
    values: dict[str, str],
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(Cluster(metric, values=values)) as server:
        config = kubeconfig(tmp_path, int(server.rpartition(":")[2]))
        assert command.run(["hpa/h", "--kubeconfig", config, "-m", "none"]) == 0
        assert "none: the HPA does not ask for it" in capsys.readouterr().out
        assert command.run(["hpa/h", "--kubeconfig", config]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1:-2] == ["", *lines]
    asked = lines[-1].rpartition(" ")[2]
    assert told[-2] == ""
    assert told[-1].startswith("the HPA has not looked yet; it will ask for ")
    assert f", because {lines[-1].split(': ')[0][4:]} asks for {asked}" in told[-1]


REFUSED = "nothing listens at http://10.0.0.{}:9401 (connection refused)"


def test_what_many_pods_lack_is_told_once_and_the_arithmetic_says_it_no_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = World(*(serving_pod(f"llm-{n}") for n in range(5)))
    made.say = {"llm-0": {"pending": 4.0}}
    made.troubles = {f"uid-llm-{n}": REFUSED.format(n) for n in range(1, 5)}
    snapshot, name = made.advance(20), "llm_inference_pending_requests"
    with pytest.raises(NoValue) as caught:
        made.values(name)
    said = {"kind": "Status", "code": 503, "message": str(caught.value)}
    message = f"unable to get metric {name}: unable to fetch metrics: {caught.value}"
    reason = {"reason": "FailedGetPodsMetric", "message": message}
    status = {"conditions": [reason | {"type": "ScalingActive", "status": "False"}]}
    pages = {
        f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{name}": (503, said),
        "/api/v1/namespaces/default/events": {"items": [reason | {"type": "Warning"}]},
    }
    metric = {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "5"}}
    cluster = Cluster({"type": "Pods", "pods": metric}, pages=pages, status=status)
    cluster.tell(Why(lambda: snapshot, query.choice))
    with serving(cluster) as server:
        config = kubeconfig(tmp_path, int(server.rpartition(":")[2]))
        assert command.run(["hpa/h", "--kubeconfig", config]) == 0
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    assert f"(1) 4 pods, such as llm-1: {REFUSED.format(1)}" in lines
    assert [line.split()[-1] for line in lines if line.startswith("llm-")] == ["4", *["(1)"] * 4]
    assert f"= {name}: no value, as the total above" in lines
    assert "-  Warning FailedGetPodsMetric: as above" in lines
    assert out.count(str(caught.value)) == 2  # the HPA's condition, and the total of now


def test_a_pod_that_the_hpa_counts_and_the_workload_does_not_own_is_in_the_table_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"app": "llm"}
    made = World(serving_pod("llm-a", labels=labels), serving_pod("bare", labels=labels, owners=()))
    made.say = {"llm-a": {"pending": 4.0}, "bare": {"pending": 6.0}}
    snapshot, name = made.advance(20), "llm_inference_pending_requests"
    items = [
        {"describedObject": {"name": "llm-a"}, "value": "4"},
        {"describedObject": {"name": "bare"}, "value": "6"},
    ]
    pages = {
        f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{name}": {"items": items},
        "/api/v1/namespaces/default/pods": {"items": [pod("llm-a"), pod("bare"), pod("silent")]},
    }
    metric = {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "5"}}
    cluster = Cluster({"type": "Pods", "pods": metric}, pages=pages)
    cluster.tell(Why(lambda: snapshot, query.choice))
    with serving(cluster) as server:
        config = kubeconfig(tmp_path, int(server.rpartition(":")[2]))
        assert command.run(["hpa/h", "--kubeconfig", config, "-m", name]) == 0
    counts = "the HPA counts it by its labels"
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{name} (requests, mean 15s)",
        HEAD,
        "  llm-a  serving  4     0.0 s  fresh  4",
        "  bare   serving  6     0.0 s  fresh  6",
        f"  bare: not Deployment {DEPLOYMENT}'s by its owner: {counts}",
        "  the HPA counts too, and no source here reads this of: silent",
        f"  = {name}: 5 per pod / 5 = 1.00, within 0.9 to 1.1 -> stays at 2",
    ]


def test_an_hpa_on_a_kind_that_is_not_known_shows_the_pods_and_says_why_they_are_nobodys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = World(serving_pod("r-a", labels={"app": "llm"}, owners=()))
    made.say = {"r-a": {"pending": 4.0}}
    snapshot, name = made.advance(20), "llm_inference_pending_requests"
    items = [{"describedObject": {"name": "r-a"}, "value": "4"}]
    scale = {"spec": {"replicas": 1}, "status": {"replicas": 1, "selector": "app=llm"}}
    pages = {
        "/apis/argoproj.io/v1alpha1": {"resources": [{"name": "rollouts", "kind": "Rollout"}]},
        "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/r/scale": scale,
        f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{name}": {"items": items},
        "/api/v1/namespaces/default/pods": {"items": [pod("r-a")]},
    }
    metric = {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "2"}}
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "r"}
    cluster = Cluster({"type": "Pods", "pods": metric}, pages=pages, scaleTargetRef=target)
    cluster.tell(Why(lambda: snapshot, query.choice))
    with serving(cluster) as server:
        config = kubeconfig(tmp_path, int(server.rpartition(":")[2]))
        assert command.run(["hpa/h", "--kubeconfig", config]) == 0
    out = capsys.readouterr().out
    assert "  r-a  serving  4     0.0 s  fresh  4" in out.splitlines()
    nobodys = "no pod is known as Rollout.argoproj.io r's by its owner (is the kind in api.objectK"
    assert f"  r-a: {nobodys}" in out
    assert "label its pod template" not in out
    assert cluster.asked_lately == ["Rollout"]
    assert f"  = {name}: 4 per pod / 2 = 2.00 x 1 pod -> 2" in out.splitlines()


@pytest.mark.parametrize(
    ("metric", "words"),
    [(DESIRED_REPLICAS, "its pods have no target"), ("jobs_waiting", "  7     5.0 s  fresh  7")],
)
def test_replicas_and_queries_are_told_of_a_workload_without_an_hpa(
    url: str, metric: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([f"deploy/{DEPLOYMENT}", "--adapter", url, "-m", metric]) == 0
    assert words in capsys.readouterr().out


def test_a_workload_is_told_on_one_screen(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deployment/llm-inference-deployment", "--adapter", url]
    assert command.run([*arguments, "-m", "llm_inference_pending_requests"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Deployment default/llm-inference-deployment",
        "",
        "llm_inference_pending_requests (requests, mean 15s)",
        HEAD,
        "  llm-a  serving  12    0.0 s  fresh  12",
        "  llm-b  serving  4     0.0 s  fresh  4",
        "  llm-c  loading  -     -             -                       is still loading its model",
        "  total: 16",
    ]


@pytest.mark.parametrize(
    ("selector", "total"),
    [("", "  total: 12, 8 of it by the pods above: silence lowers no total"), ("agg=mean", "")],
)
def test_a_total_that_silence_does_not_lower_says_how_much_of_it_is_known(
    selector: str, total: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = World(*(serving_pod(f"llm-{name}") for name in "abc"))
    made.say = {f"llm-{name}": {"pending": 4.0} for name in "abc"}
    made.advance(20)
    del made.say["llm-b"]
    snapshot = made.advance(int(HOLD_SECONDS) + 10)

    def chosen(name: str, metric: Metric, _: str) -> Choice:
        return query.choice(name, metric, selector)

    with serving(Why(lambda: snapshot, chosen)) as url:
        arguments = [f"deploy/{DEPLOYMENT}", "--adapter", url]
        assert command.run([*arguments, "-m", "llm_inference_pending_requests"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == (total or "  total: 4")
    assert (
        "  llm-b  serving  4     -      gone   -                       no reading for 70 s" in told
    )


def test_without_a_metric_those_are_shown_of_which_something_is_known(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["pod/llm-a", "--adapter", url]) == 0
    out = capsys.readouterr().out
    assert "llm_inference_pending_requests (requests" in out
    assert "llm_inference_running_requests (requests" in out
    assert "nvidia_gpu" not in out


def test_what_a_pod_says_beside_its_figures_stands_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = World(serving_pod("llm-a", model_started_at=WALL))
    made.say = {"llm-a": {"pending": 12.0}}
    phases = Phases(engine_ready=START + 1.0)
    made.word = {"llm-a": Word(phases, "connections", near_oom=True, near_oom_why="it is full")}
    snapshot = made.advance(20)
    with serving(Why(lambda: snapshot, query.choice)) as url:
        assert command.run(["pod/llm-a", "--adapter", url]) == 0
    assert capsys.readouterr().out.splitlines()[:7] == [
        "Pod default/llm-a",
        "  start: container up 2023-11-14T22:13:20Z, ready +1 s",
        "  near OOM: llm-a: it is full",
        "",
        "llm_inference_pending_requests (requests, mean 15s)",
        HEAD,
        "  llm-a  serving  12    0.0 s  fresh  12",
    ]


def test_json_has_the_same(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deploy/llm-inference-deployment", "--adapter", url, "-o", "json"]
    assert command.run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    pending = next(c["story"] for c in found["chapters"] if "pending" in c["story"]["metric"])
    assert pending["total"]["served"] == "16"
    assert (pending["view"], pending["servedAs"]) == ("mean 15s", "mean over 15 s")
    assert [pod["figure"]["raw"] for pod in pending["pods"]] == [12.0, 4.0, None]
    assert [pod["name"] for pod in pending["pods"]] == ["llm-a", "llm-b", "llm-c"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["llm-a"], 2, "`llm-a` is no KIND/NAME\nhint: KIND is one of hpa,"),
        (["node/a"], 2, "`node/a` is no KIND/NAME"),
        (["pod/other"], 1, "Pod other in namespace default has no pod with a source"),
        (
            ["hpa/x"],
            2,
            "an HPA lives in a cluster: --adapter URL knows workloads and pods\nhint: le",
        ),
    ],
)
def test_what_cannot_be_told_is_an_error_with_a_hint(
    url: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"error: {words}")
    assert "\nhint: " in err


def test_an_adapter_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["pod/a", "--adapter", "http://127.0.0.1:1"]) == 1
    err = capsys.readouterr().err
    assert "error: http://127.0.0.1:1 gave no answer" in err
    assert "hint: give its ops port (ops.port, 8080)" in err


@pytest.mark.parametrize("status", [200, 404])
def test_another_port_than_the_ops_port_is_told_as_that(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    class Other:
        path = "/why"

        async def handle(self, _: web.Request) -> web.Response:
            return web.json_response({"kind": "Status"}, status=status) if status > 200 else HTML

    with serving(Other()) as url:
        assert command.run(["pod/a", "--adapter", url]) == 1
        assert capsys.readouterr().err == (
            f"error: {url} answered, and not as an ops port\n"
            "hint: give its ops port (ops.port, 8080): the adapter's log and the demo say which it"
            " is\n"
        )


@pytest.mark.parametrize("wrong", ["localhost:8080", "8080", "ftp://a"])
def test_an_address_that_is_no_url_is_refused_with_the_form(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.run(["pod/a", "--adapter", wrong])
    assert f"`{wrong}` is no URL: write http://HOST:PORT" in capsys.readouterr().err


def test_without_a_kubeconfig_the_hint_names_both_ways(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert command.run(["pod/a"]) == 1
    assert "hint: name your kubeconfig with --kubeconfig, or use --adapter URL" in (
        capsys.readouterr().err
    )
