"""The top page: one line a workload with its pods, its queue and its GPUs, for `forescale top`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from adapter.errors import NotFound, NoValue
from adapter.model import overview
from adapter.model.excuses import printable
from adapter.model.fleet import Object, Owner, SourceKind
from adapter.model.overview import Row
from adapter.model.owners import KNOWN
from adapter.model.snapshot import Snapshot
from adapter.model.source import NEW
from adapter.ops.turn import Turn
from adapter.telemetry import release

MAX_WORKLOADS = (
    50  # a row costs up to a millisecond, and an answer holds the loop until it is whole
)

MAX_NAMED = 5  # releases of one workload: tenants write them


class Load(msgspec.Struct, frozen=True, rename="camel"):
    """One workload. Each of its pods that has not ended is served, held, loading or omitted.

    Figures are totals over its pods in the metric's own view, `gpu_percent` their mean; None where
    a query would get none, `why` says why `demand` has none. `demand` is of the metric `demand_of`;
    `desired` is how many pods its target asks for, None without a target. `gpus_per_pod` is what
    each asks for, None where it is none, a share of one, or not the same of all. `releases` are
    those of its sidecars that were heard, the most frequent first; one that says none counts as "".
    """

    namespace: str
    kind: str
    name: str
    replicas: int
    served: int
    held: int
    loading: int
    omitted: int
    pending: float | None
    gpu_percent: float | None
    demand_of: str
    demand: float | None
    desired: int | None
    why: str | None
    gpus_per_pod: int | None = None
    releases: Mapping[str, int] = {}


class Loads(msgspec.Struct, frozen=True, rename="camel"):
    """What was asked for at one moment (Unix seconds); `more` workloads were left out.

    `release` is the adapter's own.
    """

    taken_at: float
    workloads: tuple[Load, ...]
    more: int = 0
    release: str = ""


class Top:
    """Answers GET /top[?namespace=…][&kind=…][&name=…]: what is not asked for is all."""

    path = "/top"

    def __init__(self, read: Callable[[], Snapshot | None]) -> None:
        self._read = read
        self._turn = Turn()

    async def handle(self, request: web.Request) -> web.Response:
        """Return the Loads as JSON, or `{"error": words}` with the code of the error."""
        return await self._turn.answer(lambda: self._tell(dict(request.query)))

    def _tell(self, asked: Mapping[str, str]) -> Loads:
        snapshot = self._read()
        if snapshot is None:
            raise NoValue("the adapter has just started and has taken no snapshot yet")
        known = overview.workloads(snapshot.fleet)
        chosen = [workload for workload in known if _is_asked(workload, asked)]
        if not chosen and asked.get("name"):
            raise NotFound(
                overview.unknown(
                    snapshot.fleet, *(asked.get(key, "") for key in ("namespace", "kind", "name"))
                )
            )
        shown = overview.fair(chosen, MAX_WORKLOADS)
        loads = tuple(_load(snapshot, overview.row(snapshot, workload)) for workload in shown)
        return Loads(snapshot.wall, loads, len(chosen) - len(shown), release())


def _is_asked(workload: Object, asked: Mapping[str, str]) -> bool:
    namespace, owner = workload
    own = {"namespace": {namespace}, "kind": {owner.kind, owner.short_kind}, "name": {owner.name}}
    return all(asked[key] in own[key] for key in own if asked.get(key))


def _kind(owner: Owner) -> str:
    """Return the kind as it is asked for: qualified where it is none of Kubernetes' own."""
    known = KNOWN.named(owner.short_kind)
    return owner.short_kind if known and known.qualified == owner.kind else owner.kind


def _load(snapshot: Snapshot, row: Row) -> Load:
    namespace, owner = row.workload
    return Load(
        namespace, _kind(owner), owner.name,
        row.replicas, row.served, row.held, row.loading, row.omitted,
        row.pending, row.gpu_percent, row.demand.name, row.smoothed, row.desired, row.why,
        row.gpus_per_pod, _releases(snapshot, row.workload),
    )  # fmt: skip


def _releases(snapshot: Snapshot, workload: Object) -> dict[str, int]:
    pods = overview.group_of(snapshot.fleet, workload).pods
    own = (pod.uid for pod in pods if pod.source is SourceKind.SIDECAR)
    heard = (one for uid in own if (one := snapshot.sources.get(uid, NEW)).heard_at is not None)
    return dict(Counter(printable(one.word.release or "") for one in heard).most_common(MAX_NAMED))
