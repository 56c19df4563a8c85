"""The top page in text: a line for each workload, or for each pod of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapter.cli import podpage, table
from adapter.model.hpa_metric import shown
from adapter.model.quantity import parse_milli
from adapter.model.why import PodStory, Story
from adapter.ops.top import Load, Loads

# The columns of a pod, and the metrics that are in them.
COLUMNS = {
    "QUEUE": "llm_inference_pending_requests",
    "RUNNING": "llm_inference_running_requests",
    "KV CACHE": "llm_inference_kv_cache_utilization",
    "GPU": "nvidia_gpu_utilization",
    "GPU MEMORY": "nvidia_gpu_memory_utilization",
}
SHOWN_PODS = 40  # a screen; -o json has all
_HEAD = ("NAMESPACE", "WORKLOAD", "PODS", "SERVED", "HELD", "LOADING", "OMITTED", "QUEUE", "GPU",
         "DEMAND", "WANTS", "WHY NOT")  # fmt: skip
_NONE = "-"
_DEMANDS = {
    "llm_inference_inflight_requests": "in flight",
    "llm_inference_arrival_rate": "requests/s",
    "llm_inference_pending_requests": "waiting",
    "nvidia_gpu_utilization": "% of a GPU",
}


def workloads(loads: Loads) -> str:
    """Return the table of workloads."""
    if not loads.workloads:
        return "no pod with a source was seen: label pod templates forescale.dev/source"
    lines = table.lines([_HEAD, *map(_workload, loads.workloads)])
    more = f"and {loads.more} more: -n NAMESPACE or a name shows them"
    return "\n".join([*lines, *([more] if loads.more else [])])


def pods(stories: Mapping[str, Story]) -> str:
    """Return the table of pods; `stories` are of all metrics of COLUMNS that have one."""
    told = {metric: {pod.name: pod for pod in story.pods} for metric, story in stories.items()}
    names = sorted({name: None for each in told.values() for name in each})
    head = ("POD", "STATE", "HEARD", *COLUMNS, "WHY NOT")
    rows = [_pod([each.get(name) for each in _in_order(told)]) for name in names]
    whys, below = podpage.reasons({row[0]: row[-1] for row in rows if row[-1]})
    shown_rows = [(*row[:-1], whys.get(row[0], "")) for row in rows[:SHOWN_PODS]]
    more = len(rows) - len(shown_rows)
    lines = [*table.lines([head, *shown_rows]), *([f"and {more} more"] if more > 0 else [])]
    return "\n".join([*lines, *below])


def _workload(load: Load) -> tuple[str, ...]:
    unit = _DEMANDS.get(load.demand_of, load.demand_of)
    return (
        load.namespace,
        f"{load.kind} {load.name}",
        *map(str, (load.replicas, load.served, load.held, load.loading, load.omitted)),
        _figure(load.pending),
        _NONE if load.gpu_percent is None else f"{_figure(load.gpu_percent)} %",
        _NONE if load.demand is None else f"{_figure(load.demand)} {unit}",
        _NONE if load.desired is None else str(load.desired),
        load.why or "",
    )


def _in_order(
    told: Mapping[str, Mapping[str, PodStory]],
) -> Iterator[Mapping[str, PodStory]]:
    return (told.get(metric, {}) for metric in COLUMNS.values())


def _pod(stories: Sequence[PodStory | None]) -> tuple[str, ...]:
    known = [story for story in stories if story is not None]
    first = known[0]
    heard = first.heard_seconds_ago
    whys = dict.fromkeys(story.figure.why for story in known if story.figure.why)
    return (
        first.name,
        str(first.standing),
        _NONE if heard is None else f"{heard:.0f} s ago",
        *(_served(name, story) for name, story in zip(COLUMNS, stories, strict=True)),
        "; ".join(why for why in whys if why),
    )


def _served(column: str, story: PodStory | None) -> str:
    if story is None or story.figure.served is None:
        return _NONE
    unit = "" if column in ("QUEUE", "RUNNING") else " %"
    return shown(parse_milli(story.figure.served)) + unit


def _figure(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}".removesuffix(".0")
