"""The debut: pods that turned serving a moment ago, of which no reading can be expected yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from adapter.model.fleet import Fleet, SourceKind, Standing
from adapter.model.freshness import FRESH_PERIODS
from adapter.model.precedence import GPU
from adapter.model.source import NEW, Source

# Two heartbeats of a sidecar and a tick: by then its first reading of a serving pod is here.
DEBUT_SECONDS = 5.0
# A page that was not there is asked for again after 15 s and a tenth (intake/rounds.py).
PAGE_DEBUT_SECONDS = 20.0

_Like = tuple[str, SourceKind | None]  # a namespace, and the kind of source


class Debut(NamedTuple):
    """Until when no reading need be here: of the pod's own figures, and of its GPUs."""

    until: float
    gpus_until: float  # never before `until`


class Debuting(NamedTuple):
    """Which pods make their debut now, in the fleet's order."""

    own: NDArray[np.bool_]
    gpus: NDArray[np.bool_]

    @classmethod
    def at(cls, now: float, fleet: Fleet, debuts: Mapping[str, Debut]) -> Self:
        """Return those whose debut lasts at `now`."""
        if not debuts:
            nobody = np.zeros(len(fleet.pods), np.bool_)
            return cls(nobody, nobody)
        own = (uid in debuts and now < debuts[uid].until for uid in fleet.pods)
        gpus = (uid in debuts and now < debuts[uid].gpus_until for uid in fleet.pods)
        count = len(fleet.pods)
        return cls(np.fromiter(own, np.bool_, count), np.fromiter(gpus, np.bool_, count))

    def of(self, series: str) -> NDArray[np.bool_]:
        """Return those of which this series need not be known yet."""
        return self.gpus if series.startswith(GPU) else self.own


def fold(
    debuts: Mapping[str, Debut],
    before: Mapping[str, Standing],
    after: Mapping[str, Standing],
    *,
    fleet: Fleet,
    sources: Mapping[str, Source],
    now: float,
) -> dict[str, Debut]:
    """Return the debut of each pod that turned serving so lately that it may have no reading yet.

    It lasts for two periods of the source that speaks for the pod. A pod that was serving when it
    was seen for the first time makes no debut: an adapter that has just started must not take
    silence for youth.
    """
    serving = Standing.SERVING
    kept = {
        uid: debut
        for uid, debut in debuts.items()
        if after.get(uid) is serving and now < debut.gpus_until
    }
    if before is after:
        return kept
    turned = [
        uid
        for uid, standing in after.items()
        if standing is serving and before.get(uid, serving) is not serving
    ]
    return kept | _begun(turned, fleet, sources, now) if turned else kept


def _begun(
    turned: list[str], fleet: Fleet, sources: Mapping[str, Source], now: float
) -> dict[str, Debut]:
    """Return the debuts that begin now; a pod of which nothing was heard goes by its like.

    Its like are those of its own namespace: what a stranger's sidecar says is no word on it.

    GPUs are waited for as long as any node's source may take: that of a new node is new, too.
    """
    slowest, of_nodes = _slowest(fleet, sources)
    debuts = {}
    for uid in turned:
        pod, source = fleet.pods[uid], sources.get(uid, NEW)
        least = DEBUT_SECONDS if pod.source is SourceKind.SIDECAR else PAGE_DEBUT_SECONDS
        own = source.period_seconds or slowest.get((pod.namespace, pod.source), 0.0)
        until = max(least, FRESH_PERIODS * own)
        gpus_until = max(until, FRESH_PERIODS * (source.node_period_seconds or of_nodes))
        debuts[uid] = Debut(now + until, now + gpus_until)
    return debuts


def _slowest(fleet: Fleet, sources: Mapping[str, Source]) -> tuple[dict[_Like, float], float]:
    """Return the longest period heard, of each namespace's kind of source and of nodes' sources."""
    slowest: dict[_Like, float] = {}
    of_nodes = 0.0
    for uid, pod in fleet.pods.items():
        source = sources.get(uid, NEW)
        like = (pod.namespace, pod.source)
        slowest[like] = max(slowest.get(like, 0.0), source.period_seconds or 0.0)
        of_nodes = max(of_nodes, source.node_period_seconds or 0.0)
    return slowest, of_nodes
