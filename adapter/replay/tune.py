"""The tuning: the HPA with the least GPU-hours that keeps late requests below an objective.

For each metric and each window of stabilisation the highest target that is punctual enough is found
by halving: a lower one asks for more pods. Served readings alone are tried, so that the manifest
works as it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from adapter.model.hpa_policy import SCALE_DOWN, SCALE_UP, Behavior, Policy, Rules, TotalMetric
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Hpa
from adapter.replay.score import Score
from adapter.replay.workload import Workload

# Targets as shares of a pod's capacity, and how long a scale-down waits.
LEAST_PERCENT, MOST_PERCENT, STEP_PERCENT = 20, 100, 5
WINDOWS_SECONDS = (300, 900)
METRICS = ("llm_inference_arrival_rate", "llm_inference_inflight_requests")

_SLO = re.compile(r"late<=(0?\.\d+|[01])")


class Choice(msgspec.Struct, frozen=True):
    """One HPA that was tried."""

    metric: str
    target_percent: int
    window_seconds: int

    @property
    def name(self) -> str:
        return f"{self.metric} at {self.target_percent} %, {self.window_seconds} s"


class Tuned(msgspec.Struct, frozen=True):
    """The best choice that met the objective, None where none did; and how many were tried."""

    choice: Choice | None
    score: Score | None
    tried: int


Try = Callable[[Choice], Score]


def objective(text: str) -> float:
    """Return the most late_ratio of `late<=0.01`; raise ValueError in words."""
    match = _SLO.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError(f"`{text}` is no objective: write late<=0.01")
    return float(match[1])


def tune(late_ratio: float, attempt: Try) -> Tuned:
    """Return the cheapest choice with at most this share late; `attempt` plays one."""
    best: tuple[Choice, Score] | None = None
    tried = 0
    for metric in METRICS:
        for window in WINDOWS_SECONDS:
            for choice, score in _halved(metric, window, late_ratio, attempt):
                tried += 1
                good = score.late_ratio <= late_ratio
                if good and (best is None or score.gpu_hours < best[1].gpu_hours):
                    best = choice, score
    return Tuned(best[0] if best else None, best[1] if best else None, tried)


def _halved(
    metric: str, window: int, late_ratio: float, attempt: Try
) -> Iterator[tuple[Choice, Score]]:
    """Yield what was tried on the way to the highest target that is punctual enough."""
    low, high = LEAST_PERCENT // STEP_PERCENT, MOST_PERCENT // STEP_PERCENT
    while low <= high:
        middle = (low + high + 1) // 2
        choice = Choice(metric, middle * STEP_PERCENT, window)
        score = attempt(choice)
        yield choice, score
        if score.late_ratio <= late_ratio:
            low = middle + 1
        else:
            high = middle - 1


def autoscaler(choice: Choice, workload: Workload, chain: Chain) -> Hpa:
    """Return the HPA of a choice."""
    return Hpa(policy(choice, workload), chain)


def policy(choice: Choice, workload: Workload) -> Policy:
    down = Rules(SCALE_DOWN.changes, window_seconds=choice.window_seconds)
    return Policy(
        "llm-inference-hpa",
        "Deployment/llm-inference-deployment",
        workload.min_replicas,
        workload.max_replicas,
        (TotalMetric(choice.metric, target_milli(choice, workload)),),
        Behavior(SCALE_UP, down),
    )


def target_milli(choice: Choice, workload: Workload) -> int:
    """Return the AverageValue in thousandths: what each pod may have."""
    rate = choice.metric == METRICS[0]
    capacity = workload.pod_rate if rate else workload.concurrency
    return max(1, round(capacity * choice.target_percent * 10))


def manifest(choice: Choice, workload: Workload) -> str:
    """Return the HPA as a manifest to apply; the Deployment's name is the example's."""
    return f"""\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: llm-inference-hpa
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: llm-inference-deployment
  minReplicas: {workload.min_replicas}
  maxReplicas: {workload.max_replicas}
  metrics:
    - type: Object
      object:
        describedObject:
          apiVersion: apps/v1
          kind: Deployment
          name: llm-inference-deployment
        metric:
          name: {choice.metric}
        target:
          type: AverageValue
          averageValue: {target_milli(choice, workload)}m
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {choice.window_seconds}
"""
