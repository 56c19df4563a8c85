"""Where the forecast is worth it: late requests and GPU-hours by cold start, target and pool size.

From one case (cold start of ten minutes, target 90 %, ten pods in the mean) one of the three is
changed at a time; each time the same HPA plays the trace on the arrival rate and on its forecast.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
import numpy as np

from adapter.replay.answers import Chain
from adapter.replay.play import play
from adapter.replay.policies import POLICIES
from adapter.replay.trace import Trace
from adapter.replay.tracefile import load
from adapter.replay.workload import ColdStart, Workload
from bench.replay import CASES, FOLDER
from bench.table import markdown

SHOWN = ("azure24 code, 7 d", "ServeGen mm-image, 1 d")


class Setting(msgspec.Struct, frozen=True):
    """What is varied; `pods` is how many the mean of the trace keeps busy."""

    cold_seconds: float = 600.0
    target: float = 0.9
    pods: float = 10.0


BASE = Setting()
COLD_SECONDS = (60.0, 120.0, 300.0, 600.0, 900.0)
TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PODS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
MOST_PODS_RATIO = 10.0  # of the mean: no trace here has a minute that needs as many


def settings() -> Iterator[tuple[str, Setting]]:
    """Yield each setting with what is said of it."""
    for cold in COLD_SECONDS:
        yield f"cold start {cold:.0f} s", msgspec.structs.replace(BASE, cold_seconds=cold)
    for target in TARGETS:
        yield f"target {target:.0%}", msgspec.structs.replace(BASE, target=target)
    for pods in PODS:
        yield f"{pods:.0f} pods in the mean", msgspec.structs.replace(BASE, pods=pods)


class Outcome(msgspec.Struct, frozen=True):
    """The share of requests that waited too long, and the GPU-hours that were paid."""

    late_ratio: float
    gpu_hours: float


def outcome(policy: str, setting: Setting, trace: Trace, first_step: int) -> Outcome:
    """Return what came of it in the known steps from the first one on."""
    cold = ColdStart(setting.cold_seconds, setting.cold_seconds)
    most = round(MOST_PODS_RATIO * max(setting.pods, BASE.pods))
    rate = trace.mean_rate / setting.pods
    workload = Workload(rate, cold_start=cold, max_replicas=most)
    make, _ = POLICIES[policy]
    found = play(trace, workload, make(workload, setting.target, Chain()))
    counted = trace.known & (np.arange(len(trace.known)) >= first_step)
    waits = found.waits.within(trace.known, trace.step_seconds, first_step)
    hours = float(found.paid[counted].sum()) / 3_600.0
    return Outcome(waits.late_ratio(workload.late_seconds), hours)


def cell(setting: Setting, trace: Trace, first_step: int) -> str:
    """Return what the forecast makes of the late requests, and for how many GPU-hours more."""
    plain = outcome("reactive", setting, trace, first_step)
    ahead = outcome("forescale", setting, trace, first_step)
    ratio = ahead.gpu_hours / plain.gpu_hours
    return f"{plain.late_ratio:.2%} to {ahead.late_ratio:.2%} (x {ratio:.2f})"


def main() -> int:
    cases = [case for case in CASES if case.name in SHOWN]
    traces = [load(FOLDER / case.file).on_grid() for case in cases]
    rows, known = [], dict[Setting, list[str]]()
    for words, setting in settings():
        sys.stderr.write(f"{words}\n")
        if setting not in known:
            known[setting] = [
                cell(setting, trace, round(case.warm_up_seconds / trace.step_seconds))
                for case, trace in zip(cases, traces, strict=True)
            ]
        rows.append([words, *known[setting]])
    note = "Late requests without and with the forecast, and its GPU-hours to those without."
    title = "Where the forecast is worth it: 600 s, 90 % and ten pods but for what is named"
    sys.stdout.write(markdown(title, ["varied", *(case.name for case in cases)], rows, note))
    return 0


if __name__ == "__main__":
    sys.exit(main())
