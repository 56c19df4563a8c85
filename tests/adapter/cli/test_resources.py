"""An HPA's resources: GPUs from the readings to its arithmetic, CPU as its own status says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapter.cli import why as command
from tests.adapter.cli.opsport import serving
from tests.adapter.cli.test_totals import pod
from tests.adapter.cli.test_why import EXTERNALS, INFLIGHT, Cluster, of_external
from tests.adapter.test_main import kubeconfig

Json = dict[str, Any]

GPU = "nvidia.com/gpu"
PODS = "/api/v1/namespaces/default/pods"
USAGE = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
STORY = [
    f"{GPU} Resource (percent, mean 30s)",
    "  POD    STATE    LAST  AGE           SERVED: mean over 30 s  WHY NOT",
    "  llm-a  serving  60    0.0 s  fresh  60",
    "  llm-b  serving  90    0.0 s  fresh  90",
    "  total: 150",
    "  from nvidia_gpu_utilization, in thousandths of a GPU",
]
CPU_SAID = "  metrics-server's, not forescale's: this is what the HPA's status says"
GOOD = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "m"}


def resource(name: str, percent: int, container: str = "") -> Json:
    inner: Json = {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}}
    if container:
        inner["container"] = container
        return {"type": "ContainerResource", "containerResource": inner}
    return {"type": "Resource", "resource": inner}


def cpu_of(**current: Any) -> Json:
    shown = {"type": "Resource", "resource": {"name": "cpu", "current": current}}
    return {"currentMetrics": [shown], "conditions": [GOOD]}


def requesting(name: str, llm: Json, side: Json) -> Json:
    containers = [
        {"name": "llm", "resources": {"requests": llm}},
        {"name": "side", "resources": {"requests": side}},
    ]
    return pod(name) | {"spec": {"containers": containers}}


def using(name: str, **usage: Json) -> Json:
    containers = [{"name": one, "usage": used} for one, used in usage.items()]
    return {"metadata": {"name": name}, "containers": containers}


ONE, ZERO = {GPU: "1"}, {GPU: "0"}
BOTH = {"items": [requesting("llm-a", ONE, ZERO), requesting("llm-b", ONE, ZERO)]}
SERVED = {
    "items": [
        using("llm-a", llm={GPU: "600m"}, side={GPU: "0"}),
        using("llm-b", llm={GPU: "900m"}, side={GPU: "0"}),
    ]
}


def told(
    folder: Path, capsys: pytest.CaptureFixture[str], cluster: Cluster, *options: str
) -> list[str]:
    with serving(cluster) as server:
        config = kubeconfig(folder, int(server.rpartition(":")[2]))
        assert command.run(["hpa/h", "--kubeconfig", config, *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_tutorials_hpa_is_told_from_the_readings_to_what_it_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cpu_of(averageUtilization=30, averageValue="300m") | {"desiredReplicas": 2}
    metrics = (resource(GPU, 60), resource("cpu", 70))
    cluster = Cluster(*metrics, pages={PODS: BOTH, USAGE: SERVED}, status=status)
    assert told(tmp_path, capsys, cluster)[2:] == [
        "",
        *STORY,
        "  POD    REQUEST  USAGE  OF IT  WHY NOT",
        "  llm-a  1        600m   60 %",
        "  llm-b  1        900m   90 %",
        f"  = {GPU}: 75 % of the request / 60 % = 1.25 x 2 pods -> 3",
        "",
        "cpu Resource",
        CPU_SAID,
        "  = cpu: 30 % of the request / 70 % = 0.43 x 2 pods -> 1",
        "",
        (
            "the HPA asked for 2 when it last looked; by these figures it will ask for 3, because"
            f" {GPU} asks for 3, the most of 2 metrics"
        ),
    ]


@pytest.mark.parametrize(
    ("served", "table", "why"),
    [
        (
            (BOTH, {"items": [SERVED["items"][0], using("llm-b", llm={"cpu": "1"})]}),
            [
                "  llm-a  1        600m   60 %",
                "  llm-b  1        -      -      metrics.k8s.io has no {} of container llm",
            ],
            "60 % of the request / 80 % = 0.75; 1 without a value counted as 1 = 1.00, within",
        ),
        (
            ({"items": [requesting("llm-a", ONE, ZERO), requesting("llm-b", ONE, {})]}, SERVED),
            [
                "  llm-a  1        600m   60 %",
                "  llm-b  -        -      -      missing request for {} in container side",
            ],
            "missing request for nvidia.com/gpu in container side of pod llm-b",
        ),
        (
            (BOTH, {"items": []}),
            [
                "  llm-a  1        -      -      metrics.k8s.io has no item of it",
                "  llm-b  1        -      -      metrics.k8s.io has no item of it",
            ],
            "metrics.k8s.io has no value of it for any pod",
        ),
    ],
)
def test_who_is_left_out_is_said_pod_by_pod(
    tmp_path: Path,
    served: tuple[Json, Json],
    table: list[str],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = Cluster(resource(GPU, 80), pages=dict(zip((PODS, USAGE), served, strict=True)))
    found = told(tmp_path, capsys, cluster)
    begin = next(n for n, line in enumerate(found) if "REQUEST" in line) + 1
    assert found[begin : begin + 2] == [line.format(GPU) for line in table]
    assert found[begin + 2].startswith(f"  = {GPU}: {why}")


def test_a_container_resource_reads_that_container_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pods = {"items": [requesting(name, {GPU: "2"}, {}) for name in ("llm-a", "llm-b")]}
    usage = {"items": [using(name, llm={GPU: "1"}, side={}) for name in ("llm-a", "llm-b")]}
    cluster = Cluster(resource(GPU, 80, "llm"), pages={PODS: pods, USAGE: usage})
    found = told(tmp_path, capsys, cluster)
    assert f"{GPU} ContainerResource of llm (percent, mean 30s)" in found
    assert f"  = {GPU}: 50 % of the request / 80 % = 0.62 x 2 pods -> 2" in found


def test_an_api_that_nobody_serves_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unserved = (404, {"kind": "Status", "message": "404 page not found"})
    cluster = Cluster(resource(GPU, 80), pages={PODS: BOTH, USAGE: unserved})
    found = told(tmp_path, capsys, cluster)
    assert f"  = {GPU}: metrics.k8s.io has no server: docs/resource-metrics.md" in found


def test_an_api_that_does_not_answer_is_said_in_its_own_words_and_holds_a_scale_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = {"kind": "Status", "message": "metrics-server at https://m is down", "code": 503}
    metrics = (resource(GPU, 80), of_external(INFLIGHT, {"workload": "llm"}))
    values = {f"{EXTERNALS}/{INFLIGHT}": "8"}
    cluster = Cluster(*metrics, values=values, pages={PODS: BOTH, USAGE: (503, down)})
    found = told(tmp_path, capsys, cluster)
    assert f"  = {GPU}: metrics-server at https://m is down" in found
    assert found[-1] == (f"the HPA stays at 2, because {GPU} has no value: no scale-down to 1")


@pytest.mark.parametrize(
    ("target", "current", "why"),
    [
        (
            {"type": "AverageValue", "averageValue": "500m"},
            {"averageValue": "1"},
            "1 per pod / 0.5",
        ),
        ({"type": "Utilization", "averageUtilization": 50}, {}, "the HPA has no averageUtil"),
    ],
)
def test_what_is_metrics_servers_is_as_the_hpa_itself_last_read_it(
    tmp_path: Path, target: Json, current: Json, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    found = told(tmp_path, capsys, Cluster(metric, status=cpu_of(**current)))
    at = found.index("cpu Resource")
    assert found[at + 1] == CPU_SAID
    assert found[at + 2].startswith(f"  = cpu: {why}")


def test_json_has_the_usage_and_the_conclusion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(resource(GPU, 80), pages={PODS: BOTH, USAGE: SERVED})
    (line,) = told(tmp_path, capsys, cluster, "-o", "json")
    found = json.loads(line)
    first = found["chapters"][0]["uses"][0]
    assert first == {"pod": "llm-a", "requestMilli": 1000, "usageMilli": 600, "why": ""}
    assert found["conclusion"].startswith("the HPA has not looked yet; it will ask for 2")


def test_the_tolerance_of_behavior_holds_for_an_hpa_without_pods_metrics_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = of_external(INFLIGHT, {"workload": "llm"})
    behavior = {"scaleUp": {"tolerance": "0"}}
    values = {f"{EXTERNALS}/{INFLIGHT}": "17"}
    found = told(tmp_path, capsys, Cluster(metric, values=values, behavior=behavior))
    assert f"  = {INFLIGHT}: 17 in total / 8 per pod -> 3" in found


def test_a_behavior_that_is_not_known_here_leaves_the_rest_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(
        resource(GPU, 60),
        pages={PODS: BOTH, USAGE: SERVED},
        behavior={"scaleUp": {"selectPolicy": "Median"}},
    )
    assert f"because {GPU} asks for 3" in told(tmp_path, capsys, cluster)[-1]


def test_one_metric_alone_has_no_conclusion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster(resource(GPU, 80), resource("cpu", 70), pages={PODS: BOTH, USAGE: SERVED})
    found = told(tmp_path, capsys, cluster, "-m", GPU)
    assert found[-1].startswith(f"  = {GPU}: ")
    assert "cpu Resource" not in found
