"""The spine on the real parts: sidecars' readings make the real HPA scale the seed's workload."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

import pytest

from tests.e2e import breakages
from tests.e2e.scene import DEPLOYMENT, GPU, HPA, PENDING, Scene


@pytest.mark.timeout(300)  # an HPA goes up and down, and then the doctor looks twenty times
async def test_the_example_goes_up_under_load_and_comes_back_to_one(scene: Scene) -> None:
    await scene.adapters.install()
    await scene.deploy()
    first = scene.kubelet.ready(scene.namespace)[0]["metadata"]["name"]
    await scene.until_served(PENDING, {first})
    assert await scene.replicas() == 1

    await scene.until_hpa_reads(GPU)
    looking = asyncio.create_task(looks(scene))
    scene.traffic.rate = 24.0  # three pods' worth
    most = await scene.until_replicas(lambda count: count >= 3)
    await scene.watch_replicas(10)
    scene.traffic.rate = 0.0
    assert await scene.until_replicas(lambda count: count == 1, 120) == 1
    assert most >= 3
    looking.cancel()
    shown = await looking
    assert len(shown) > 10
    assert [line for line in shown if "<unknown>" in line] == []
    assert scene.traffic.served > 100
    assert scene.traffic.failed == 0

    await told_why(scene)
    await told_how_long_a_start_takes(scene, most)
    await on_one_screen(scene)
    await found_well(scene)
    hpa = await scene.hpa()
    conditions = {c["type"]: c["reason"] for c in hpa["status"]["conditions"]}
    assert conditions["ScalingActive"] == "ValidMetricFound", json.dumps(hpa["status"])


async def told_why(scene: Scene) -> None:
    """`forescale why` shows the pod's figures and the controller's arithmetic for them."""
    text = await scene.forescale("why", f"hpa/{HPA}", "-n", scene.namespace)
    assert f"-> Deployment {DEPLOYMENT}: 1 replicas, wants 1" in text, text
    assert "ScalingActive True (ValidMetricFound)" in text, text
    assert re.search(r"\n  \d+ s ago +\d+ -> \d+ replicas, with \w.* in total.*\n", text), text
    # The controller's recorder folds many into one: `(x2): (combined from similar events): New …`.
    assert re.search(r" ago +SuccessfulRescale.*: New size: 1; reason: All metrics ", text), text
    for metric in (PENDING, GPU):
        assert f"\n{metric} (" in text, text
        (arithmetic,) = [line for line in text.splitlines() if line.startswith(f"  = {metric}: ")]
        assert " per pod / " in arithmetic, text
    rows = [line.split()[:2] for line in text.splitlines()]
    (pod,) = {row[0] for row in rows if row[1:] == ["serving"]}
    assert pod in {one["metadata"]["name"] for one in scene.kubelet.ready(scene.namespace)}
    assert rows.count([pod, "serving"]) == 2, text
    found = json.loads(await scene.forescale("why", f"pod/{pod}", "-n", scene.namespace, "-ojson"))
    assert PENDING in {chapter["story"]["metric"] for chapter in found["chapters"]}


async def told_how_long_a_start_takes(scene: Scene, pods: int) -> None:
    """`forescale coldstart` knows the starts of all pods, those that went again too."""
    arguments = ("coldstart", f"deployment/{DEPLOYMENT}", "-n", scene.namespace)
    text = await scene.forescale(*arguments)
    assert text.startswith(f"Deployment {scene.namespace}/{DEPLOYMENT}\n  horizon "), text
    assert "\ncold start: P50 " in text, text
    (story,) = json.loads(await scene.forescale(*arguments, "-ojson"))["workloads"]
    # A status has whole seconds, so a start may seem a second shorter than it is.
    least = scene.llm.cold_start_seconds - 1.0
    assert len(story["warm"]["seconds"]) >= pods, story
    assert least <= story["warm"]["seconds"][0] <= story["warm"]["p50Seconds"] < least + 15, story
    assert least <= story["warm"]["loadSeconds"] <= story["warm"]["p50Seconds"] + 1.0, story
    assert (story["newNode"], story["starting"], story["stuck"]) == (None, [], [])


async def on_one_screen(scene: Scene) -> None:
    """`forescale top` shows the workload, and the one pod that is left of it."""
    text = await scene.forescale("top", DEPLOYMENT, "-n", scene.namespace)
    (workload,) = [line.split() for line in text.splitlines() if f" {DEPLOYMENT} " in line]
    assert workload[:5] == [scene.namespace, "Deployment", DEPLOYMENT, "1", "1"], text
    (pod,) = [line for line in text.splitlines() if line.startswith(f"{DEPLOYMENT}-")]
    assert pod.split()[1] == "serving", text
    assert pod.count(" %") == 3, text  # KV cache, GPU and its memory


async def found_well(scene: Scene) -> None:
    """`forescale doctor` finds nothing that keeps the example from scaling, and what then does."""
    found = await scene.doctor()
    assert {check for level, check in found if level in ("FAIL", "UNKNOWN")} == set()
    well = {check for level, check in found if level == "PASS"}
    assert well >= {
        "apiservices", "certificates", "aggregation", "hpa-rights", "clock", "sources", "readings",
        "hpa-status", "hpa-metrics",
    }  # fmt: skip
    assert ("WARN", "adapter") in found  # the scene has one replica
    await breakages.found_in_turn(scene)


async def looks(scene: Scene) -> list[str]:
    """Look at `kubectl get hpa` every second until cancelled; return what was shown."""
    shown = []
    with suppress(asyncio.CancelledError):
        while True:
            shown.append(await scene.controlplane.kubectl("get", "hpa", HPA, "-n", scene.namespace))
            await asyncio.sleep(1.0)
    return shown


async def test_get_raw_answers_the_seeds_question_in_both_versions(scene: Scene) -> None:
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=2)
    names = {pod["metadata"]["name"] for pod in scene.kubelet.ready(scene.namespace)}
    await scene.until_served(GPU, names)
    path = f"/apis/custom.metrics.k8s.io/{{}}/namespaces/{scene.namespace}/pods/*/{GPU}"
    for version in ("v1beta1", "v1beta2"):
        answer = await scene.raw(path.format(version))
        assert answer["kind"] == "MetricValueList"
        assert {item["describedObject"]["name"] for item in answer["items"]} == names
    chosen = await scene.raw(path.format("v1beta1") + "?labelSelector=app%3Dllm-inference")
    assert len(chosen["items"]) == 2
    other = await scene.raw(path.format("v1beta1") + "?labelSelector=app%3Danother")
    assert other["items"] == []
    assert await scene.total(GPU, DEPLOYMENT) == 0.0
