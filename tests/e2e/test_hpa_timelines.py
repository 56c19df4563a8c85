"""Our HPA, told the same at the same times, takes the real controller's way sync by sync."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from adapter.model.hpa import Flags, Outcome, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import Kind, parse
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.controlplane.workloads import condition
from tests.e2e.conftest import OPTIONS
from tests.e2e.scripted import Said, Script, ScriptedMetrics, Sync

Json = dict[str, Any]

FLAGS = Flags(downscale_window_seconds=OPTIONS.hpa_downscale_stabilization_seconds)
# Windows and periods are odd, so that two seconds of a sync never end at an edge of one.
SHORT, LONG = 3, 5
LAST_SECONDS = 90.0
SET_BY_A_SYNC = ("ScalingActive", "AbleToScale", "ScalingLimited")


class Timeline(NamedTuple):
    """One autoscaler: what its metrics say, for how many syncs, and what it must have met."""

    spec: Json
    said: tuple[tuple[int, *tuple[Said, ...]], ...]
    meets: frozenset[str]
    replicas: int = 1

    @property
    def lines(self) -> list[tuple[Said, ...]]:
        return [tuple(said) for count, *said in self.said for _ in range(count)]


def _total(kind: str = "External", **target: str) -> Json:
    wanted = target or {"averageValue": "10"}
    type_ = "Value" if "value" in target else "AverageValue"
    return {"type": kind, kind.lower(): {"target": {"type": type_} | wanted}}


def _spec(*metrics: Json, up: Json | None = None, down: Json | None = None, least: int = 1) -> Json:
    behavior = {"scaleUp": up, "scaleDown": down}
    given = {side: rules for side, rules in behavior.items() if rules is not None}
    spec = {"minReplicas": least, "maxReplicas": 12, "metrics": list(metrics)}
    return spec | ({"behavior": given} if given else {})


def _rules(window: int, *policies: tuple[str, int], **more: Any) -> Json:
    listed = [{"type": type_, "value": n, "periodSeconds": SHORT} for type_, n in policies]
    return {"stabilizationWindowSeconds": window} | ({"policies": listed} if listed else {}) | more


def _meets(words: str) -> frozenset[str]:
    return frozenset(words.split())


TIMELINES = {
    "burst": Timeline(
        _spec(_total()),
        ((2, 10), (3, 90), (2, 300), (8, 20)),
        _meets("ScaleUpLimit TooManyReplicas ScaleDownStabilized"),
    ),
    "policies": Timeline(
        _spec(
            _total(),
            up=_rules(0, ("Pods", 2), ("Percent", 50)),
            down=_rules(LONG, ("Pods", 3), ("Percent", 50), selectPolicy="Min"),
        ),
        ((1, 10), (7, 90), (8, 10)),
        _meets("ScaleUpLimit ScaleDownStabilized ScaleDownLimit"),
    ),
    "tolerances": Timeline(
        _spec(_total(), up={"tolerance": "0"}, down=_rules(0, tolerance="0.3")),
        ((2, 80), (2, 81), (2, 63), (2, 54), (2, 61)),
        _meets("SucceededRescale DesiredWithinRange"),
        replicas=8,
    ),
    "failing": Timeline(
        _spec(_total(), _total("Object"), down=_rules(0)),
        ((2, 30, 10), (2, 50, None), (2, 10, None), (2, 20, 20), (2, None, None), (2, 40, 20)),
        _meets("FailedGetObjectMetric FailedGetExternalMetric ValidMetricFound"),
    ),
    "asleep": Timeline(
        _spec(_total("Object"), down=_rules(SHORT), least=0),
        ((2, 10), (5, 0), (3, 25), (4, 0), (2, 5)),
        _meets("ScaledToZero NotScaledToZero ScaleDownStabilized"),
    ),
    "patient": Timeline(
        _spec(_total(), up=_rules(LONG), down=_rules(0, selectPolicy="Disabled")),
        ((3, 10), (1, 60), (4, 10), (5, 40), (2, 10)),
        _meets("ScaleUpStabilized ScaleDownLimit SucceededRescale"),
    ),
    "pods": Timeline(
        _spec({"type": "Pods", "pods": {"target": _total()["external"]["target"]}}, down=_rules(0)),
        ((2, 10), (3, 20), (2, 10), (2, None), (4, 4), (2, 12)),
        _meets("FailedGetPodsMetric ValidMetricFound SucceededRescale"),
        replicas=2,
    ),
    "value": Timeline(
        _spec(_total("Object", value="10"), down=_rules(SHORT)),
        ((2, 10), (1, 25), (3, 10), (5, 5), (2, 0)),
        _meets("ScaleDownStabilized SucceededRescale"),
        replicas=2,
    ),
}


@dataclass
class Course:
    """What the real controller did, by the API server: changes alone, with their times."""

    replicas: list[tuple[float, int]] = field(default_factory=list)
    reasons: list[tuple[str, ...]] = field(default_factory=list)
    zero: set[str] = field(default_factory=set)

    def saw_workload(self, found: Json) -> None:
        replicas = found["spec"]["replicas"]
        if not self.replicas or self.replicas[-1][1] != replicas:
            self.replicas.append((time.monotonic(), replicas))

    def saw_autoscaler(self, found: Json) -> None:
        reasons = tuple(condition(found, kind).get("reason", "") for kind in SET_BY_A_SYNC)
        self.zero.add(condition(found, "ScaledToZero").get("reason", ""))
        if reasons[0] and (not self.reasons or self.reasons[-1] != reasons):
            self.reasons.append(reasons)


async def test_whole_timelines_go_as_on_the_real_controller(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str, tmp_path: Path
) -> None:
    """Eight autoscalers side by side, so all takes as long as the longest script, 17 syncs."""
    kubelet.behaviour = Behaviour(cold_start_seconds=0.5)
    courses = {name: Course() for name in TIMELINES}
    async with ScriptedMetrics(controlplane, api, namespace, tmp_path) as metrics:
        for name, timeline in TIMELINES.items():
            metrics.scripts[name] = Script(timeline.lines, _members(kubelet, namespace, name))
            await api.post(_deployments(namespace), _deployment(name, timeline.replicas))
        total = sum(timeline.replicas for timeline in TIMELINES.values())
        await kubelet.wait_ready(namespace, total, timeout_seconds=60)
        async with _followed(api, namespace, courses):
            for name in TIMELINES:
                await api.post(_autoscalers(namespace), _autoscaler(name))
            await _until_over(metrics.scripts.values())
    for name, timeline in TIMELINES.items():
        _goes_alike(name, timeline, metrics.scripts[name].syncs(), courses[name])


def _goes_alike(name: str, timeline: Timeline, syncs: list[Sync], real: Course) -> None:
    outcomes = _played(_autoscaler(name), timeline.replicas, syncs)
    ours = [timeline.replicas, *(one.replicas for one in outcomes)]
    changes = [n for n, (before, after) in enumerate(pairwise(ours)) if before != after]
    for sync, outcome in zip(syncs, outcomes, strict=True):  # where it fails
        print(name, sync.answers, *outcome.why, outcome.able, outcome.limited, sep="; ")
    print(name, real)
    theirs = [replicas for _, replicas in real.replicas]
    assert theirs == [timeline.replicas, *(ours[n + 1] for n in changes)], name
    begins = [sync.at for sync in syncs]
    for ours_at, (at, replicas) in zip(changes, real.replicas[1:], strict=True):
        assert abs(bisect_right(begins, at) - 1 - ours_at) <= 1, (name, replicas)
    assert real.reasons == _reasons(timeline.replicas, outcomes), name
    met = real.zero.union(*real.reasons)
    assert timeline.meets <= met, (name, met)


def _played(autoscaler: Json, current: int, syncs: Iterable[Sync]) -> list[Outcome]:
    """Return what our replica decides, going by its own replicas alone."""
    policy, history = parse(autoscaler, tuple(Kind), values=True), History()
    outcomes = []
    for sync in syncs:
        outcome = reconcile(
            policy,
            history,
            current=current,
            members=sync.members,
            answers=sync.answers,
            now=sync.at,
            flags=FLAGS,
        )
        current, history = outcome.replicas, outcome.history
        outcomes.append(outcome)
    return outcomes


def _reasons(current: int, outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """Return the conditions' reasons as a status goes on with them, changes alone."""
    found: list[tuple[str, ...]] = []
    limited = ""
    for one in outcomes:
        able = "SucceededRescale" if one.replicas != current else one.able
        limited = one.limited or limited
        reasons = (one.active or "", able or "SucceededGetScale", limited)
        current = one.replicas
        if not found or found[-1] != reasons:
            found.append(reasons)
    return found


def _members(kubelet: Kubelet, namespace: str, name: str) -> Callable[[], tuple[Member, ...]]:
    def members() -> tuple[Member, ...]:
        ready = {pod["metadata"]["name"] for pod in kubelet.ready(namespace)}
        return tuple(
            Member(
                pod["metadata"]["name"],
                pod.get("status", {}).get("phase", "Pending"),
                "deletionTimestamp" in pod["metadata"],
                pod["metadata"]["name"] in ready,
            )
            for pod in kubelet.pods(namespace)
            if pod["metadata"]["labels"]["app"] == name
        )

    return members


@asynccontextmanager
async def _followed(api: Api, namespace: str, courses: dict[str, Course]) -> AsyncIterator[None]:
    """Write down what becomes of the workloads and of their autoscalers."""

    async def follow(path: str, saw: Callable[[Course, Json], None]) -> None:
        listed = await api.get(path)
        for one in listed["items"]:
            saw(courses[one["metadata"]["name"]], one)
        async for event in api.watch(path, listed["metadata"]["resourceVersion"]):
            if event["type"] != "BOOKMARK":
                saw(courses[event["object"]["metadata"]["name"]], event["object"])

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follow(_deployments(namespace), Course.saw_workload)),
            group.create_task(follow(_autoscalers(namespace), Course.saw_autoscaler)),
        ]
        yield
        for task in tasks:
            task.cancel()


async def _until_over(scripts: Iterable[Script]) -> None:
    deadline = time.monotonic() + LAST_SECONDS
    while not all(script.is_over for script in scripts):
        assert time.monotonic() < deadline, [len(script.syncs()) for script in scripts]
        await asyncio.sleep(0.2)


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def _autoscalers(namespace: str) -> str:
    return f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"


def _deployment(name: str, replicas: int) -> Json:
    labels = {"app": name}
    pod = {"containers": [{"name": "model", "image": "none"}], "terminationGracePeriodSeconds": 0}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}}
    spec |= {"template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"metadata": {"name": name}, "spec": spec}


def _autoscaler(name: str) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    metrics = []
    for number, metric in enumerate(TIMELINES[name].spec["metrics"]):
        kind = metric["type"].lower()
        described = {"describedObject": target} if kind == "object" else {}
        named = metric[kind] | described | {"metric": {"name": f"{name}-{number}"}}
        metrics.append({"type": metric["type"], kind: named})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": TIMELINES[name].spec | {"scaleTargetRef": target, "metrics": metrics},
    }
