"""Probes: is the loop alive, can discovery be served; each check has a name and words."""

from __future__ import annotations

from collections.abc import Callable
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


class Probes:
    """Derives liveness from the loop, and readiness from what discovery and answers need.

    Readiness never depends on there being metrics: an adapter without pods must serve discovery, or
    namespaces cannot be deleted. At start it waits until the pods are listed and their streams were
    tried, `first_try_seconds` at most; a pod list that does not come keeps it waiting.
    """

    def __init__(
        self,
        *,
        read: Callable[[], Snapshot | None],
        now: Callable[[], float],
        synced: Callable[[], bool],
        tried: Callable[[], bool],
        api_ready: Callable[[], bool],
        first_try_seconds: float,
    ) -> None:
        self._read = read
        self._now = now
        self._synced = synced
        self._tried = tried
        self._api_ready = api_ready
        self._first_try_seconds = first_try_seconds
        self._synced_at: float | None = None
        self._warm = False
        self._started = now()
        self.stopping = False

    def live(self) -> tuple[Check, ...]:
        """Return the checks of /livez."""
        snapshot = self._read()
        since = self._now() - (snapshot.at if snapshot else self._started)
        return (Check("loop", since < DEAD_AFTER_SECONDS, f"last tick {since:.1f} s ago"),)

    def ready(self) -> tuple[Check, ...]:
        """Return the checks of /readyz."""
        api, synced, tried = self._api_ready(), self._synced(), self._warm_enough()
        return (
            Check("stopping", not self.stopping, "shutting down" if self.stopping else "no"),
            Check("api", api, "answers" if api else "not listening, or no front proxy known yet"),
            Check("pods", synced, "listed" if synced else "the pod list has not come yet"),
            Check("streams", tried, "tried" if tried else "still waiting for first frames"),
        )

    def _warm_enough(self) -> bool:
        """Return whether streams were tried; once true it stays so: later pods are no reason."""
        if self._warm or not self._synced():
            return self._warm
        if self._synced_at is None:
            self._synced_at = self._now()
        snapshot = self._read()
        followed = snapshot is not None and snapshot.at > self._synced_at
        waited = self._now() - self._synced_at >= self._first_try_seconds
        self._warm = (followed and self._tried()) or waited
        return self._warm
