"""The decisions: how many replicas one workload asked for and had of late, each change in words.

No HPA is read: what is asked for is what its pods' targets say, and replicas are its pods.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from adapter.model.hpa_metric import shown
from adapter.model.overview import GPU, PENDING, Ask, Row
from adapter.model.target import DEMANDS

KEPT = 6  # of each sort: what is asked for may change at every look, and replicas seldom
# An HPA asks every 15 s: what came and went in between was seen by none.
SYNC_SECONDS = 15.0
_SHORT = {metric: name for name, metric in DEMANDS.items()} | {PENDING.name: "pending"}


class Decision(msgspec.Struct, frozen=True):
    """One change; `at` (Unix seconds) is when it began, `scaled` whether replicas changed."""

    at: float
    words: str
    scaled: bool = False


class _Moment(msgspec.Struct, frozen=True):
    """What is compared; `wants` is None without a target, and while a total has no value."""

    replicas: int
    wants: int | None
    known: bool


class Decisions:
    """The last changes of one workload, of which those within one sync of an HPA are one."""

    def __init__(self) -> None:
        self.since: float | None = None  # the first look, Unix seconds
        self._kept: list[Decision] = []  # the newest first
        self._settled: _Moment | None = None  # before the newest change
        self._newest: _Moment | None = None
        self._served = self._then = ""  # in words: at the last look, and before replicas changed

    @property
    def kept(self) -> tuple[Decision, ...]:
        """The newest first."""
        return tuple(self._kept)

    def note(self, row: Row, now: float) -> None:
        """Take in what a row says at `now`, Unix seconds."""
        moment = _Moment(row.replicas, row.desired, row.smoothed is not None)
        self._take(moment, now, row)
        self._served = _served(row)

    def leave(self, now: float) -> None:
        """Take in that the workload has no pod: it may come back."""
        self._take(_Moment(0, None, known=False), now)
        self._served = ""

    def _take(self, moment: _Moment, now: float, row: Row | None = None) -> None:
        if moment == self._newest:
            return
        if self._newest is None:
            self.since = now
        elif moment.replicas != self._newest.replicas:
            self._then = self._served
        before, at = self._newest, now
        if self._kept and 0 <= now - self._kept[0].at < SYNC_SECONDS:
            before, at = self._settled, self._kept.pop(0).at
        self._settled, self._newest = before, moment
        if before is not None and moment != before:
            words = _words(before, moment, row, self._then)
            self._keep(Decision(at, words, scaled=moment.replicas != before.replicas))

    def _keep(self, one: Decision) -> None:
        self._kept.insert(0, one)
        alike = [old for old in self._kept if old.scaled == one.scaled]
        for old in alike[KEPT:]:
            self._kept.remove(old)


def _words(before: _Moment, after: _Moment, row: Row | None, then: str) -> str:
    """Return the change, replicas first: whatever follows may be cut.

    `then` is what was served just before: what an HPA went by, before its new pods count.
    """
    said = []
    if after.replicas != before.replicas:
        served = f"with {then}" if then else "with no value served"
        said.append(f"{before.replicas} -> {after.replicas} replicas, {served}")
    if row is not None:
        said += _asked(before, after, row)
    return "; ".join(said)


def _asked(before: _Moment, after: _Moment, row: Row) -> list[str]:
    said, scaled = [], after.replicas != before.replicas
    if after.wants != before.wants or (scaled and after.wants is not None):
        said.append(_wants(before.wants, after.wants, row))
    elif after.known != before.known:
        said.append("has a value again" if after.known else f"has no value: {row.why}")
    if not scaled and after.wants != before.wants:
        is_one = after.replicas == 1
        said.append("there is 1" if is_one else f"there are {after.replicas}")
    if row.held:
        said.append(f"{row.held} {_pods(row.held)} held at the last value")
    return said


def _served(row: Row) -> str:
    """Return the figures of a row that HPAs go by; empty where there is none."""
    name = _SHORT.get(row.demand.name, row.demand.name)
    figures = [
        (f"{name} ", row.smoothed, " in total"),
        ("pending ", row.pending if row.demand != PENDING else None, ""),
        (f"{_SHORT[GPU.name]} ", row.gpu_percent, " % a pod"),
    ]
    told = (f"{what}{_figure(at)}{of}" for what, at, of in figures if at is not None)
    return ", ".join(told)


def _figure(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _wants(before: int | None, after: int | None, row: Row) -> str:
    instead = "" if before in (None, after) else f" in place of {before}"
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
