"""The why page in text: aligned columns, one chapter a metric, the HPA's arithmetic below."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from adapter.cli import podpage, prospectpage, table
from adapter.cli.autoscaler import Autoscaler
from adapter.cli.recent import Recent
from adapter.cli.resources import Use
from adapter.model import excuses
from adapter.model.hpa_metric import shown
from adapter.model.quantity import format_milli, parse_milli
from adapter.model.target import FORECAST
from adapter.model.why import Demand, Figure, PodStory, Story

_HEAD = ("POD", "STATE", "LAST", "AGE", "")
_HEAD_OF_AN_OBJECT = ("LAST", "AGE", "", "SERVED", "WHY NOT")
_HEAD_OF_A_RESOURCE = ("POD", "REQUEST", "USAGE", "OF IT", "WHY NOT")
_SHOWN_PODS = 40  # a screen; -o json has all


class Chapter(msgspec.Struct, frozen=True):
    """One metric; `arithmetic` is what the HPA makes of it, None without an HPA.

    `uses` are of a resource, as the HPA reads it; `said` is what it comes from, in words.
    """

    story: Story | None
    metric: str = ""
    arithmetic: str | None = None
    uses: tuple[Use, ...] = ()
    said: str = ""

    def lines(self) -> list[str]:
        story = self.story
        head = [self.metric or (story.metric if story else "")]
        if story is not None:
            head = [_heading(story, self.metric), *_told(story)]
        head += [f"  {self.said}"] if self.said else []
        head += _used(self.uses) if self.uses else []
        return [*head, *([f"  = {_once(self.arithmetic, story)}"] if self.arithmetic else [])]


def _once(arithmetic: str, story: Story | None) -> str:
    """Return the arithmetic; where it only repeats why there is no total, the total has said it."""
    why = story.total.why if story and story.total else None
    if why and excuses.alike(arithmetic).endswith(excuses.alike(why)):
        return f"{arithmetic.partition(':')[0]}: no value, as the total above"
    return arithmetic


def _heading(story: Story, title: str) -> str:
    """Return what a chapter is of: a title that says more than the metric's name stays."""
    named = title if " " in title else story.metric
    return f"{named} ({story.unit}, {story.view})"


def _told(story: Story) -> list[str]:
    if story.object is not None:
        return _lines((_HEAD_OF_AN_OBJECT, _figures(story.object)))
    lines = [line for demand in story.demands for line in _demand(demand)]
    lines += _table(story) if story.pods else []
    return [*lines, *_total(story), *prospectpage.lines(story.prospect)]


def _demand(demand: Demand) -> list[str]:
    story = demand.story
    lines = [f"  {_heading(story, '')}", *_table(story), *_total(story)]
    lines += prospectpage.lines(story.prospect)
    if demand.replicas is not None:
        carried = f"{_figure(demand.acting)} / {_figure(demand.target)} per pod"
        lines.append(f"  {carried} -> {demand.replicas} replicas")
    return lines


class Report(msgspec.Struct, frozen=True):
    """Everything that one call says."""

    title: str
    state: tuple[str, ...]
    chapters: tuple[Chapter, ...]
    notes: tuple[str, ...]
    conclusion: str = ""  # what an HPA asks for in all, and why
    recent: Recent | None = None  # None where one metric was asked for, or a pod

    def text(self) -> str:
        told = [chapter.story for chapter in self.chapters if chapter.story is not None]
        stories = [*told, *(demand.story for story in told for demand in story.demands)]
        pods = (*podpage.start(stories), *podpage.near_oom(stories))
        lines = [self.title, *(f"  {line}" for line in (*self.state, *pods))]
        told_lately = self.recent.lines("\n".join(self.state)) if self.recent else []
        lines += ["", *told_lately] if told_lately else []
        for chapter in self.chapters:
            lines += ["", *chapter.lines()]
        for last in (self.notes, (self.conclusion,) if self.conclusion else ()):
            lines += ["", *last] if last else []
        return "\n".join(lines)


def title(scaler: Autoscaler) -> str:
    """Return what is scaled, how many there are, and how many are wanted."""
    status, policy = scaler.hpa.get("status", {}), scaler.policy
    workload = scaler.workload
    return (
        f"HPA {policy.namespace}/{policy.name} -> {workload.kind} {workload.name}:"
        f" {workload.replicas} replicas, wants {status.get('desiredReplicas', '?')}"
        f" (min {scaler.hpa['spec'].get('minReplicas', 1)}, max {policy.max_replicas})"
    )


def state(scaler: Autoscaler) -> tuple[str, ...]:
    """Return the HPA's own conditions in its own words."""
    conditions = scaler.hpa.get("status", {}).get("conditions", [])
    return tuple(
        f"{c['type']} {c['status']} ({c.get('reason', '')}): {c.get('message', '')}"
        for c in conditions
    )


def _table(story: Story) -> list[str]:
    """Return a line a pod: its last reading, and what is served of its readings by now."""
    pods = story.pods
    served = f"SERVED: {story.served_as}" if story.served_as else "SERVED"
    head = (*_HEAD, served, "WHY NOT")
    whys, below = podpage.reasons({pod.name: pod.figure.why for pod in pods if pod.figure.why})
    rows = ((*_row(pod)[:-1], whys.get(pod.name, "")) for pod in pods[:_SHOWN_PODS])
    lines = _lines([head, *rows])
    more = len(pods) - _SHOWN_PODS
    lines += [f"  and {more} more pods"] if more > 0 else []
    return [*lines, *(f"  {line}" for line in below), *podpage.notes(pods)]


def _used(uses: Sequence[Use]) -> list[str]:
    """Return the usage of a resource pod by pod; it divides by the requests together."""
    rows = [_HEAD_OF_A_RESOURCE, *(_use(use) for use in uses[:_SHOWN_PODS])]
    more = len(uses) - _SHOWN_PODS
    return _lines(rows) + ([f"  and {more} more pods"] if more > 0 else [])


def _use(use: Use) -> tuple[str, ...]:
    share = "-"
    if use.request_milli and use.usage_milli is not None:
        share = f"{use.usage_milli * 100 // use.request_milli} %"
    figures = (use.request_milli, use.usage_milli)
    request, usage = ("-" if milli is None else format_milli(milli) for milli in figures)
    return (use.pod, request, usage, share, use.why)


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in table.lines(rows)]


def _row(pod: PodStory) -> tuple[str, ...]:
    return (pod.name, str(pod.standing), *_figures(pod.figure))


def _figures(figure: Figure) -> tuple[str, ...]:
    return (
        "-" if figure.raw is None else shown(round(figure.raw * 1000)),
        "-" if figure.age_seconds is None else f"{figure.age_seconds:.1f} s",
        figure.freshness or "",
        _figure(figure.served),
        figure.why or "",
    )


def _total(story: Story) -> list[str]:
    if story.total is None:
        return []
    if story.total.served is None:
        return [f"  total: none: {story.total.why}"]
    return [f"  total: {_figure(story.total.served)}{_beyond(story, story.total.served)}"]


def _beyond(story: Story, total: str) -> str:
    """Say how much of a sum the pods above are where it is more: silence lowers none."""
    if not story.pods or "agg=" in story.view or story.metric.endswith(FORECAST):
        return ""
    served = [parse_milli(one.figure.served) for one in story.pods if one.figure.served]
    known = sum(served)
    if parse_milli(total) <= known + len(served):  # each is rounded
        return ""
    return f", {shown(known)} of it by the pods above: silence lowers no total"


def _figure(quantity: str | None) -> str:
    """Return a quantity as people write it: 23333m as 23.333."""
    return "-" if quantity is None else shown(parse_milli(quantity))
