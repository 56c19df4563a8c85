"""The leaders: a pod's place in a LeaderWorkerSet, by what that set's controller writes on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.model.fleet import Owner
from adapter.model.owners import LEADER_WORKER_SET

LWS = "leaderworkerset.sigs.k8s.io"
MAX_SIZE_DIGITS = 4

Json = Mapping[str, Any]


def leader_worker_set(metadata: Json) -> Owner | None:
    """Return the set of a leader; a worker is none of its replicas but a part of one."""
    labels = metadata.get("labels") or {}
    name, rank = labels.get(f"{LWS}/name"), labels.get(f"{LWS}/worker-index", "0")
    return Owner(LEADER_WORKER_SET.qualified, name) if name and rank == "0" else None


def group(metadata: Json) -> dict[str, Any]:
    """Return the pod's place in its LeaderWorkerSet group; nothing where it is in none."""
    labels = metadata.get("labels") or {}
    name, index = labels.get(f"{LWS}/name"), labels.get(f"{LWS}/group-index")
    rank, size = labels.get(f"{LWS}/worker-index"), _size(metadata)
    if not (name and index and rank and rank.isdecimal()) or size < 2:  # noqa: PLR2004 - no group
        return {}
    return {"group": f"{name}/{index}", "rank": int(rank), "group_size": size}


def _size(metadata: Json) -> int:
    said = str((metadata.get("annotations") or {}).get(f"{LWS}/size", "0"))
    return int(said) if said.isdecimal() and len(said) <= MAX_SIZE_DIGITS else 0
