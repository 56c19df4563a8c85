"""The outlook: which pods are about to run out of memory, or do without a part of their GPUs."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.model.exits import Workload, workload_of
from adapter.model.fleet import Standing
from adapter.model.freshness import HELD_PERIODS, Freshness
from adapter.model.snapshot import Snapshot
from adapter.model.source import NEW, Source


def near(snapshot: Snapshot, uid: str) -> str | None:
    """Return what is about to be full in the pod; None where nothing is, or nobody tells."""
    source = snapshot.sources.get(uid, NEW)
    if not source.word.near_oom or not _stands(snapshot, uid, source):
        return None
    return source.word.near_oom_why or "its source does not say of what"


def near_by_workload(snapshot: Snapshot) -> Mapping[Workload, int]:
    """Return how many serving pods of each workload are about to run out of memory.

    A workload none of whose pods tells is not in it: that is not known, and not 0.
    """
    out: dict[Workload, int] = {}
    for uid, source in snapshot.sources.items():
        told = source.word.near_oom
        if told is None or snapshot.standings.get(uid) is not Standing.SERVING:
            continue
        if _stands(snapshot, uid, source):
            workload = workload_of(snapshot.fleet.pods[uid])
            out[workload] = out.get(workload, 0) + told
    return out


def lacking_by_workload(snapshot: Snapshot) -> Mapping[Workload, int]:
    """Return how many serving pods of each workload have figures of a part of their GPUs alone.

    Workloads whose pods have one GPU each, or none that is known, are not in it.
    """
    out: dict[Workload, int] = {}
    for uid, source in snapshot.sources.items():
        if source.gpus.count > 1 and snapshot.standings.get(uid) is Standing.SERVING:
            workload = workload_of(snapshot.fleet.pods[uid])
            lacks = any(_is_known(snapshot, uid, series) for series in source.gpus.without)
            out[workload] = out.get(workload, 0) + lacks
    return out


def _is_known(snapshot: Snapshot, uid: str, series: str) -> bool:
    """Return whether the figure is served, so that it can look like that of all GPUs."""
    row = snapshot.window.rows.get((uid, series))
    return row is not None and bool(snapshot.grades[row] < Freshness.GONE)


def _stands(snapshot: Snapshot, uid: str, source: Source) -> bool:
    """Return whether the source was heard so lately that its word still holds."""
    if source.heard_at is None:
        return False
    longest = HELD_PERIODS * (source.period_seconds or 0.0)
    return snapshot.at - source.heard_at <= max(snapshot.trails.hold.of(uid), longest)
