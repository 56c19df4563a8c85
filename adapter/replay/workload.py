"""The workload: what one pod serves, how long it takes to start, and what may be known of it."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

# The 90th percentile of the standard normal distribution.
_Z90 = 1.2815515655446004
_Z_LEAST = 2.5  # draws are cut here on both sides, so that there is a shortest start


class GpuModel(StrEnum):
    """How a pod's load shows as GPU utilisation.

    LOAD: the share of its capacity that is in use. BUSY: the share of time in which at least one
    request runs, 1 - exp(-running), which is what NVML counts: a batching server is at 100 % long
    before it is full.
    """

    LOAD = "load"
    BUSY = "busy"


class ColdStart(msgspec.Struct, frozen=True):
    """Seconds from a pod's creation until it serves: log-normal, or the samples that are given."""

    median_seconds: float = 120.0
    p90_seconds: float = 120.0
    samples: tuple[float, ...] = ()

    def draw(self, dice: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return [count] draws; the same for every policy that starts from the same seed."""
        if self.samples:
            return dice.choice(np.asarray(self.samples), count)
        normal = np.clip(dice.standard_normal(count), -_Z_LEAST, _Z_LEAST)
        return self.median_seconds * np.exp(self._sigma * normal)

    @property
    def least_seconds(self) -> float:
        """No draw is shorter."""
        if self.samples:
            return min(self.samples)
        return self.median_seconds * math.exp(-_Z_LEAST * self._sigma)

    @property
    def usual_seconds(self) -> float:
        """The 90th percentile: what a forecast plans with."""
        if self.samples:
            return float(np.quantile(self.samples, 0.9, method="higher"))
        return self.p90_seconds

    @property
    def _sigma(self) -> float:
        if self.median_seconds <= 0:
            return 0.0
        return max(0.0, math.log(self.p90_seconds / self.median_seconds)) / _Z90


class Workload(msgspec.Struct, frozen=True):
    """One Deployment of model servers, all pods alike.

    A pod serves at most `concurrency` requests at a time and `pod_rate` a second, so each is in
    service for concurrency / pod_rate seconds; its first token comes `first_token_seconds` after
    the wait. A request is late when it waits more than `late_seconds`. For `room` pods there are
    nodes at once, None for any number; each further one waits `node_seconds` for a node, which
    goes with it.
    """

    pod_rate: float
    concurrency: float = 16.0
    cold_start: ColdStart = ColdStart()
    first_token_seconds: float = 0.5
    late_seconds: float = 2.0
    termination_seconds: float = 30.0  # Kubernetes' grace period; the GPU is held through it
    gpu: GpuModel = GpuModel.LOAD
    min_replicas: int = 1
    max_replicas: int = 100
    gpus_per_pod: int = 1
    room: int | None = None
    node_seconds: float = 0.0

    @property
    def service_seconds(self) -> float:
        return self.concurrency / self.pod_rate

    def gpu_percent(self, running: float) -> float:
        """Return the GPU utilisation of a pod with this many requests in service."""
        if self.gpu is GpuModel.BUSY:
            return 100.0 * (1.0 - math.exp(-running))
        return 100.0 * min(1.0, running / self.concurrency)
