"""Stress: made-up loads that are hard on a forecast, each beside the HPA on the arrival rate.

All are one seeded day that goes up and down (ten pods in the mean, 4 to 16, restless by a tenth),
played twice and more; what is hard comes on the last day and is scored from that day's begin to the
end of the trace. Steps that nobody can foresee are among them on purpose: foresight.py counts them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import msgspec
import numpy as np

from adapter.replay.answers import Chain
from adapter.replay.play import Outcome, play
from adapter.replay.policies import POLICIES
from adapter.replay.trace import GRID_SECONDS, Figures, Trace
from adapter.replay.workload import ColdStart, Workload
from bench.foresight import unforeseeable_minutes, unheard_of_minutes
from bench.storm import play_storm
from bench.table import markdown

HOUR, DAY = 3_600.0, 86_400.0
COLD_SECONDS, TARGET = 600.0, 0.9
POD_RATE, PODS, MOST_PODS = 4.0, 10.0, 200
AT = DAY + 9 * HOUR  # of the event: on the way up
LATE_SECONDS = 2.0
CALM_SECONDS = 600.0  # how long the load's restlessness remembers
RESTLESS = 0.1
RETRIES = 2.5
SHOWN = ("reactive", "forescale")
Shape = Callable[[Figures], Figures]
USUAL = ColdStart(COLD_SECONDS, COLD_SECONDS)


class Stress(msgspec.Struct, frozen=True):
    """One hard case. `factor` of a time is what the usual load is multiplied by then.

    `gap` is when nobody reads anything, although the load goes on; it is scored like the rest.
    `starts` are the real ones, of which the forecast goes on thinking as usual. Who waits too long
    asks `retries` times, from `retries_from` on.
    """

    name: str
    factor: Shape = np.ones_like
    days: int = 2
    calm_days: int = 1
    gap: tuple[float, float] = (0.0, 0.0)
    starts: ColdStart = USUAL
    retries: float = 1.0
    retries_from: float = 0.0


def between(begin: float, end: float, ratio: float) -> Shape:
    """Return the shape that is `ratio` from begin to end, else 1."""
    return lambda at: np.where((at >= begin) & (at < end), ratio, 1.0)


CASES = (
    Stress("an ordinary day"),
    Stress("step to 5 times for 3 h", between(AT, AT + 3 * HOUR, 5.0)),
    Stress("flash crowd, 8 times for 60 s", between(AT, AT + 60.0, 8.0)),
    Stress("slow doubling, over 8 h", lambda at: 1 + np.clip((at - AT) / (8 * HOUR), 0, 1)),
    Stress(
        "weekend at 30 %, and Monday",
        lambda at: np.where((at // DAY) % 7 >= 5, 0.3, 1.0),
        days=8,
        calm_days=5,
    ),
    Stress("no readings for 30 min on the way up", gap=(AT, AT + 0.5 * HOUR)),
    Stress("starts of 20 min, of which nobody knows", starts=ColdStart(1_200.0, 1_200.0)),
    Stress("a start of twenty takes an hour", starts=ColdStart(samples=(600.0,) * 19 + (3_600.0,))),
    Stress("crowd, 1.6 times for 5 min", between(AT, AT + 300.0, 1.6)),
    Stress(
        "the same, and who waits asks 2.5 times",
        between(AT, AT + 300.0, 1.6),
        retries=RETRIES,
        retries_from=DAY,
    ),
    Stress("who waits asks 2.5 times, from the first day on", retries=RETRIES),
)


class Found(msgspec.Struct, frozen=True):
    """What came of one policy in the scored part."""

    late_ratio: float
    gpu_hours: float
    most_pods: int


def trace_of(case: Stress) -> Trace:
    """Return the case's load: the usual day, its restlessness, the case's factor, and chance."""
    dice = np.random.default_rng(1)
    steps = round(case.days * DAY / GRID_SECONDS)
    at: Figures = np.arange(steps, dtype=np.float64) * GRID_SECONDS
    day = 1.0 - 0.6 * np.cos(2.0 * math.pi * (at / DAY - 0.1))
    rate = POD_RATE * PODS * day * np.exp(_restlessness(dice, len(at))) * case.factor(at)
    arrivals = dice.poisson(rate * GRID_SECONDS).astype(np.float64)
    known = ~((at >= case.gap[0]) & (at < case.gap[1]))
    return Trace(case.name, GRID_SECONDS, arrivals, known)


def _restlessness(dice: np.random.Generator, steps: int) -> Figures:
    """Return [steps] of noise of size RESTLESS that forgets itself within CALM_SECONDS."""
    keep = math.exp(-GRID_SECONDS / CALM_SECONDS)
    level, levels = 0.0, np.empty(steps)
    for step, shock in enumerate(dice.standard_normal(steps) * RESTLESS * math.sqrt(1 - keep**2)):
        level = keep * level + shock
        levels[step] = level
    return levels


def found(case: Stress, trace: Trace, policy: str) -> Found:
    """Return what one policy makes of the case."""
    believed = Workload(
        POD_RATE, cold_start=USUAL, max_replicas=MOST_PODS, late_seconds=LATE_SECONDS
    )
    real = msgspec.structs.replace(believed, cold_start=case.starts)
    autoscaler = POLICIES[policy][0](believed, TARGET, Chain())
    if case.retries > 1.0:
        first = round(case.retries_from / trace.step_seconds)
        storm = play_storm(trace, real, autoscaler, case.retries, first_step=first)
        return _scored(case, trace, storm)
    return _scored(case, trace, play(trace, real, autoscaler))


def _scored(case: Stress, trace: Trace, outcome: Outcome) -> Found:
    first = round(case.calm_days * DAY / trace.step_seconds)
    waits = outcome.waits.within(np.ones_like(trace.known), trace.step_seconds, first)
    return Found(
        waits.late_ratio(LATE_SECONDS),
        float(outcome.paid[first:].sum()) / HOUR,
        int(outcome.replicas[first:].max()),
    )


def row(case: Stress) -> list[str]:
    sys.stderr.write(f"{case.name}\n")
    trace = trace_of(case)
    plain, ahead = (found(case, trace, policy) for policy in SHOWN)
    first = case.calm_days * DAY
    unseen = [
        count(trace, COLD_SECONDS, first) for count in (unforeseeable_minutes, unheard_of_minutes)
    ]
    return [
        case.name,
        f"{plain.late_ratio:.2%} to {ahead.late_ratio:.2%}",
        f"{plain.gpu_hours:,.0f} to {ahead.gpu_hours:,.0f}",
        f"x {ahead.gpu_hours / plain.gpu_hours:.2f}",
        f"{plain.most_pods} to {ahead.most_pods}",
        f"{unseen[0]}, {unseen[1]}",
    ]


def main() -> int:
    head = ["case", "late", "GPU-hours", "ratio", "most pods", "minutes unforeseeable, unheard of"]
    note = f"Without the forecast and with it, at {TARGET:.0%}, cold start {COLD_SECONDS:.0f} s."
    sys.stdout.write(markdown("Stress", head, [row(case) for case in CASES], note))
    return 0


if __name__ == "__main__":
    sys.exit(main())
