"""The cold start page in text: one workload with its histogram, or a line for each of several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from adapter.cli import table
from adapter.model.startstory import Shape, StartStory
from adapter.ops.coldstart import Stories

BINS = 10
BAR_CHARACTERS = 40
SHOWN_PODS = 5  # of those that start, and of those that are stuck; -o json has all
SHOWN_WORKLOADS = 40
_HEAD = ("WORKLOAD", "P50", "P90", "STARTS", "UNFINISHED", "NODE WAIT", "STARTING", "STUCK")


def text(stories: Stories) -> str:
    """Return the page."""
    if not stories.workloads:
        return "no pod with a source was seen on its way to serving yet"
    if len(stories.workloads) == 1:
        return "\n".join(_whole(stories.workloads[0]))
    return "\n".join(_table(stories))


def _whole(story: StartStory) -> Iterator[str]:
    yield f"{story.kind} {story.namespace}/{story.name}"
    yield f"  horizon {story.horizon}"
    yield from _shape("cold start", story.warm)
    if story.new_node is not None:
        yield from _shape("on a new node", story.new_node)
    starting = [f"{p.name} ({p.age_seconds:.0f} s, {p.doing})" for p in story.starting]
    yield from _listed("starting", starting)
    yield from _listed("stuck, not counted", story.stuck)


def _shape(title: str, shape: Shape) -> Iterator[str]:
    yield ""
    yield f"{title}: {_figures(shape)}"
    phases = {
        "node": shape.node_seconds,
        "image and containers": shape.pull_seconds,
        "model": shape.load_seconds,
    }
    told = [f"{name} {_seconds(s)}" for name, s in phases.items() if s is not None]
    if told:
        yield f"  medians: {', '.join(told)}"
    if shape.room_seconds is not None:
        yield f"  not counted: {_seconds(shape.room_seconds)} until a node had room (median)"
    yield from histogram(shape.seconds)


def _figures(shape: Shape) -> str:
    return (
        f"P50 {_seconds(shape.p50_seconds)}, P90 {_seconds(shape.p90_seconds)} ({shape.why}),"
        f" {shape.unfinished} unfinished"
    )


def histogram(seconds: Sequence[float]) -> Iterator[str]:
    """Yield a line for each bin of at most BINS, from the shortest start to the longest."""
    if not seconds:
        return
    step = _step(max(seconds) - min(seconds))
    first, last = math.floor(min(seconds) / step), math.floor(max(seconds) / step)
    counts = [0] * (last - first + 1)
    for one in seconds:
        counts[math.floor(one / step) - first] += 1
    width = len(f"{(last + 1) * step:g}")
    for number, count in enumerate(counts):
        low, high = (first + number) * step, (first + number + 1) * step
        bar = "#" * math.ceil(count / max(counts) * BAR_CHARACTERS)
        yield f"  {low:>{width}g} - {high:>{width}g} s  {bar:{BAR_CHARACTERS}}  {count}".rstrip()


def _step(span: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, … that makes BINS or fewer bins of the span."""
    for power in range(8):
        for figure in (1, 2, 5):
            if span / (figure * 10**power) < BINS - 1:
                return float(figure * 10**power)
    return float(10**8)


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  {line}" for line in lines[:SHOWN_PODS])
    if len(lines) > SHOWN_PODS:
        yield f"  and {len(lines) - SHOWN_PODS} more"


def _table(stories: Stories) -> Iterator[str]:
    shown = stories.workloads[:SHOWN_WORKLOADS]
    yield from table.lines([_HEAD, *(_row(story) for story in shown)])
    more = len(stories.workloads) - len(shown) + stories.more
    if more:
        yield f"and {more} more: -n NAMESPACE or a name shows them"


def _row(story: StartStory) -> tuple[str, ...]:
    warm = story.warm
    return (
        f"{story.namespace}/{story.name}",
        _seconds(warm.p50_seconds),
        _seconds(warm.p90_seconds) if warm.seconds else f"({_seconds(warm.p90_seconds)} assumed)",
        str(len(warm.seconds)),
        str(warm.unfinished),
        _seconds(story.new_node.node_seconds if story.new_node else None),
        str(len(story.starting)),
        str(len(story.stuck)),
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits
