"""A real Triton's own queue makes the real HPA scale."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.llmpods import MODEL_PORT, Engine
from tests.e2e.scene import PENDING, Scene
from tests.triton.install import installed
from tests.triton.load import PROMPT
from tests.triton.process import EXIT_TIMEOUT_SECONDS, MODEL, SERVER

METRICS_PORT = 8002
SERVICE_SECONDS = 0.5  # one instance, no batching: two requests a second and pod


def triton(python: Path) -> Engine:
    return Engine(
        command=(
            str(python),
            str(SERVER),
            "--host={ip}",
            f"--http-port={MODEL_PORT}",
            f"--metrics-port={METRICS_PORT}",
            f"--service-time={SERVICE_SECONDS}",
            f"--exit-timeout={EXIT_TIMEOUT_SECONDS}",
        ),
        health=f"/v2/models/{MODEL}/ready",
        metrics_port=METRICS_PORT,
        completions=f"/v2/models/{MODEL}/infer",
        body=PROMPT,
    )


async def test_a_real_tritons_queue_scales_the_example_up_and_down(scene: Scene) -> None:
    scene.llm.engine = triton(installed() / "bin" / "python")
    scene.llm.busy_percent = 40  # Triton tells no running count for the fake GPU to follow
    await scene.adapters.install()
    await scene.deploy()
    (first,) = scene.llm.pods
    idle = await scene.until_served(PENDING, {first})
    assert idle == {first: 0.0}
    scene.traffic.rate = 6.0
    await scene.until_replicas(lambda count: count >= 2, 60)
    waiting = await scene.values(PENDING)
    assert max(waiting.values()) > 5.0
    await scene.kubelet.until(lambda: len(scene.kubelet.ready(scene.namespace)) >= 2)
    await scene.watch_replicas(5)
    scene.traffic.rate = 0.0
    assert await scene.until_replicas(lambda count: count == 1, 120) == 1
    assert scene.traffic.served > 20
    assert scene.traffic.failed == 0
