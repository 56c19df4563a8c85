"""Small traces and workloads for the tests of the replay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapter.replay.trace import Trace
from adapter.replay.workload import ColdStart, Workload


def trace(
    rates: Sequence[float], *, step_seconds: float = 5.0, unknown: Sequence[int] = ()
) -> Trace:
    """A trace with these requests per second, step by step."""
    known = np.ones(len(rates), bool)
    known[list(unknown)] = False
    return Trace("trace.csv", step_seconds, np.asarray(rates, float) * step_seconds, known)


def requests(times: Sequence[float]) -> Trace:
    """A trace of single requests, all alike."""
    at = np.asarray(times, float)
    counts = np.bincount(at.astype(int)).astype(float)
    return Trace("trace.csv", 1.0, counts, np.ones(len(counts), bool), at, np.ones(len(at)))


def workload(cold_seconds: float = 60.0, **fields: float) -> Workload:
    """Pods that serve two requests a second, one second each."""
    return Workload(
        **{
            "pod_rate": 2.0,
            "concurrency": 2.0,
            "cold_start": ColdStart(cold_seconds, cold_seconds),
            **fields,
        }
    )
