"""The decisions: how many replicas one workload asked for and had of late, each change in words.

No HPA is read: what is asked for is what its pods' targets say, and replicas are its pods.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from adapter.model.hpa_metric import shown
from adapter.model.overview import Ask, Row
from adapter.model.target import DEMANDS

KEPT = 6
# An HPA asks every 15 s: what came and went in between was seen by none.
SYNC_SECONDS = 15.0
_SHORT = {metric: name for name, metric in DEMANDS.items()}


class Decision(msgspec.Struct, frozen=True):
    """One change; `at` (Unix seconds) is when it began."""

    at: float
    words: str


class _Moment(msgspec.Struct, frozen=True):
    """What is compared; `wants` is None without a target, and while a total has no value."""

    replicas: int
    wants: int | None
    known: bool


class Decisions:
    """The last changes of one workload, of which those within one sync of an HPA are one."""

    def __init__(self) -> None:
        self._kept: deque[Decision] = deque(maxlen=KEPT)
        self._settled: _Moment | None = None  # before the newest change
        self._newest: _Moment | None = None

    @property
    def kept(self) -> tuple[Decision, ...]:
        """The newest first."""
        return tuple(self._kept)

    def note(self, row: Row, now: float) -> None:
        """Take in what a row says at `now`, Unix seconds."""
        moment = _Moment(row.replicas, row.desired, row.smoothed is not None)
        if moment == self._newest:
            return
        before, at = self._newest, now
        if self._kept and 0 <= now - self._kept[0].at < SYNC_SECONDS:
            before, at = self._settled, self._kept.popleft().at
        self._settled, self._newest = before, moment
        if before is not None and moment != before:
            self._kept.appendleft(Decision(at, _words(before, moment, row)))


def _words(before: _Moment, after: _Moment, row: Row) -> str:
    said = []
    if after.wants != before.wants:
        said.append(_wants(before.wants, after.wants, row))
    elif after.known != before.known:
        said.append("has a value again" if after.known else f"has no value: {row.why}")
    if after.replicas != before.replicas:
        said.append(f"{before.replicas} -> {after.replicas} replicas")
    elif after.wants != before.wants:
        is_one = after.replicas == 1
        said.append("there is 1" if is_one else f"there are {after.replicas}")
    if row.held:
        said.append(f"{row.held} {_pods(row.held)} held at the last value")
    return "; ".join(said)


def _wants(before: int | None, after: int | None, row: Row) -> str:
    instead = "" if before is None else f" in place of {before}"
    if after is not None:
        return f"asks for {after}{instead}: {_arithmetic(row.asks)}"
    why = next((ask.why for ask in row.asks if ask.replicas is None), None)
    return f"asks for nothing{instead}: {why or 'its pods have no target'}"


def _arithmetic(asks: Sequence[Ask]) -> str:
    """Return the division that asks for most, as an HPA would be shown it."""
    most = max(asks, key=lambda ask: ask.replicas or 0)
    name, carries = _SHORT[most.target.metric], shown(most.target.milli)
    raised = most.acting_milli != most.total_milli
    forecast = f", forecast {shown(most.acting_milli or 0)}" if raised else ""
    return f"{name} {shown(most.total_milli or 0)} in total{forecast} / {carries} per pod"


def _pods(count: int) -> str:
    return "pod" if count == 1 else "pods"
