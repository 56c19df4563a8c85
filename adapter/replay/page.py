"""The page: a replay's scores and plots as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.replay import plot, report
from adapter.replay.curve import Curve
from adapter.replay.play import Outcome
from adapter.replay.plot import Line, Marks
from adapter.replay.score import Score
from adapter.replay.trace import Trace
from adapter.replay.workload import Workload

LOAD_SECONDS = (
    60.0  # what an arrival rate is the mean of, so that single seconds do not fill the plot
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1d21; --quiet: #6b7280; --line: #d8dce2;
  --load: #9aa3ae; --pods: #2563eb; --ready: #15803d; --late: #dc262680;
  --foreseen: #9333ea; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --quiet: #9aa3ae; --line: #33383f;
  --load: #9099a4; --pods: #60a5fa; --ready: #4ade80; --late: #f8717180;
  --foreseen: #c084fc; --ground: #14171a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 2rem 0 .2rem; }
p { color: var(--quiet); margin: .2rem 0 1rem; }
svg { width: 100%; height: auto; }
polyline { fill: none; stroke-width: 1.2; vector-effect: non-scaling-stroke; }
.load { stroke: var(--load); } .pods { stroke: var(--pods); } .ready { stroke: var(--ready); }
.queue { stroke: var(--late); } .foreseen { stroke: var(--foreseen); }
h3 { font-size: .85rem; font-weight: 400; color: var(--quiet); margin: .6rem 0 0; }
b.foreseen { color: var(--foreseen); font-weight: 600; }
.late { fill: var(--late); } .veil { fill: var(--ground); opacity: .6; }
.grid { stroke: var(--line); stroke-width: .5; }
text { font-size: 11px; fill: var(--quiet); } .y { text-anchor: end; } .x { text-anchor: middle; }
circle { fill: var(--quiet); } circle.curve0 { fill: var(--pods); }
circle.curve1 { fill: var(--ready); }
.curve0 { stroke: var(--pods); } .curve1 { stroke: var(--ready); }
b.load, b.pods, b.ready, b.late { font-weight: 600; }
b.load { color: var(--load); } b.pods { color: var(--pods); } b.ready { color: var(--ready); }
b.late { color: var(--late); }
@media (max-width: 640px) { table { display: block; overflow-x: auto; } }
"""

_LEGEND = (
    '<p><b class="load">load</b> in full pods, <b class="pods">pods</b> that cost,'
    ' <b class="ready">pods</b> that serve, <b class="late">late</b> share of requests'
    " (the whole height is all)</p>"
)


_UNSCORED = "<p>What is pale is played and not scored.</p>"


class Played(msgspec.Struct, frozen=True):
    """One policy's score and what came of it; the bound has no outcome.

    `foreseen` are (for when in seconds, requests/s), NaN where no forecast was served for then.
    """

    score: Score
    outcome: Outcome | None
    foreseen: tuple[tuple[float, float], ...] = ()


class Section(msgspec.Struct, frozen=True):
    """One trace with what was played on it, and the curves over the target.

    What came before `scored_from_seconds` is in the plots and in no figure.
    """

    trace: Trace
    workload: Workload
    played: tuple[Played, ...]
    curves: tuple[Curve, ...]
    scored_from_seconds: float = 0.0

    @property
    def scores(self) -> list[Score]:
        return [one.score for one in self.played]


def html(sections: Sequence[Section]) -> str:
    """Return the whole page."""
    title = f"Replay of {', '.join(one.trace.name for one in sections)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"{''.join(_section(one) for one in sections)}</body></html>\n"
    )


def _section(one: Section) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in report.HEAD)
    rows = "".join(_row(score) for score in one.scores)
    plots = "".join(_plot(one, played) for played in one.played)
    unscored = _UNSCORED if one.scored_from_seconds else ""
    return (
        f"<h1>Replay of {escape(one.trace.name)}</h1>"
        f"<p>{escape(report.about(one.trace, one.workload))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_curves(one)}{_LEGEND}{unscored}{plots}"
    )


def _curves(one: Section) -> str:
    """Return each policy as a point, and those of the curves by their targets."""
    if not one.curves:
        return ""
    drawn = {curve.policy for curve in one.curves}
    # The label stands at the last point: of the second curve that is its other end.
    turned = [one.curves[0], *(_turned(curve) for curve in one.curves[1:])]
    marks = [_marks(curve, f"curve{at}") for at, curve in enumerate(turned)]
    points = (score for score in one.scores if score.policy not in drawn)
    marks += [_marks(Curve(score.policy, (), (score,)), "point") for score in points]
    low, high = f"{one.curves[0].ratios[0]:.0%}", f"{one.curves[0].ratios[-1]:.0%}"
    names = " and ".join(escape(curve.policy) for curve in one.curves)
    return (
        "<h2>Requests in time, and what that costs</h2>"
        f"<p>{names} with targets of {low} to {high} of a pod's capacity; the others as played."
        f" Up and to the left is better.</p>{plot.scatter(marks, 'GPU-hours')}"
    )


def _turned(curve: Curve) -> Curve:
    return Curve(curve.policy, curve.ratios[::-1], curve.scores[::-1])


def _marks(curve: Curve, css: str) -> Marks:
    hours = [score.gpu_hours for score in curve.scores]
    return Marks(curve.policy, hours, [1.0 - score.late_ratio for score in curve.scores], css)


def _row(score: Score) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in report.row(score))}</tr>"


def _plot(section: Section, one: Played) -> str:
    if one.outcome is None:
        return ""
    trace, workload = section.trace, section.workload
    lines = (
        Line("load", _load(trace, workload), "load"),
        Line("pods", one.outcome.replicas.astype(np.float64), "pods"),
        Line("ready pods", one.outcome.ready.astype(np.float64), "ready"),
    )
    late = one.outcome.waits.late_by_step(
        len(trace.arrivals), trace.step_seconds, workload.late_seconds
    )
    veiled = section.scored_from_seconds / trace.seconds
    waiting = Line("waiting requests", one.outcome.waiting, "queue")
    return (
        f"<h2>{escape(one.score.policy)}</h2>{plot.svg(lines, trace.seconds, late, veiled)}"
        f"<h3>waiting requests</h3>{plot.svg([waiting], trace.seconds, None, veiled)}"
        f"{_forecast(section, one, veiled)}"
    )


def _forecast(section: Section, one: Played, veiled: float) -> str:
    """Return what was served for a time a cold start before it, over what came then."""
    if not one.foreseen:
        return ""
    trace, workload = section.trace, section.workload
    values = np.full(len(trace.arrivals), np.nan)
    steps = [int(at / trace.step_seconds) for at, _ in one.foreseen]
    # One figure stands until the next one: the HPA asks every few steps.
    for (_, rate), first, last in zip(
        one.foreseen, steps, [*steps[1:], steps[-1] + 1], strict=True
    ):
        values[first:last] = rate / workload.pod_rate
    lines = (Line("load", _load(trace, workload), "load"), Line("forecast", values, "foreseen"))
    return (
        '<h3><b class="load">load</b> that came, and the <b class="foreseen">forecast</b> of it'
        f" that was served a start before</h3>{plot.svg(lines, trace.seconds, None, veiled)}"
    )


def _load(trace: Trace, workload: Workload) -> NDArray[np.float64]:
    """Return [steps]: the mean of the last minute in full pods, 0 where the trace does not know."""
    steps = max(1, round(LOAD_SECONDS / trace.step_seconds))
    sums = np.concatenate((np.zeros(steps), np.cumsum(trace.arrivals)))
    rate = (sums[steps:] - sums[:-steps]) / (steps * trace.step_seconds)
    return np.where(trace.known, rate / workload.pod_rate, 0.0)
