"""The score: what a policy's outcome comes to, as one line of figures."""

from __future__ import annotations

import msgspec
import numpy as np

from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import Outcome, queue_of
from adapter.replay.requests import Requests
from adapter.replay.trace import Trace
from adapter.replay.workload import Workload


class Score(msgspec.Struct, frozen=True):
    """One policy's figures over the known steps that are scored.

    `late_ratio`: share of requests that waited too long. `oracle_gpu_hours`: the least with which
    anybody could have been as punctual. `scale_events` is None for the bound itself, which is no
    policy.
    """

    policy: str
    late_ratio: float
    ttft_p99_seconds: float
    gpu_hours: float
    oracle_gpu_hours: float
    scale_events: int | None
    replicas_max: int


def score(
    name: str,
    outcome: Outcome,
    trace: Trace,
    workload: Workload,
    bound: Clairvoyant,
    *,
    first_step: int = 0,
) -> Score:
    """Return the figures of the known steps from `first_step` on."""
    counted = trace.known & (np.arange(len(trace.known)) >= first_step)
    waits = outcome.waits.within(trace.known, trace.step_seconds, first_step)
    late = waits.late_ratio(workload.late_seconds)
    gpu_hours = workload.gpus_per_pod / 3600.0
    return Score(
        policy=name,
        late_ratio=late,
        ttft_p99_seconds=waits.quantile_seconds(0.99) + workload.first_token_seconds,
        gpu_hours=float(outcome.paid[counted].sum()) * gpu_hours,
        oracle_gpu_hours=bound.gpu_seconds(late) * gpu_hours,
        scale_events=int(outcome.scaled[counted].sum()),
        replicas_max=int(outcome.replicas[counted].max(initial=0)),
    )


def bound_of(trace: Trace, workload: Workload, *, first_step: int = 0) -> Clairvoyant:
    """Return the bound of all policies on a trace from `first_step` on."""
    single = isinstance(queue_of(trace, workload), Requests)
    grace_seconds = workload.service_seconds if single else 0.0
    return Clairvoyant(trace, workload, first_step=first_step, grace_seconds=grace_seconds)


def score_of_bound(workload: Workload, bound: Clairvoyant) -> Score:
    """Return the clairvoyant's own line: nobody is late."""
    hours = bound.gpu_seconds() * workload.gpus_per_pod / 3600.0
    return Score("clairvoyant", 0.0, workload.first_token_seconds, hours, hours, None, bound.most)
