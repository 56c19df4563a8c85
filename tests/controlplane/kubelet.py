"""Pods live without a kubelet: fake nodes that take pods through their life by status writes."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Self

from tests.controlplane import netns
from tests.controlplane.addresses import AddressPool
from tests.controlplane.api import Api, ApiError, Unreachable
from tests.controlplane.nodes import register, unregister, wanted_by
from tests.controlplane.podlife import Behaviour, PodLife

Json = dict[str, Any]

POLL_SECONDS = 0.05
RECONNECT_SECONDS = 0.2
FINISHED = ("Succeeded", "Failed")

log = logging.getLogger(__name__)


class Kubelet:
    """The kubelets of some nodes, for the pods of `namespaces` (None: of all).

    An async context manager; it lives in the caller's event loop, and an error in a hook or a
    write is raised at its end. `behaviour` may be replaced at any time; a pod keeps the one it
    was first seen with. While `binds`, unscheduled pods are bound as they come, in turn over the
    nodes and to the node a DaemonSet names; False leaves that to a scheduler.
    """

    def __init__(
        self,
        api: Api,
        *,
        nodes: Iterable[str] = ("gpu-node-0",),
        namespaces: Iterable[str] | None = None,
        behaviour: Behaviour | None = None,
        addresses: AddressPool | None = None,
        binds: bool = True,
    ) -> None:
        self.nodes: dict[str, str] = {}
        self.namespaces = None if namespaces is None else set(namespaces)
        self.behaviour = behaviour or Behaviour()
        self.binds = binds
        self.errors: list[Exception] = []
        self._api = api
        self._first_nodes = tuple(nodes)
        self._node_addresses = AddressPool(netns.NODES)
        self._addresses = addresses or AddressPool()
        self._turns = itertools.count()
        self._lives: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for name in self._first_nodes:
            await self.add_node(name)
        self._watch = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        await _cancelled(self._watch)
        for life in list(self._lives.values()):
            self._next(life, self._forget(life))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for name in self.nodes:
            await unregister(self._api, name)
        self.check()

    async def add_node(
        self, name: str, *, gpus: int = 8, labels: Mapping[str, str] | None = None
    ) -> None:
        """One more node (a name that is there is changed); `nodes` has its address."""
        address = self.nodes.get(name) or self._node_addresses.take()
        # Known before it is there: a scheduler may bind a pod to it before `register` has returned.
        self.nodes[name] = address
        await register(self._api, name, address, gpus=gpus, labels=labels or {})

    def check(self) -> None:
        """Raises what went wrong in hooks and writes so far."""
        if self.errors:
            raise ExceptionGroup("the fake kubelet failed", self.errors)

    def take(self, namespace: str) -> None:
        """Also runs the pods of this namespace; those it has already are not looked for."""
        if self.namespaces is not None:
            self.namespaces.add(namespace)

    def running(self, namespace: str) -> list[Json]:
        """The pods whose containers run, by name, with the status last written."""
        return self._pods(namespace, lambda life: life.is_running)

    def ready(self, namespace: str) -> list[Json]:
        return self._pods(namespace, lambda life: life.is_ready)

    def pods(self, namespace: str) -> list[Json]:
        """All pods that this kubelet has and has not let go, terminating ones too."""
        return self._pods(namespace, lambda _: True)

    async def wait_running(
        self, namespace: str, count: int, *, timeout_seconds: float = 30.0
    ) -> list[Json]:
        """Waits until exactly `count` pods run; returns them."""
        await self.until(lambda: len(self.running(namespace)) == count, timeout_seconds)
        return self.running(namespace)

    async def wait_ready(
        self, namespace: str, count: int, *, timeout_seconds: float = 30.0
    ) -> list[Json]:
        """Waits until exactly `count` pods are ready; returns them."""
        await self.until(lambda: len(self.ready(namespace)) == count, timeout_seconds)
        return self.ready(namespace)

    async def drained(self, namespace: str, *, timeout_seconds: float = 30.0) -> None:
        """Waits until no pod of the namespace is left here."""
        await self.until(lambda: not self.pods(namespace), timeout_seconds)

    async def until(self, holds: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
        """Waits for a state of the pods; a TimeoutError lists them all."""
        deadline = time.monotonic() + timeout_seconds
        while not holds():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_seconds:g} s the pods are: {self._summary()}")
            await asyncio.sleep(POLL_SECONDS)

    async def set_ready(self, namespace: str, name: str, *, is_ready: bool) -> None:
        """The pod's readiness probe says this from now on (also in place of its cold start)."""
        await self._find(namespace, name).set_ready(is_ready=is_ready)

    async def restart_container(self, namespace: str, name: str, *, exit_code: int = 1) -> None:
        """The model container ends and starts again, cold; returns when that was reported."""
        life = self._find(namespace, name)
        await _cancelled(self._tasks.get(life.uid))
        await life.restart(exit_code=exit_code)
        self._next(life, life.warm_up())

    async def end_pod(self, namespace: str, name: str, *, exit_code: int = 0) -> None:
        """The pod's containers end by themselves: phase Succeeded, or Failed where not 0."""
        life = self._find(namespace, name)
        await _cancelled(self._tasks.get(life.uid))
        await life.end(exit_code=exit_code)

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._api.watch("/api/v1/pods", await self._list()):
                    self._saw(event["type"], event["object"])
            except (ApiError, Unreachable) as error:
                log.debug("pods: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _list(self) -> str:
        pods = await self._api.get("/api/v1/pods")
        there = {pod["metadata"]["uid"] for pod in pods["items"]}
        for life in [life for uid, life in self._lives.items() if uid not in there]:
            self._next(life, self._forget(life))
        for pod in pods["items"]:
            self._saw("ADDED", pod)
        return str(pods["metadata"]["resourceVersion"])

    def _saw(self, change: str, pod: Json) -> None:
        if change == "BOOKMARK":
            return
        life = self._lives.get(pod["metadata"]["uid"])
        if life is None:
            if change != "DELETED" and self._is_ours(pod):
                self._adopt(pod)
        elif change == "DELETED":
            self._next(life, self._forget(life))
        else:
            life.observe(pod)
            self._honour_deletion(life, pod)

    def _is_ours(self, pod: Json) -> bool:
        if self.namespaces is not None and pod["metadata"]["namespace"] not in self.namespaces:
            return False
        if pod.get("status", {}).get("phase") in FINISHED or pod["spec"].get("schedulingGates"):
            return False
        node = pod["spec"].get("nodeName")
        return node in self.nodes if node else self.binds

    def _adopt(self, pod: Json) -> None:
        life = PodLife(self._api, pod, self.behaviour)
        self._lives[life.uid] = life
        self._next(life, self._live(life))
        self._honour_deletion(life, pod)

    def _honour_deletion(self, life: PodLife, pod: Json) -> None:
        if "deletionTimestamp" in pod["metadata"] and not life.terminating:
            life.terminating = True
            self._next(life, life.terminate())

    async def _live(self, life: PodLife) -> None:
        node = life.pod["spec"].get("nodeName")
        if not node:
            await life.wait_for_node()
            node = wanted_by(life.pod) or self._node_in_turn()
            await life.bind(node)
        host_ip = self.nodes[node]
        on_host = life.pod["spec"].get("hostNetwork", False)
        await life.live(node, host_ip, host_ip if on_host else self._addresses.take())

    def _node_in_turn(self) -> str:
        return list(self.nodes)[next(self._turns) % len(self.nodes)]

    async def _forget(self, life: PodLife) -> None:
        try:
            await life.abandon()
        finally:
            self._lives.pop(life.uid, None)
            state = life.state
            if state is not None and state.pod_ip != state.host_ip:
                self._addresses.give_back(state.pod_ip)

    def _next(self, life: PodLife, step: Coroutine[Any, Any, None]) -> None:
        """One task a pod: the next step ends the one before it."""
        before = self._tasks.get(life.uid)
        self._tasks[life.uid] = asyncio.create_task(self._guarded(life, before, step))

    async def _guarded(
        self, life: PodLife, before: asyncio.Task[None] | None, step: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await _cancelled(before)
            await step
        except Exception as error:  # noqa: BLE001 - kept for `check`, which raises it in the test
            error.add_note(f"pod {life.path}")
            self.errors.append(error)
        finally:
            step.close()
            if life.over:
                self._tasks.pop(life.uid, None)

    def _find(self, namespace: str, name: str) -> PodLife:
        for life in self._lives.values():
            meta = life.pod["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, name) and not life.terminating:
                return life
        raise LookupError(f"no pod {namespace}/{name} here; there are: {self._summary()}")

    def _pods(self, namespace: str, chosen: Callable[[PodLife], bool]) -> list[Json]:
        lives = [life for life in self._lives.values() if chosen(life)]
        pods = [life.pod for life in lives if life.pod["metadata"]["namespace"] == namespace]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    def _summary(self) -> str:
        states = (f"{life.path}: {life.describe()}" for life in self._lives.values())
        return "; ".join(states) or "none"


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    """Ends a task and waits for its end."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
