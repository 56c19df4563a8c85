"""The queue of single requests: each goes to the ready pod that has the fewest, and stays there.

A pod serves up to its concurrency at a time, the others wait in its own queue: a new pod takes none
of what waits elsewhere. A pod that is removed takes no more and finishes what it has.
"""

from __future__ import annotations

import heapq
from collections import deque

import numpy as np

from adapter.replay.pods import Pods
from adapter.replay.trace import Trace
from adapter.replay.waits import Waits
from adapter.replay.workload import Workload


class _Server:
    """One pod's requests: when each in service ends, and who waits."""

    __slots__ = ("ends", "queue")

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.queue: deque[int] = deque()

    @property
    def inflight(self) -> int:
        return len(self.ends) + len(self.queue)


class Requests:
    """Owns the requests of one replay."""

    def __init__(self, trace: Trace, workload: Workload) -> None:
        if trace.times is None or trace.work is None:
            raise ValueError("the trace has no single requests")
        self._step_seconds = trace.step_seconds
        self._times: list[float] = trace.times.tolist()
        self._service: list[float] = (trace.work * workload.service_seconds).tolist()
        self._slots = max(1, int(workload.concurrency))
        self._begun = [float("nan")] * len(self._times)
        self._servers: dict[str, _Server] = {}
        self._homeless: deque[int] = deque()
        self._next = 0
        self.waiting = 0.0
        self.running = 0.0

    def play(self, step: int, pods: Pods) -> None:
        """Serve one step with the pods that are ready in it."""
        begin, end = step * self._step_seconds, (step + 1) * self._step_seconds
        open_servers = [self._servers.setdefault(pod.name, _Server()) for pod in pods.ready]
        while self._homeless and open_servers:
            self._take(self._homeless.popleft(), begin, open_servers)
        while self._next < len(self._times) and self._times[self._next] < end:
            self._take(self._next, self._times[self._next], open_servers)
            self._next += 1
        self._settle(end, {pod.name for pod in pods.ready})

    def waits(self) -> Waits:
        """Return the waits of all requests; what waits at the end is served by its own pod then."""
        for server in self._servers.values():
            self._advance(server, float("inf"))
        times = np.asarray(self._times)
        begun = np.asarray(self._begun)
        # A request that never met a ready pod waits for longer than the trace.
        begun = np.where(np.isnan(begun), times + self._times[-1] + 1.0, begun)
        return Waits(times, np.maximum(0.0, begun - times), np.ones(len(times)))

    def _take(self, request: int, at: float, servers: list[_Server]) -> None:
        if not servers:
            self._homeless.append(request)
            return
        for server in servers:
            self._advance(server, at)
        chosen = min(servers, key=lambda server: server.inflight)
        chosen.queue.append(request)
        self._advance(chosen, at)

    def _advance(self, server: _Server, now: float) -> None:
        """Let requests end and begin until `now`, in the order in which they do."""
        ends, queue = server.ends, server.queue
        while ends and ends[0] <= now:
            freed = heapq.heappop(ends)
            if queue:
                self._begin(server, queue.popleft(), freed)
        while queue and len(ends) < self._slots:
            self._begin(server, queue.popleft(), now)

    def _begin(self, server: _Server, request: int, at: float) -> None:
        begun = max(at, self._times[request])
        self._begun[request] = begun
        heapq.heappush(server.ends, begun + self._service[request])

    def _settle(self, end: float, ready: set[str]) -> None:
        """Count what waits and runs at the end of the step; forget the pods that are done."""
        waiting, running = len(self._homeless), 0
        for name, server in list(self._servers.items()):
            self._advance(server, end)
            if name not in ready and not server.inflight:
                del self._servers[name]
            waiting += len(server.queue)
            running += len(server.ends)
        self.waiting, self.running = float(waiting), float(running)
