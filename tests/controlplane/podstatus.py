"""The status a kubelet would report for a pod: pure functions of the pod and its history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]

CONTAINER_ANNOTATION = "forescale.dev/container"
GPU = "nvidia.com/gpu"
NOT_READY_REASON = "ContainersNotReady"


@dataclass(frozen=True, slots=True)
class PodState:
    """What happened to a pod so far. Times are RFC 3339 in whole seconds, as the kubelet writes.

    `ready_since` is the last change of Ready in either direction: while a pod has never been ready
    that is about its start, before any container ran. Restarts concern the model container alone.
    """

    node: str
    host_ip: str
    pod_ip: str
    start_time: str
    ready_since: str
    ready: bool = False
    warm: bool = False
    first_started_at: str | None = None
    started_at: str | None = None
    restarts: int = 0
    last_ended: tuple[str, str, int] | None = None
    ended_at: str | None = None
    exit_code: int = 0


def rfc3339(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pending(node: str, host_ip: str, pod_ip: str, now: str) -> PodState:
    """The kubelet has seen the pod; nothing runs."""
    return PodState(node, host_ip, pod_ip, start_time=now, ready_since=now)


def running(state: PodState, now: str) -> PodState:
    """All containers run; the model container is not ready yet."""
    return replace(state, first_started_at=now, started_at=now)


def ready(state: PodState, now: str, *, is_ready: bool) -> PodState:
    """Readiness as the probe says; the time changes only when the answer does."""
    since = state.ready_since if state.ready == is_ready else now
    return replace(state, ready=is_ready, ready_since=since, warm=state.warm or is_ready)


def restarted(state: PodState, now: str, *, exit_code: int) -> PodState:
    """The model container ended and runs again, cold."""
    if state.started_at is None:
        raise ValueError("a container that never ran cannot restart")
    unready = ready(state, now, is_ready=False)
    ended = (state.started_at, now, exit_code)
    count = state.restarts + 1
    return replace(unready, warm=False, started_at=now, restarts=count, last_ended=ended)


def ended(state: PodState, now: str, *, exit_code: int) -> PodState:
    """All containers have ended: the pod is Succeeded, or Failed where the code is not 0."""
    return replace(ready(state, now, is_ready=False), ended_at=now, exit_code=exit_code)


def model_container(pod: Json) -> str:
    """The container whose start is slow: the annotated, else the one with a GPU, else the first."""
    named = pod["metadata"].get("annotations", {}).get(CONTAINER_ANNOTATION)
    containers = pod["spec"]["containers"]
    with_gpu = (c["name"] for c in containers if _gpus(c) > 0)
    return str(named or next(with_gpu, containers[0]["name"]))


def _gpus(container: Json) -> int:
    return int(container.get("resources", {}).get("limits", {}).get(GPU, "0"))


def status(pod: Json, state: PodState) -> Json:
    """The whole status. What others wrote into container statuses is carried over."""
    return {
        "phase": _phase(state),
        "observedGeneration": pod["metadata"].get("generation", 1),
        "startTime": state.start_time,
        "hostIP": state.host_ip,
        "hostIPs": [{"ip": state.host_ip}],
        "podIP": state.pod_ip,
        "podIPs": [{"ip": state.pod_ip}],
        "conditions": _conditions(pod, state),
        "containerStatuses": list(_container_statuses(pod, state)),
        "initContainerStatuses": list(_init_container_statuses(pod, state)),
    }


def _phase(state: PodState) -> str:
    if state.ended_at is not None:
        return "Failed" if state.exit_code else "Succeeded"
    return "Pending" if state.started_at is None else "Running"


def _conditions(pod: Json, state: PodState) -> list[Json]:
    start, since = state.start_time, state.ready_since
    unready: Json = {}
    if not state.ready:
        message = f"containers with unready status: [{model_container(pod)}]"
        unready = {"reason": NOT_READY_REASON, "message": message}
    if state.ended_at is not None:
        unready = {"reason": "PodCompleted", "message": None}
    return [
        _condition("PodReadyToStartContainers", state.ended_at is None, start),
        _initialized(pod, state),
        _condition("Ready", state.ready, since) | unready,
        _condition("ContainersReady", state.ready, since) | unready,
    ]


def _initialized(pod: Json, state: PodState) -> Json:
    has_init = bool(pod["spec"].get("initContainers"))
    since = state.first_started_at if has_init else None
    done = state.started_at is not None or not has_init
    return _condition("Initialized", done, since or state.start_time)


def _condition(kind: str, holds: bool, since: str) -> Json:  # noqa: FBT001 - the condition's status
    status_word = "True" if holds else "False"
    return {
        "type": kind,
        "status": status_word,
        "lastTransitionTime": since,
        "lastProbeTime": None,
        "reason": None,
        "message": None,
    }


def _container_statuses(pod: Json, state: PodState) -> Iterator[Json]:
    model = model_container(pod)
    known = _by_name(pod, "containerStatuses")
    for container in pod["spec"]["containers"]:
        mine = _container(container, state, is_model=container["name"] == model)
        yield known.get(container["name"], {}) | mine


def _init_container_statuses(pod: Json, state: PodState) -> Iterator[Json]:
    known = _by_name(pod, "initContainerStatuses")
    for container in pod["spec"].get("initContainers", []):
        native = container.get("restartPolicy") == "Always"
        mine = _container(container, state, is_model=False) if native else _done(container, state)
        yield known.get(container["name"], {}) | mine


def _container(container: Json, state: PodState, *, is_model: bool) -> Json:
    runs = state.started_at is not None and state.ended_at is None
    started_at = state.started_at if is_model else state.first_started_at
    probed = is_model and "startupProbe" in container
    return _identity(container, state, state.restarts if is_model else 0) | {
        "ready": runs and (state.ready or not is_model),
        "started": runs and (state.warm or not probed),
        "restartCount": state.restarts if is_model else 0,
        "state": _current(state, started_at),
        "lastState": _last(state) if is_model else {},
    }


def _done(container: Json, state: PodState) -> Json:
    """A plain init container: it has run and is over before anything else starts."""
    over = _terminated(state.start_time, state.start_time, 0)
    waits = state.started_at is None
    return _identity(container, state, 0) | {
        "ready": not waits,
        "started": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "PodInitializing"}} if waits else over,
        "lastState": {},
    }


def _current(state: PodState, started_at: str | None) -> Json:
    if started_at is None:
        return {"waiting": {"reason": "ContainerCreating"}}
    if state.ended_at is not None:
        return _terminated(started_at, state.ended_at, state.exit_code)
    return {"running": {"startedAt": started_at}}


def _last(state: PodState) -> Json:
    return _terminated(*state.last_ended) if state.last_ended else {}


def _terminated(started_at: str, finished_at: str, exit_code: int) -> Json:
    reason = "Error" if exit_code else "Completed"
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": started_at,
            "finishedAt": finished_at,
        }
    }


def _identity(container: Json, state: PodState, restarts: int) -> Json:
    image = container["image"]
    runs_as = f"containerd://{state.pod_ip}-{container['name']}-{restarts}"
    return {
        "name": container["name"],
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}" if state.started_at else "",
        "containerID": runs_as if state.started_at else "",
    }


def _by_name(pod: Json, field: str) -> dict[str, Json]:
    return {status["name"]: status for status in pod.get("status", {}).get(field, [])}
