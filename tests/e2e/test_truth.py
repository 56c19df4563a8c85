"""Truth before freshness, on the real HPA: silence, loading and overload never scale down."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from adapter.model import lasting
from tests.controlplane.api import ApiError
from tests.controlplane.workloads import condition
from tests.e2e.adapters import NAMESPACE
from tests.e2e.scene import GPU, PENDING, Scene, refusal

HOLD_SECONDS = 8.0
HOLD = ["--model-hold-seconds", f"{HOLD_SECONDS}s"]  # 60 s in earnest
MEMORY = "nvidia_gpu_memory_used_bytes"
PODS = 4
WITHIN_TOLERANCE = 75  # percent, where the HPA wants 80: it neither adds nor removes a pod


async def steady(scene: Scene) -> None:
    """Bring the workload to a number of replicas at which its HPA stays while GPUs are busy."""
    scene.llm.busy_percent = WITHIN_TOLERANCE
    await scene.deploy(hpa=False, replicas=PODS)
    full = await scene.until_served(GPU, names(scene))
    while min(full.values()) < WITHIN_TOLERANCE - 1:
        await asyncio.sleep(0.5)
        full = await scene.values(GPU)
    await scene.autoscale()
    await scene.until_hpa_reads(GPU)
    assert set(await scene.watch_replicas(6)) == {PODS}


def names(scene: Scene) -> set[str]:
    return {pod["metadata"]["name"] for pod in scene.kubelet.ready(scene.namespace)}


async def test_a_killed_sidecars_pod_leaves_after_the_hold_and_nothing_scales_down(
    scene: Scene,
) -> None:
    scene.adapters.arguments = HOLD
    await scene.adapters.install()
    await steady(scene)
    killed = min(scene.llm.pods)
    scene.llm.pods[killed].sidecar.kill()
    await asyncio.sleep(HOLD_SECONDS / 2)
    assert killed in await scene.values(GPU)
    await scene.until_served(GPU, set(scene.llm.pods) - {killed})
    assert set(await scene.watch_replicas(20)) == {PODS}


async def test_all_sidecars_dead_is_an_error_in_words_and_replicas_are_frozen(
    scene: Scene,
) -> None:
    scene.adapters.arguments = HOLD
    await scene.adapters.install()
    await steady(scene)
    for pod in scene.llm.pods.values():
        pod.sidecar.kill()
    scene.llm.busy_percent = 0  # a fresh reading would say: one pod is enough
    await asyncio.sleep(HOLD_SECONDS + 2)
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{scene.namespace}/pods/*/{GPU}"
    error = await refusal(scene.api.get(path))
    assert error.code == 503
    assert f"0 of {PODS} pods" in str(error)
    assert "no reading for" in str(error)
    assert set(await scene.watch_replicas(20)) == {PODS}
    active = condition(await scene.hpa(), "ScalingActive")
    assert active["status"] == "False"
    assert "no reading for" in active["message"]


async def test_a_loading_pod_is_absent_until_its_model_is_ready(scene: Scene) -> None:
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    (first,) = names(scene)
    await scene.until_served(GPU, {first})
    scene.llm.cold_start_seconds = 12.0
    await scene.scale(2)
    await scene.kubelet.wait_running(scene.namespace, 2)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        assert set(await scene.values(GPU)) == {first}
        assert set(await scene.values(PENDING)) == {first}
    await scene.kubelet.wait_ready(scene.namespace, 2)
    await scene.until_served(GPU, names(scene))


async def test_a_restarted_model_container_is_loading_again(scene: Scene) -> None:
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=2)
    await scene.until_served(PENDING, names(scene))
    restarted, other = sorted(names(scene))
    scene.llm.cold_start_seconds = 6.0
    await asyncio.sleep(2)  # Kubernetes writes start times in whole seconds
    await scene.kubelet.restart_container(scene.namespace, restarted)
    await scene.until_served(PENDING, {other}, 10)
    await scene.until_served(PENDING, {restarted, other}, 30)


async def test_half_then_all_pods_turn_not_ready_under_load_and_replicas_rise(
    scene: Scene,
) -> None:
    await scene.adapters.install()
    await steady(scene)
    overloaded = sorted(scene.llm.pods)
    for name in overloaded[: PODS // 2]:
        await scene.kubelet.set_ready(scene.namespace, name, is_ready=False)
    for _ in range(10):
        assert set(await scene.values(GPU)) == set(overloaded)
        await asyncio.sleep(0.5)
    for name in overloaded[PODS // 2 :]:
        await scene.kubelet.set_ready(scene.namespace, name, is_ready=False)
    scene.llm.busy_percent = 100
    for _ in range(10):
        assert set(overloaded) <= set(await scene.values(GPU))
        await asyncio.sleep(0.5)
    assert await scene.until_replicas(lambda count: count > PODS, 60) > PODS


async def test_a_total_with_silent_pods_does_not_fall(scene: Scene) -> None:
    scene.adapters.arguments = HOLD
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=4)
    await scene.until_served(MEMORY, names(scene))
    full = float(4 * 70 * 2**30)
    async with asyncio.timeout(20):
        while await scene.total(MEMORY) != pytest.approx(full, rel=0.001):
            await asyncio.sleep(0.5)
    for name in sorted(scene.llm.pods)[:2]:
        scene.llm.pods[name].sidecar.kill()
    deadline = time.monotonic() + HOLD_SECONDS + 6
    while time.monotonic() < deadline:
        assert await scene.total(MEMORY) == pytest.approx(full, rel=0.001)
        await asyncio.sleep(0.5)
    scene.llm.pods[max(scene.llm.pods)].sidecar.kill()
    await asyncio.sleep(HOLD_SECONDS + 2)
    assert (await refusal(scene.total(MEMORY))).code == 503


async def test_a_silent_pods_load_stays_in_the_total_when_both_replicas_start_anew(
    scene: Scene,
) -> None:
    """Those that speak have nothing to do: to let them stand for all would be a total of 0."""
    scene.adapters.arguments = [*HOLD, "--cold-start-period-seconds", "5s"]
    scene.llm.busy_percent = 90
    await scene.adapters.install(2)
    await scene.deploy(hpa=False, replicas=3)
    await _until_written(scene, GPU, 270.0)
    scene.llm.pods[min(scene.llm.pods)].sidecar.kill()
    scene.llm.busy_percent = 0
    await _until_written(scene, GPU, 90.0)  # the others' fall was seen while its word was fresh
    await scene.adapters.crash()
    await scene.adapters.available()
    answers: list[float] = []
    async with asyncio.timeout(30):
        while len(answers) < 12:
            with contextlib.suppress(ApiError):  # until it listens again: an HPA waits meanwhile
                answers.append(await scene.total(GPU, stat="raw"))
            await asyncio.sleep(0.5)
    assert answers == [pytest.approx(90)] * len(answers)


async def _until_written(scene: Scene, metric: str, value: float) -> None:
    async with asyncio.timeout(40):
        while not await _is_written(scene, metric, value):
            await asyncio.sleep(0.5)


async def _is_written(scene: Scene, metric: str, value: float) -> bool:
    """Return whether that is kept over a restart as the last complete total; asks for it, too."""
    with contextlib.suppress(ApiError):
        await scene.total(metric, stat="raw")
    maps = (await scene.api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps"))["items"]
    texts = (one.get("data", {}).get("totals", lasting.EMPTY) for one in maps)
    kept = [found for text in texts for found in lasting.decode(text, time.time()).items()]
    return any(key.metric == metric and one.value == pytest.approx(value) for key, one in kept)


async def test_deleted_pods_leave_the_list_and_the_total_at_once(scene: Scene) -> None:
    await scene.adapters.install()
    await scene.deploy(hpa=False, replicas=3)
    await scene.until_served(MEMORY, names(scene))
    await scene.scale(1)
    await scene.kubelet.wait_ready(scene.namespace, 1)
    left = await scene.until_served(MEMORY, names(scene), 5)
    assert await scene.total(MEMORY) == pytest.approx(sum(left.values()))
