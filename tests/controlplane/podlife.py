"""One pod's life on a fake kubelet: bound, pending, running, ready; flips, restarts, its end."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.controlplane import podstatus
from tests.controlplane.api import CONFLICT, NOT_FOUND, STRATEGIC_PATCH, Api, ApiError, Unreachable
from tests.controlplane.podstatus import PodState

Json = dict[str, Any]
Hook = Callable[[Json], Awaitable[None]]
RestartHook = Callable[[Json, str], Awaitable[None]]
Seconds = float | Callable[[Json], float]

COLD_START_ANNOTATION = "kubelet.test/cold-start-seconds"
NODE_WAIT_ANNOTATION = "kubelet.test/node-wait-seconds"
RETRY_SECONDS = 0.2

log = logging.getLogger(__name__)


async def nothing(*_: object) -> None:
    """The hook of a test that starts no processes."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How pods behave; a pod's annotations say otherwise for that pod (`inf` is never)."""

    cold_start_seconds: Seconds = 1.0
    node_wait_seconds: Seconds = 0.0
    on_running: Hook = nothing
    on_stopped: Hook = nothing
    on_restarted: RestartHook = nothing


class PodLife:
    """One pod. The kubelet owns the task of `live`; the other coroutines are requests to it."""

    def __init__(self, api: Api, pod: Json, behaviour: Behaviour) -> None:
        self.pod = pod
        self.state: PodState | None = None
        self.over = False
        self.terminating = False
        self._api = api
        self._behaviour = behaviour
        self._hooked = False
        self._probe_decided = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def path(self) -> str:
        meta = self.pod["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def is_ready(self) -> bool:
        return self.is_running and self.state is not None and self.state.ready

    @property
    def is_running(self) -> bool:
        return self.state is not None and bool(self.state.started_at) and not self.state.ended_at

    def describe(self) -> str:
        """One word for messages: how far the pod is."""
        if self.terminating:
            return "terminating"
        if self.state is None:
            return "unbound"
        if self.state.ended_at is not None:
            return "ended"
        if not self.is_running:
            return "pending"
        return "ready" if self.is_ready else "running"

    def observe(self, pod: Json) -> None:
        """Takes over what others changed; an event older than our own last write is nothing."""
        if _version(pod) > _version(self.pod):
            self.pod = pod

    async def wait_for_node(self) -> None:
        """The time until the node is there; real schedulers leave the pod unbound meanwhile."""
        await _sleep(self._seconds(NODE_WAIT_ANNOTATION, self._behaviour.node_wait_seconds))

    async def bind(self, node: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        name = {"name": self.pod["metadata"]["name"]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": name, "target": target}
        await self._api.post(f"{self.path}/binding", body)

    async def live(self, node: str, host_ip: str, pod_ip: str) -> None:
        """From bound to ready; ends when the pod is ready, or never where its start takes `inf`."""
        await self._become(podstatus.pending(node, host_ip, pod_ip, _now()))
        self._hooked = True
        started_at = _now()
        await self._behaviour.on_running(self.pod)
        await self._become(podstatus.running(self._known_state(), started_at))
        await self.warm_up()

    async def warm_up(self) -> None:
        """The cold start; `set_ready`, either way, takes its place."""
        seconds = self._seconds(COLD_START_ANNOTATION, self._behaviour.cold_start_seconds)
        try:
            await asyncio.wait_for(
                self._probe_decided.wait(), None if math.isinf(seconds) else seconds
            )
        except TimeoutError:
            await self.set_ready(is_ready=True)

    async def set_ready(self, *, is_ready: bool) -> None:
        """What the readiness probe says from now on."""
        if not self.is_running:
            raise RuntimeError(f"{self.path} does not run: it cannot be ready or not ready")
        self._probe_decided.set()
        await self._become(podstatus.ready(self._known_state(), _now(), is_ready=is_ready))

    async def restart(self, *, exit_code: int) -> None:
        """The model container ends and starts again; `warm_up` is then the caller's to run."""
        if not self.is_running:
            raise RuntimeError(f"{self.path} does not run: it cannot restart")
        self._probe_decided.clear()
        state = podstatus.restarted(self._known_state(), _now(), exit_code=exit_code)
        await self._behaviour.on_restarted(self.pod, podstatus.model_container(self.pod))
        await self._become(state)

    async def end(self, *, exit_code: int) -> None:
        """All containers end by themselves: phase Succeeded or Failed."""
        await self._stop_hook()
        await self._become(podstatus.ended(self._known_state(), _now(), exit_code=exit_code))

    async def terminate(self) -> None:
        """Honours a deletion: stops what runs, reports it, and lets the object go."""
        await self._stop_hook()
        if self.state is not None and self.state.ended_at is None:
            await self._become(podstatus.ended(self.state, _now(), exit_code=0))
        uid = {"uid": self.uid}
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": uid}
        await self._write("DELETE", options | {"gracePeriodSeconds": 0})

    async def abandon(self) -> None:
        """The object is gone, or the kubelet leaves: only what runs is stopped."""
        self.over = True
        await self._stop_hook()

    async def _stop_hook(self) -> None:
        if self._hooked:
            self._hooked = False
            await self._behaviour.on_stopped(self.pod)

    async def _become(self, state: PodState) -> None:
        # With the uid the write fails on a namesake that has taken this pod's place.
        body = {"metadata": {"uid": self.uid}, "status": podstatus.status(self.pod, state)}
        async with self._writing:
            await self._write("PATCH", body)
            self.state = state

    async def _write(self, method: str, body: Json) -> None:
        """Retries while the API server is away; a pod that is gone needs no writing."""
        while not self.over:
            try:
                if method == "DELETE":
                    await self._api.delete(self.path, body)
                else:
                    path = f"{self.path}/status"
                    self.pod = await self._api.patch(path, body, content_type=STRATEGIC_PATCH)
            except ApiError as error:
                if error.code in (NOT_FOUND, CONFLICT):
                    return
                if not error.is_temporary:
                    raise
            except Unreachable as error:
                log.debug("%s %s: %s", method, self.path, error)
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _known_state(self) -> PodState:
        if self.state is None:
            raise RuntimeError(f"{self.path} is not on a node yet")
        return self.state

    def _seconds(self, annotation: str, default: Seconds) -> float:
        own = self.pod["metadata"].get("annotations", {}).get(annotation)
        if own is not None:
            return float(own)
        return default(self.pod) if callable(default) else default


def _version(pod: Json) -> int:
    return int(pod["metadata"]["resourceVersion"])


def _now() -> str:
    return podstatus.rfc3339(dt.datetime.now(dt.UTC))


async def _sleep(seconds: float) -> None:
    if math.isinf(seconds):
        await asyncio.Event().wait()
    await asyncio.sleep(seconds)
