"""The learnt: a workload as `forescale replay --workload` reads it, from an adapter's readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from adapter.cli import reach
from adapter.cli.reach import Page
from adapter.cli.replay_workload import MOST_PODS
from adapter.cluster import Cluster, Json
from adapter.errors import KubeError
from adapter.model.startstory import StartStory
from adapter.model.suggestion import Suggestion
from adapter.ops.coldstart import ColdStart, Stories
from adapter.ops.top import Load, Loads, Top


class Known(NamedTuple):
    """What is known of a workload beside its target; words where nothing is, and why."""

    start: StartStory | str
    load: Load | str
    bounds: tuple[int, int] | str  # minReplicas and maxReplicas


class Line(NamedTuple):
    """One key of the file; without a value it is left out, and the words say why."""

    key: str
    value: str | None
    words: str

    def text(self) -> str:
        # Names and reasons come from the cluster: they stay within their comment.
        words = " ".join(self.words.split())
        if self.value is None:
            return f"# {self.key} is left out: {words}"
        return f"# {words}\n{self.key}: {self.value}"


async def ask(page: Page, kube: Cluster | None, place: Mapping[str, str]) -> Known:
    """Return what the adapter has learnt; of its HPA the API server tells, None where none is."""
    return Known(await _start(page, place), await _load(page, place), await _bounds(kube, place))


async def cold_start_seconds(page: Page, place: Mapping[str, str]) -> float | None:
    """Return the 90th percentile of its next start; None where no whole one is known."""
    start = await _start(page, place)
    if isinstance(start, str) or not start.warm.seconds:
        return None
    return start.warm.p90_seconds


def text(
    workload: str, objective: str, found: Suggestion, late_seconds: float | None, known: Known
) -> str:
    """Return the file; `late_seconds` is how long a request may wait, None where that is not told.

    What is not known is left out, and a comment says why.
    """
    lines = [
        *_target(found, objective),
        _late(late_seconds, objective),
        _cold_start(known.start),
        _node_wait(known.start),
        _gpus(known.load),
        *_replicas(known.bounds),
    ]
    doubts = [f"# doubt: {doubt}" for doubt in found.doubts]
    told = f"# {workload} for `forescale replay TRACE --workload FILE`, from its own readings"
    return "\n".join([told, *doubts, *(line.text() for line in lines)])


def _target(found: Suggestion, objective: str) -> Iterator[Line]:
    if found.target is None:
        yield Line("concurrency", None, "no reading names a target")
        yield Line("podRate", None, "it is concurrency / seconds in service")
        return
    seen = f"{found.readings} readings of {found.pods} pods"
    yield Line(
        "concurrency", str(found.target), f"the most in flight that kept {objective}, {seen}"
    )
    if found.service_seconds is None:
        why = "no pod near the target tells its arrivals, or none came: say it, or --pod-rate"
        yield Line("podRate", None, why)
        return
    words = (
        f"requests/s: {found.target} / {found.service_seconds:.3g} s that a request was in a pod"
        " near the target (Little's law: in flight / arrival rate, what waits included)"
    )
    yield Line("podRate", f"{found.target / found.service_seconds:.4g}", words)


def _late(seconds: float | None, objective: str) -> Line:
    value = None if seconds is None else f"{seconds:g}s"
    return Line("late", value, f"the objective is {objective}")


def _cold_start(start: StartStory | str) -> Line:
    if isinstance(start, str):
        return Line("coldStart", None, start)
    one = start.warm
    if one.p50_seconds is None or not one.seconds:
        return Line("coldStart", None, f"no whole start was seen ({one.why})")
    p90 = max(one.p50_seconds, one.p90_seconds)
    whole = f"{len(one.seconds)} whole starts, the longest {one.seconds[-1]:g} s"
    return Line("coldStart", f"p50={one.p50_seconds:g}s,p90={p90:g}s", f"of {whole}; {one.why}")


def _node_wait(start: StartStory | str) -> Line:
    if isinstance(start, str) or start.new_node is None:
        return Line("nodeWait", None, "no start is known that waited for a new node")
    seconds = start.new_node.node_seconds
    if not seconds:
        return Line("nodeWait", None, f"no start tells it ({start.new_node.why})")
    words = (
        f"a new node takes {seconds:g} s in the median; that goes with room, for how many pods"
        f" there are nodes, which nobody tells: write `room: N` and `nodeWait: {seconds:g}s`"
    )
    return Line("nodeWait", None, words)


def _gpus(load: Load | str) -> Line:
    if isinstance(load, str):
        return Line("gpusPerPod", None, load)
    if load.gpus_per_pod is None:
        why = "its pods ask for no nvidia.com/gpu, for shared ones, or not all for as many"
        return Line("gpusPerPod", None, why)
    return Line("gpusPerPod", str(load.gpus_per_pod), "nvidia.com/gpu that each pod asks for")


def _replicas(bounds: tuple[int, int] | str) -> Iterator[Line]:
    keys = ("minReplicas", "maxReplicas")
    if isinstance(bounds, str):
        yield from (Line(key, None, bounds) for key in keys)
        return
    for key, count in zip(keys, bounds, strict=True):
        played = 1 <= count <= MOST_PODS
        why = f"it is {count}, and the named policies are played with 1 to {MOST_PODS}"
        yield Line(key, str(count) if played else None, "as its HPA has it" if played else why)


async def _start(page: Page, place: Mapping[str, str]) -> StartStory | str:
    query = {**place, "kind": place["kind"].partition(".")[0]}
    try:
        stories = msgspec.convert(await page(ColdStart.path, query), Stories, strict=False)
    except KubeError as error:
        return reach.told(error)
    return stories.workloads[0] if stories.workloads else "nothing is known of a start of it"


async def _load(page: Page, place: Mapping[str, str]) -> Load | str:
    try:
        loads = msgspec.convert(await page(Top.path, place), Loads, strict=False)
    except KubeError as error:
        return reach.told(error)
    return loads.workloads[0] if loads.workloads else "the adapter knows no pod of it"


async def _bounds(kube: Cluster | None, place: Mapping[str, str]) -> tuple[int, int] | str:
    """Return how many replicas its HPA may ask for, or why that is not known."""
    if kube is None:
        return "its HPA is the cluster's to tell: ask without --adapter"
    namespace = place["namespace"]
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    try:
        hpas = (await kube.get(path)).get("items") or []
    except KubeError as error:
        return reach.told(error)
    own = [hpa["spec"] for hpa in hpas if _scales(hpa, place)]
    if len(own) != 1:
        return f"{len(own)} HPAs of the namespace scale it, and not one"
    return int(own[0].get("minReplicas", 1)), int(own[0]["maxReplicas"])


def _scales(hpa: Json, place: Mapping[str, str]) -> bool:
    target = hpa["spec"]["scaleTargetRef"]
    kind = place["kind"].partition(".")[0]
    return (target["kind"], target["name"]) == (kind, place["name"])
