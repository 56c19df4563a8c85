"""The watcher: what the adapter answers at the moment, gathered for one picture."""

from __future__ import annotations

import time
from collections.abc import Mapping

from adapter.demo import trace as demo_trace
from adapter.demo.deployment import Deployment
from adapter.demo.hpa import FLAGS, Autoscaler
from adapter.demo.load import Balancer
from adapter.demo.pod import Pod
from adapter.demo.query import Adapter, Value
from adapter.demo.view import Row, Scene

GPU = "nvidia_gpu_utilization"
PENDING = "llm_inference_pending_requests"
RUNNING = "llm_inference_running_requests"
RAW = "stat=raw"

Values = Mapping[str, Value]


class Watcher:
    """Asks for the raw readings once per picture; the autoscaler has its own, smoothed ones."""

    def __init__(
        self, deployment: Deployment, balancer: Balancer, autoscaler: Autoscaler, adapter: Adapter
    ) -> None:
        self._deployment = deployment
        self._balancer = balancer
        self._autoscaler = autoscaler
        self._adapter = adapter
        self._values: dict[str, Values] = {}
        self._history: list[int] = []
        self.age_p99_seconds: float | None = None

    async def look(self) -> None:
        """Ask the adapter; a metric without an answer has no values in this picture."""
        for metric in (GPU, PENDING, RUNNING):
            found = await self._adapter.values(metric, RAW)
            self._values[metric] = {} if isinstance(found, str) else found
        age = await self._adapter.sample_age_p99_seconds()
        self.age_p99_seconds = self.age_p99_seconds if age is None else age
        self._history.append(self._autoscaler.replicas)

    def scene(
        self, *, now: float, elapsed_seconds: float, total_seconds: float, speed: float
    ) -> Scene:
        """Return the picture of what was last seen; `now` is on the event loop's clock."""
        last, policy = self._autoscaler.last, self._autoscaler.policy
        return Scene(
            elapsed_seconds=elapsed_seconds,
            total_seconds=total_seconds,
            trace=demo_trace.NAME,
            speed=speed,
            rate=self._balancer.rate(now),
            served=self._balancer.served,
            failed=self._balancer.failed,
            rows=[self._row(replica.pod) for replica in self._deployment.replicas()],
            autoscaler=_autoscaler_words(policy.name),
            arithmetic=last.why if last else ("no sync yet",),
            replicas=self._autoscaler.replicas,
            max_replicas=policy.max_replicas,
            history=tuple(self._history),
            age_p99_seconds=self.age_p99_seconds,
            curl=self._adapter.curl(GPU),
            page=self._adapter.page,
            commands=self._adapter.commands(self._deployment.name),
        )

    def _row(self, pod: Pod) -> Row:
        pending = self._value(PENDING, pod)
        return Row(
            name=pod.name,
            state=state(pod, time.time(), heard=pending is not None),
            serving=pod.serving,
            gpu_percent=_figure(self._value(GPU, pod)),
            pending=_figure(pending),
            running=_figure(self._value(RUNNING, pod)),
            age_seconds=pending.age_seconds if pending else None,
        )

    def _value(self, metric: str, pod: Pod) -> Value | None:
        return self._values.get(metric, {}).get(pod.name)


def state(pod: Pod, now: float, *, heard: bool) -> str:
    """Return the pod's state in words; `heard` says whether the adapter has a value of it."""
    if pod.ending_at is not None:
        return f"ending for {now - pod.ending_at:.0f} s"
    if pod.ready_at is not None:
        return "ready" if heard else "ready, no reading yet"
    if pod.started_at is not None:
        return f"loading for {now - pod.started_at:.0f} s"
    return "pending"


def _figure(value: Value | None) -> float | None:
    return None if value is None else value.milli / 1000


def _autoscaler_words(name: str) -> str:
    sync, window = FLAGS.sync_seconds, FLAGS.downscale_window_seconds
    return f"{name}: asks every {sync:g} s (a cluster: 15), holds {window:g} s (a cluster: 300)"
