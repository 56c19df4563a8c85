"""The forecast's worth: late requests and GPU-hours of the same HPA with and without it.

One cold start of ten minutes, pods for a tenth of the mean load, target 90 %: the arrival rate
itself against its forecast, and against more headroom. What nobody can foresee is defined in
foresight.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapter.replay.answers import Chain
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import play
from adapter.replay.policies import ABLATIONS, POLICIES
from adapter.replay.score import Score, score
from adapter.replay.trace import Trace
from adapter.replay.tracefile import load
from adapter.replay.workload import ColdStart, Workload
from bench.foresight import unforeseeable_minutes
from bench.table import markdown

FOLDER = Path(__file__).resolve().parent / "traces"
HOUR = 3_600.0
DAY = 24 * HOUR
COLD_SECONDS = 600.0
PODS_IN_THE_MEAN = 10.0
# Policy and target. Lower targets without a forecast are the plain alternative: more headroom.
SHOWN = (
    ("reactive", 0.9),
    ("forescale", 0.9),
    ("reactive", 0.8),
    ("reactive", 0.7),
    ("forescale-no-drain", 0.9),
    ("forescale-mean", 0.9),
    ("inflight", 0.9),
    ("seed", 0.9),
)


class Case(msgspec.Struct, frozen=True):
    """A trace, and what of it is played without being scored: two days where there are more."""

    name: str
    file: str
    warm_up_seconds: float


CASES = (
    Case("azure24 code, 7 d", "azure24_code_10s.csv.gz", 2 * DAY),
    Case("ServeGen m-mid, 14 d", "servegen_m-mid_10s_sampled.csv.gz", 2 * DAY),
    Case("ServeGen mm-image, 1 d", "servegen_mm-image_10s_sampled.csv.gz", 6 * HOUR),
    Case("azure23 code, 57 min", "azure23_code_requests.csv.gz", 0.5 * HOUR),
)


def scores(
    case: Case, trace: Trace, shown: Sequence[tuple[str, float]], cold: float
) -> list[Score]:
    """Return each policy's score with this cold start."""
    workload = Workload(trace.mean_rate / PODS_IN_THE_MEAN, cold_start=ColdStart(cold, cold))
    first = round(case.warm_up_seconds / trace.step_seconds)
    bound = Clairvoyant(trace, workload, first_step=first)
    found = []
    for name, target in shown:
        sys.stderr.write(f"{case.name}, {cold:.0f} s: {name} at {target:.0%}\n")
        make, _ = {**POLICIES, **ABLATIONS}[name]
        outcome = play(trace, workload, make(workload, target, Chain()))
        words = f"{name} {target:.0%}" if name != "seed" else name
        found.append(score(words, outcome, trace, workload, bound, first_step=first))
    return found


def row(case: str, found: Score, base: Score) -> list[str]:
    late = f"{found.late_ratio / base.late_ratio:.2f}" if base.late_ratio else "-"
    return [
        case,
        found.policy,
        f"{found.late_ratio:.2%}",
        late,
        f"{found.gpu_hours:,.0f}",
        f"{found.gpu_hours / base.gpu_hours:.2f}",
        f"{found.gpu_hours / found.oracle_gpu_hours:.2f}" if found.oracle_gpu_hours else "-",
        str(found.scale_events),
    ]


def main() -> int:
    rows, words = [], []
    for case in CASES:
        trace = load(FOLDER / case.file).on_grid()
        unseen = unforeseeable_minutes(trace, COLD_SECONDS, case.warm_up_seconds)
        words.append(f"{case.name}: {unseen} minutes that nobody could foresee.")
        found = scores(case, trace, SHOWN, COLD_SECONDS)
        rows += [row(case.name, one, found[0]) for one in found]
    head = [
        "trace",
        "policy",
        "late",
        "x reactive",
        "GPU-hours",
        "x reactive",
        "x oracle",
        "events",
    ]
    title = f"The same HPA with and without a forecast, cold start {COLD_SECONDS:.0f} s"
    sys.stdout.write(markdown(title, head, rows, " ".join(words)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
