"""The forecast's worth: late requests and GPU-hours of the same HPA with and without it.

One cold start of ten minutes, pods for a tenth of the mean load, target 90 %: the arrival rate
itself against its forecast, against more headroom, and against the headroom that somebody would
have chosen who knew the trace (hindsight.py). What nobody can foresee is defined in foresight.py.
The plot goes to docs/pictures/hindsight.svg where BENCH_PLOT=1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median

import msgspec

from adapter.model.forecast import ENOUGH_SECONDS, WARM_UP_SECONDS
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler
from adapter.replay.play import play
from adapter.replay.policies import ABLATIONS, POLICIES
from adapter.replay.score import Score, bound_of, score
from adapter.replay.trace import Trace
from adapter.replay.tracefile import load
from adapter.replay.workload import ColdStart, Workload
from bench import hindsightplot
from bench.foresight import unforeseeable_minutes, unheard_of_minutes
from bench.hindsight import TARGETS, Point, saved_percent, tuned_gpu_hours
from bench.hindsightplot import Line, Panel
from bench.perfect import Perfect
from bench.table import markdown

FOLDER = Path(__file__).resolve().parent / "traces"
PLOT = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "hindsight.svg"
COLD_SECONDS = 600.0
PODS_IN_THE_MEAN = 10.0
UNTUNED = 0.9
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
CURVES = ("reactive", "forescale")
PERFECT = "perfect"
GOAL_PERCENT, STRETCH_PERCENT, STRETCH_RATIO = -1.0, 5.0, 1.10


class Case(msgspec.Struct, frozen=True):
    """A trace, and what of it is played without being scored: what the forecast says it needs."""

    name: str
    file: str
    warm_up_seconds: float = WARM_UP_SECONDS


CASES = (
    Case("azure24 code, 7 d", "azure24_code_10s.csv.gz"),
    Case("ServeGen m-mid, 14 d", "servegen_m-mid_10s_sampled.csv.gz"),
    Case("ServeGen mm-image, 1 d", "servegen_mm-image_10s_sampled.csv.gz"),
    # Over before the forecast is warm: all that a forecast may change of it is scored.
    Case("azure23 code, 57 min", "azure23_code_requests.csv.gz", ENOUGH_SECONDS),
)


class Scores:
    """Plays policies on one case, each once, and scores them."""

    def __init__(self, case: Case, trace: Trace, cold_seconds: float) -> None:
        cold = ColdStart(cold_seconds, cold_seconds)
        self.case, self._trace = case, trace
        self._workload = Workload(trace.mean_rate / PODS_IN_THE_MEAN, cold_start=cold)
        self._first = round(case.warm_up_seconds / trace.step_seconds)
        self._bound = bound_of(trace, self._workload, first_step=self._first)
        self._known: dict[tuple[str, float], Score] = {}

    def of(self, name: str, target: float) -> Score:
        """Return a policy's score at this target."""
        if (name, target) not in self._known:
            sys.stderr.write(f"{self.case.name}: {name} at {target:.0%}\n")
            outcome = play(self._trace, self._workload, self._autoscaler(name, target))
            words = f"{name} {target:.0%}" if name != "seed" else name
            self._known[name, target] = score(
                words, outcome, self._trace, self._workload, self._bound, first_step=self._first
            )
        return self._known[name, target]

    def _autoscaler(self, name: str, target: float) -> Autoscaler:
        if name == PERFECT:
            return Perfect(self._trace, self._workload, target)
        make, _ = {**POLICIES, **ABLATIONS}[name]
        return make(self._workload, target, Chain())

    def curve(self, name: str) -> tuple[Point, ...]:
        """Return what becomes of a policy by its target."""
        found = ((target, self.of(name, target)) for target in TARGETS)
        return tuple(Point(target, one.late_ratio, one.gpu_hours) for target, one in found)


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


def beside_each_other(cases: list[Scores], words: list[str]) -> str:
    """Return the table of all policies."""
    rows = []
    for case in cases:
        found = [case.of(*shown) for shown in SHOWN]
        rows += [row(case.case.name, one, found[0]) for one in found]
    head = ["trace", "policy", "late", "x reactive", "GPU-hours", "x reactive", "x oracle"]
    title = f"The same HPA with and without a forecast, cold start {COLD_SECONDS:.0f} s"
    return markdown(title, [*head, "events"], rows, " ".join(words))


def in_hindsight(cases: list[Scores]) -> str:
    """Return the table of the untuned forecast beside the HPA that somebody tuned on the trace."""
    rows, saved, ratios = [], [], []
    for case in cases:
        mine, curve = case.of("forescale", UNTUNED), case.curve("reactive")
        tuned = tuned_gpu_hours(curve, mine.late_ratio)
        percent = saved_percent(curve, mine.late_ratio, mine.gpu_hours)
        perfect = case.of(PERFECT, UNTUNED)
        ratio = mine.gpu_hours / mine.oracle_gpu_hours
        saved += [percent] if percent is not None else []
        ratios.append(ratio)
        figures = [f"{mine.gpu_hours:,.0f}", "-" if tuned is None else f"{tuned:,.0f}"]
        figures += ["-" if percent is None else f"{percent:+.1f} %", f"{ratio:.2f}"]
        figures.append(f"{perfect.gpu_hours / perfect.oracle_gpu_hours:.2f}")
        rows.append([case.case.name, f"{mine.late_ratio:.2%}", *figures])
    head = ["trace", "late", "forecast, GPU-hours", "tuned in hindsight", "saved", "x oracle"]
    head.append("perfect forecast, x oracle")
    notes = (
        f"Forecast at {UNTUNED:.0%} everywhere. Worst {min(saved):+.1f} % (goal: not below"
        f" {GOAL_PERCENT:+g} %), median {median(saved):+.1f} % (stretch: {STRETCH_PERCENT:+g} %);"
        f" {median(ratios):.2f} times the bound in the median (stretch: {STRETCH_RATIO:.2f})."
    )
    return markdown("The forecast, untuned, and a target tuned in hindsight", head, rows, notes)


def by_target(cases: list[Scores]) -> str:
    """Return the curves: late requests and GPU-hours by target."""
    head = ["target", *(f"{case.case.name}: {name}" for case in cases for name in CURVES)]
    rows = []
    for target in TARGETS:
        found = (case.of(name, target) for case in cases for name in CURVES)
        cells = [f"{one.late_ratio:.2%}, {one.gpu_hours:,.0f}" for one in found]
        rows.append([f"{target:.0%}", *cells])
    return markdown("Late requests, GPU-hours, by target", head, rows)


def panel(case: Scores) -> Panel:
    lines = zip(("arrivals", "forecast"), CURVES, strict=True)
    base = case.of("reactive", UNTUNED).gpu_hours
    drawn = tuple(Line(words, case.curve(name)) for words, name in lines)
    return Panel(case.case.name, base, drawn)


def main() -> int:
    cases, words = [], []
    for case in CASES:
        trace = load(FOLDER / case.file).on_grid()
        unseen, unheard = (
            count(trace, COLD_SECONDS, case.warm_up_seconds)
            for count in (unforeseeable_minutes, unheard_of_minutes)
        )
        words.append(f"{case.name}: {unseen} minutes unforeseeable, {unheard} unheard of.")
        cases.append(Scores(case, trace, COLD_SECONDS))
    tables = [beside_each_other(cases, words), in_hindsight(cases), by_target(cases)]
    sys.stdout.write("\n".join(tables))
    if os.environ.get("BENCH_PLOT") == "1":
        known = (case for case in cases if case.curve(CURVES[0]) != case.curve(CURVES[1]))
        PLOT.write_text(hindsightplot.svg([panel(case) for case in known], UNTUNED))
    return 0


if __name__ == "__main__":
    sys.exit(main())
