"""The remarks: what is wrong with pods' annotations, or cannot be done, told once a workload.

It is told in the log and as an Event. Annotations are tenants' own words: what is told is bounded a
namespace and a round, so that no tenant floods the log or the API server, or keeps another's
mistakes from being told.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Container, Iterable
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import astuple

from adapter.cluster import Cluster
from adapter.intake import notice
from adapter.model.exits import Workload, workload_of
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.telemetry import log, warn

PERIOD_SECONDS = 5.0  # somebody who has just applied a manifest looks that soon
MAX_A_ROUND = 10  # two Events a second at the most
MAX_A_NAMESPACE = 20
# A text that comes and goes is told again after that: as long as an Event is kept by default.
REMEMBERED_SECONDS = 3600.0


class Reason(StrEnum):
    """The reason of an Event, by what the log calls it."""

    WRONG = "AnnotationWrong"
    UNKNOWN = "AnnotationUnknown"
    NO_ROOM = "ForecastWithoutRoom"


_LOGGED = {
    Reason.WRONG: "annotation_wrong",
    Reason.UNKNOWN: "annotation_unknown",
    Reason.NO_ROOM: "forecast_without_room",
}


class Told(NamedTuple):
    """What is told once."""

    workload: Workload
    reason: Reason
    words: str


def _none_crowded() -> Iterable[tuple[Pod, str]]:
    return ()


class Remarks:
    """Looks at the fleet every few seconds; without a cluster the log alone is told.

    `crowded` gives a pod of each workload that finds no room for its forecast, and why.
    """

    def __init__(
        self,
        fleet: Callable[[], Fleet],
        cluster: Cluster | None = None,
        crowded: Callable[[], Iterable[tuple[Pod, str]]] = _none_crowded,
    ) -> None:
        self._fleet = fleet
        self._cluster = cluster
        self._crowded = crowded
        self._told: dict[str, dict[Told, float]] = {}  # by namespace: when it was last seen

    async def run(self) -> None:
        """Look until cancelled; a look that breaks is told and the next one tried."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.look(clock())
            # A task boundary: no annotation is worth an adapter.
            except Exception:  # noqa: BLE001
                log.exception("remarks_failed")

    async def look(self, now: float) -> None:
        """Tell what was not told yet, as far as the bounds allow; the rest waits."""
        standing = _standing(self._fleet()) | {
            Told(workload_of(pod), Reason.NO_ROOM, words): pod for pod, words in self._crowded()
        }
        self._remember(standing, now)
        left = MAX_A_ROUND
        for one, pod in standing.items():
            told = self._told.setdefault(one.workload.namespace, {})
            if left and one not in told and len(told) < MAX_A_NAMESPACE:
                told[one], left = now, left - 1
                await self._tell(one, pod)

    def _remember(self, standing: Container[Told], now: float) -> None:
        """Note what is still there, and forget what has been gone for long."""
        remembered = {}
        for namespace, told in self._told.items():
            seen = {one: now if one in standing else at for one, at in told.items()}
            kept = {one: at for one, at in seen.items() if now - at < REMEMBERED_SECONDS}
            if kept:
                remembered[namespace] = kept
        self._told = remembered

    async def _tell(self, one: Told, pod: Pod) -> None:
        name = f"{one.workload.kind}/{one.workload.name}"
        event = _LOGGED[one.reason]
        warn(event, pod=f"{pod.namespace}/{pod.name}", workload=name, why=one.words)
        if self._cluster is not None:
            known_as = f"forescale-{_digest(one)}"
            await notice.tell_of(self._cluster, pod, known_as, str(one.reason), one.words)


def _standing(fleet: Fleet) -> dict[Told, Pod]:
    """Return what is wrong now, each with one of the pods that it is wrong of."""
    pods = (*fleet.ordered, *fleet.node_sources.values())
    return {
        Told(workload_of(pod), Reason.WRONG if remark.known else Reason.UNKNOWN, remark.words): pod
        for pod in pods
        if pod.remarks and pod.standing() is not Standing.ENDED
        for remark in pod.remarks
    }


def _digest(one: Told) -> str:
    """Return what names an Event: the same in every replica, and after a restart."""
    whole = "\0".join((*astuple(one.workload), one.words))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
