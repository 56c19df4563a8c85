"""The spending: GPU-seconds of every workload, by what they went into, since this adapter listens.

Whoever holds a GPU pays for it, from the moment its pod is on a node. What is not known is UNKNOWN
and never IDLE: a silent sidecar must not look like waste.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.model.catalogue import MEAN_60S
from adapter.model.exits import MAX_WORKLOADS, OTHERS, Workload, workload_of
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.holding import Node
from adapter.model.snapshot import Snapshot
from adapter.night import HOURS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOOK_SECONDS = 5.0
# A longer silence of the loop itself, as of a machine that slept: nobody saw what was done in it.
GAP_SECONDS = 60.0
IDLE_PERCENT = 2.0  # of the last minute: that of nvidia-smi and other watchers alone is less
_BUSY_SERIES = "gpu_busy_percent"


class Use(IntEnum):
    """What a GPU-second went into; the number is its column."""

    BUSY = 0
    IDLE = 1  # the pod serves, and its GPUs did nothing in the last minute
    LOADING = 2  # its pod is on a node and does not serve yet
    UNKNOWN = 3  # no reading that may be served, or the pod ends


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """What has a price of its own: the GPUs of one product that one workload holds.

    `product` is as GPU feature discovery names it, None where the node does not say; `spot` is
    None where nodes cannot be watched.
    """

    workload: Workload
    product: str | None = None
    spot: bool | None = None


class Spent(msgspec.Struct, frozen=True, rename="camel"):
    """One account: GPUs held now, and GPU-seconds; those by hour of the day are UTC's, 24 each."""

    account: Account
    gpus: int
    busy_seconds: float
    idle_seconds: float
    loading_seconds: float
    unknown_seconds: float
    held_by_hour: tuple[float, ...]
    idle_by_hour: tuple[float, ...]


class Sum(msgspec.Struct, frozen=True):
    """One account in short: GPUs held now, and GPU-seconds by Use, in its order.

    `night_seconds` are those of them in the hours of the day that were asked for.
    """

    account: Account
    gpus: int
    seconds: tuple[float, ...]
    night_seconds: float = 0.0


_Row = tuple[Pod, int, int, bool]  # account, GPUs, whether it ends


class _Held(msgspec.Struct, frozen=True):
    """Who holds GPUs in one fleet, column by column: place, account, GPUs, whether it ends."""

    places: Integers
    accounts: Integers
    gpus: Floats
    ending: NDArray[np.bool_]


_NOBODY = _Held(
    np.array([], np.int64),
    np.array([], np.int64),
    np.array([], np.float64),
    np.array([], np.bool_),
)


class Spending:
    """Charges the time between two looks to what was seen at the first of them."""

    def __init__(self) -> None:
        self._accounts: dict[Account, int] = {}
        self._workloads: set[Workload] = set()
        self._seconds: Floats = np.zeros((0, HOURS, len(Use)))
        self._fleet: Fleet | None = None
        self._nodes: Mapping[str, Node] = {}
        self._rows: dict[str, _Row] = {}  # by UID, in the fleet's order
        self._held, self._uses = _NOBODY, np.array([], np.int64)
        self._at: float | None = None
        self.began_wall: float | None = None

    def look(self, snapshot: Snapshot) -> None:
        """Charge the time since the last look; a look that comes too soon is none."""
        if self._at is None:
            self._at, self.began_wall = snapshot.at, snapshot.wall
        elif snapshot.at - self._at < LOOK_SECONDS:
            return
        else:
            self._charge(snapshot.at - self._at, int(snapshot.wall // 3600) % HOURS)
            self._at = snapshot.at
        if snapshot.fleet is not self._fleet:
            self._fleet, self._held = snapshot.fleet, self._holders(snapshot.fleet)
        self._uses = _uses(snapshot, self._held)

    def told(self) -> tuple[Spent, ...]:
        """Return every account that was ever charged or holds GPUs now."""
        return tuple(
            _spent(account, gpus, hours)
            for account, gpus, hours in zip(self._accounts, self._now(), self._seconds, strict=True)
        )

    def sums(self, night: Sequence[int] = ()) -> tuple[Sum, ...]:
        """Return the same with these hours of the day alone, in a tenth of the time."""
        seconds = map(tuple, self._seconds.sum(axis=1).tolist())
        dark = self._seconds[:, list(night)].sum(axis=(1, 2)).tolist()
        return tuple(map(Sum, self._accounts, self._now(), seconds, dark))

    def _now(self) -> list[int]:
        found = np.bincount(self._held.accounts, self._held.gpus, len(self._accounts))
        return [round(gpus) for gpus in found.tolist()]

    def _charge(self, seconds: float, hour: int) -> None:
        uses = self._uses if seconds <= GAP_SECONDS else np.full_like(self._uses, Use.UNKNOWN)
        cells = self._held.accounts * len(Use) + uses
        added = np.bincount(cells, seconds * self._held.gpus, len(self._accounts) * len(Use))
        self._seconds[:, hour] += added.reshape(-1, len(Use))

    def _holders(self, fleet: Fleet) -> _Held:
        # Most pods are those of the fleet before, where a dictionary is a tenth of the work.
        before = self._rows if fleet.nodes == self._nodes else {}
        self._nodes, self._rows = fleet.nodes, {}
        for pod in fleet.ordered:
            row = before.get(pod.uid)
            self._rows[pod.uid] = row if row and row[0] is pod else self._row(fleet, pod)
        rows = enumerate(self._rows.values())
        found = [(place, number, gpus, ends) for place, (_, number, gpus, ends) in rows if gpus]
        missing = len(self._accounts) - len(self._seconds)
        self._seconds = np.concatenate([self._seconds, np.zeros((missing, HOURS, len(Use)))])
        if not found:
            return _NOBODY
        table = np.array(found, np.int64)
        return _Held(table[:, 0], table[:, 1], table[:, 2].astype(np.float64), table[:, 3] > 0)

    def _row(self, fleet: Fleet, pod: Pod) -> _Row:
        gpus = gpus_of(pod)
        number = self._number(fleet, pod) if gpus else 0
        return pod, number, gpus, pod.standing() is Standing.ENDED

    def _number(self, fleet: Fleet, pod: Pod) -> int:
        node = fleet.nodes.get(pod.node or "")
        workload = workload_of(pod)
        if workload not in self._workloads and len(self._workloads) >= MAX_WORKLOADS:
            workload = OTHERS
        self._workloads.add(workload)
        account = Account(workload, node.product if node else None, node.spot if node else None)
        return self._accounts.setdefault(account, len(self._accounts))


def gpus_of(pod: Pod) -> int:
    """Return how many whole GPUs a pod keeps from others: no shared ones, no MIG instances."""
    gone = pod.phase in ("Succeeded", "Failed")
    if pod.node is None or gone or pod.holding.sharing:
        return 0
    whole = sum(not one.upper().startswith("MIG") for one in pod.holding.ids)
    return sum(pod.gpus.values()) or whole


def _uses(snapshot: Snapshot, held: _Held) -> Integers:
    """Return what each holder's GPUs do at this moment."""
    if not len(held.places):
        return np.array([], np.int64)
    levels = snapshot.levels(MEAN_60S, _BUSY_SERIES, held.places)
    idle = levels.values < IDLE_PERCENT  # NaN is not
    serving = np.where(idle, Use.IDLE, Use.BUSY)
    serving = np.where(levels.known, serving, Use.UNKNOWN)
    found = np.where(snapshot.serving[held.places], serving, Use.LOADING)
    return np.where(held.ending, Use.UNKNOWN, found).astype(np.int64)


def _spent(account: Account, gpus: int, seconds: Floats) -> Spent:
    by_use: Mapping[Use, float] = dict(zip(Use, seconds.sum(axis=0).tolist(), strict=True))
    return Spent(
        account,
        gpus,
        by_use[Use.BUSY],
        by_use[Use.IDLE],
        by_use[Use.LOADING],
        by_use[Use.UNKNOWN],
        tuple(seconds.sum(axis=1).tolist()),
        tuple(seconds[:, Use.IDLE].tolist()),
    )
