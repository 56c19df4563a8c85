"""Probes: is the loop alive, can discovery be served; each check has a name and words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapter.model.snapshot import Snapshot

# Twenty ticks: a garbage collection or a big relist is no reason to be killed.
DEAD_AFTER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One named condition and what was seen."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What readiness looks at, once it is built; `states` are shown and decide nothing."""

    synced: Callable[[], bool]
    tried: Callable[[], bool]
    api_ready: Callable[[], bool]
    states: Callable[[], Mapping[str, str]]


class Probes:
    """Derives liveness from the loop, and readiness from what discovery and answers need.

    They answer from the first moment: until `parts` are there, readiness fails with the words of
    `waiting_for`, and an adapter that waits for its API server is alive. Readiness never depends on
    there being metrics: an adapter without pods must serve discovery, or namespaces cannot be
    deleted. At start it waits until the pods are listed and their streams were tried,
    `first_try_seconds` at most; a pod list that does not come keeps it waiting.
    """

    def __init__(
        self,
        *,
        read: Callable[[], Snapshot | None],
        now: Callable[[], float],
        first_try_seconds: float,
    ) -> None:
        self._read = read
        self._now = now
        self._first_try_seconds = first_try_seconds
        self._synced_at: float | None = None
        self._tried_at: float | None = None
        self._warm = False
        self._started = now()
        self.parts: Parts | None = None
        self.waiting_for = "its parts"
        self.stopping = False

    def live(self) -> tuple[Check, ...]:
        """Return the checks of /livez: the loop ticks, or was started a moment ago."""
        snapshot = self._read()
        since = self._now() - (snapshot.at if snapshot else self._started)
        return (Check("loop", since < DEAD_AFTER_SECONDS, f"last tick {since:.1f} s ago"),)

    def ready(self) -> tuple[Check, ...]:
        """Return the checks of /readyz."""
        stopping = Check("stopping", not self.stopping, "shutting down" if self.stopping else "no")
        if self.parts is None:
            return (stopping, Check("started", passed=False, words=f"waits for {self.waiting_for}"))
        api, synced = self.parts.api_ready(), self.parts.synced()
        tried = self._warm_enough(self.parts)
        states = self.parts.states().items()
        return (
            stopping,
            Check("api", api, "answers" if api else "not listening, or no front proxy known yet"),
            Check("pods", synced, "listed" if synced else "the pod list has not come yet"),
            Check("streams", tried, "tried" if tried else "still waiting for first frames"),
            *(Check(name, passed=True, words=words) for name, words in states),
        )

    def _warm_enough(self, parts: Parts) -> bool:
        """Return whether streams were tried; once true it stays so: later pods are no reason."""
        if self._warm or not parts.synced():
            return self._warm
        if self._synced_at is None:
            self._synced_at = self._now()
        snapshot = self._read()
        followed = snapshot is not None and snapshot.at > self._synced_at
        if followed and self._tried_at is None and parts.tried():
            self._tried_at = self._now()
        # What the last stream said is in the Snapshot of the tick after it, not in this one.
        heard = snapshot is not None and snapshot.at > (self._tried_at or math.inf)
        waited = self._now() - self._synced_at >= self._first_try_seconds
        self._warm = followed and (waited or heard)
        return self._warm
