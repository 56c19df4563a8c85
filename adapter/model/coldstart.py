"""The cold start: how long a workload's pods take from creation until they serve, as learnt.

Starts that ended and those that are only known to take longer (censored) both count: the estimate
is Kaplan and Meier's. `sighting.py` says what a pod tells, `starting.py` watches the fleet.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from heapq import nlargest

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.model.sighting import Key, Sighting, Start, observed, stuck

# A learner keeps this much of a workload: enough for a 90th percentile, and no older than two
# weeks, since images, nodes and caches change.
KEPT_STARTS = 50
KEPT_SECONDS = 14 * 86_400.0
# Deployments x templates. When all are taken, the namespace that has the most of them gives up the
# one that is longest without a start: a tenant's churn costs its own past, and nobody else's.
MAX_KEYS = 4_096

# Before anything is known: vLLM's own reports are 60 to 280 s, a new node takes 150 s more
# (log-normal, log-sd 0.5, so the 90th percentile is 1.9 times the median).
PRIOR_P90_SECONDS = {False: 120.0 * math.exp(1.2816 * 0.5), True: 270.0 * math.exp(1.2816 * 0.5)}

# From so few starts no 90th percentile can be read. 1.3 times their longest covers the next start
# in 89 % of the cases with three of them.
FEW_STARTS = 9
FEW_FACTOR = 1.3

SHARE = 0.9
TEMPLATES_BEFORE = 4  # that count at all, so that an estimate takes a millisecond however many are
TEMPLATE_BEFORE = 0.5  # weight of a start of another pod template: the model may be another


class Estimate(msgspec.Struct, frozen=True):
    """The 90th percentile of the next start, and what it rests on.

    `starts` counts the whole starts seen (those of other templates by half), `censored` the
    observations that are only known to take longer. The median and the phases, which are medians
    too, are None where no start tells them; the phases' sum is not the percentile. `room_seconds`
    is the median wait before a start, of those that waited. `stuck` are pods left out, and why.
    """

    p90_seconds: float
    starts: float
    why: str
    stuck: tuple[str, ...] = ()
    node_seconds: float | None = None
    pull_seconds: float | None = None
    load_seconds: float | None = None
    p50_seconds: float | None = None
    censored: int = 0
    room_seconds: float | None = None


class ColdStarts:
    """Owns what was learnt; each pod counts once, when it has served or is gone."""

    def __init__(self) -> None:
        self._starts: dict[Key, deque[Start]] = {}
        self._templates: dict[tuple[str, str], set[Key]] = {}  # by namespace and owner
        self._counts: Counter[str] = Counter()  # of keys, by namespace

    def learn(self, key: Key, start: Start) -> None:
        """Keep one observation that is final; of a pod that has taught already, nothing."""
        starts = self._starts.get(key, deque(maxlen=KEPT_STARTS))
        if not start.uid or all(start.uid != known.uid for known in starts):
            starts.append(start)
        self._keep(key, starts)

    def move(self, uid: str, old: Key, new: Key) -> None:
        """Take what a pod taught from one key to another: whose it is was found out later."""
        for start in [start for start in self._starts.get(old, ()) if start.uid == uid]:
            self._starts[old].remove(start)
            self.learn(new, start)
        if not self._starts.get(old, True):
            self._drop(old)

    def forget(self, now: float) -> None:
        """Let go of what is too old to count, of workloads that are gone or start no pods."""
        for key in [k for k, kept in self._starts.items() if now - kept[-1].at > KEPT_SECONDS]:
            self._drop(key)

    def learnt(self, keys: Iterable[Key] | None = None) -> dict[Key, tuple[Start, ...]]:
        """Return what is kept of the keys, or all, for a checkpoint; `restore` takes it back."""
        wanted = self._starts if keys is None else keys
        return {key: tuple(self._starts[key]) for key in wanted if key in self._starts}

    def keys(self) -> list[Key]:
        """Return the keys that anything is kept under."""
        return list(self._starts)

    def restore(self, found: Mapping[Key, Iterable[Start]]) -> None:
        """Take in what was learnt before; of a pod that has taught since, the older word counts.

        It was written by who saw the pod's first transitions, and a Ready that flips has its time
        rewritten.
        """
        for key, before in found.items():
            known = {start.uid: start for start in self._starts.get(key, ()) if start.uid}
            known |= {start.uid: start for start in before if start.uid}
            nameless = [start for start in before if not start.uid]
            starts = sorted([*nameless, *known.values()], key=lambda start: start.at)
            self._drop(key)
            if starts:
                self._keep(key, deque(starts, KEPT_STARTS))

    def templates(self, namespace: str, owner: str) -> AbstractSet[Key]:
        """Return the keys that anything was learnt under for one workload."""
        return self._templates.get((namespace, owner), frozenset())

    def starts(self, key: Key) -> Sequence[Start]:
        """Return what was learnt under one key, oldest first."""
        return tuple(self._starts.get(key, ()))

    def fresh(self, key: Key, now: float, *, new_node: bool) -> list[Start]:
        """Return those of one key that are young enough to count, on new nodes or on others."""
        starts = self._starts.get(key, ())
        return [s for s in starts if s.new_node == new_node and now - s.at <= KEPT_SECONDS]

    def workloads(self) -> AbstractSet[tuple[str, str]]:
        """Return namespace and owner of every workload that anything was learnt of."""
        return self._templates.keys()

    def estimate(
        self, key: Key, pods: Iterable[Sighting], now: float, *, new_node: bool = False
    ) -> Estimate:
        """Return the estimate for the next start of `key`; `pods` are those that start now."""
        starting = [pod for pod in pods if pod.ready is None and pod.gone is None]
        running = [start for pod in starting if (start := observed(pod, now)) is not None]
        own = self.fresh(key, now, new_node=new_node)
        before = [
            start
            for other in self._latest(key)
            for start in self.fresh(other, now, new_node=new_node)
        ]
        found = estimated(
            [*own, *(start for start in running if start.new_node == new_node)],
            before,
            PRIOR_P90_SECONDS[new_node],
        )
        blocked = tuple(words for pod in starting if (words := stuck(pod, now)) is not None)
        return msgspec.structs.replace(found, stuck=blocked)

    def _latest(self, key: Key) -> list[Key]:
        """Return the other templates that started last; those of long ago say least."""
        others = self.templates(key.namespace, key.owner) - {key}
        return nlargest(TEMPLATES_BEFORE, others, key=lambda other: self._starts[other][-1].at)

    def _keep(self, key: Key, starts: deque[Start]) -> None:
        if key not in self._starts:
            self._counts[key.namespace] += 1
        self._starts[key] = starts
        self._templates.setdefault((key.namespace, key.owner), set()).add(key)
        if len(self._starts) > MAX_KEYS:
            crowded = max(self._counts, key=self._counts.__getitem__)
            theirs = (known for known in self._starts if known.namespace == crowded)
            self._drop(min(theirs, key=lambda known: self._starts[known][-1].at))

    def _drop(self, key: Key) -> None:
        if self._starts.pop(key, None) is None:
            return
        self._counts[key.namespace] -= 1
        if not self._counts[key.namespace]:
            del self._counts[key.namespace]
        workload = (key.namespace, key.owner)
        self._templates[workload].discard(key)
        if not self._templates[workload]:
            del self._templates[workload]


def estimated(own: Sequence[Start], before: Sequence[Start], prior_seconds: float) -> Estimate:
    """Return the estimate from starts of this template, of those before it, and the prior."""
    starts = (*own, *before)
    weights = np.array([1.0] * len(own) + [TEMPLATE_BEFORE] * len(before))
    ended = np.array([start.ended for start in starts], bool)
    seconds = np.array([start.seconds for start in starts], float)
    count = float(weights[ended].sum()) if starts else 0.0
    p90, why = _p90(seconds, ended, weights, count, prior_seconds)
    if before and count:
        why += ", other pod templates by half"
    return Estimate(
        p90,
        count,
        why,
        node_seconds=_median([start.node_seconds for start in starts]),
        pull_seconds=_median([start.pull_seconds for start in starts]),
        load_seconds=_median([start.load_seconds for start in starts]),
        p50_seconds=_p50(seconds, ended, weights),
        censored=int((~ended).sum()),
        room_seconds=_median([start.room_seconds for start in starts]),
    )


def _p50(
    seconds: NDArray[np.float64], ended: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float | None:
    times, survival = kaplan_meier(seconds, ended, weights)
    reached = np.flatnonzero(survival <= 0.5 + 1e-9)
    return float(times[reached[0]]) if len(reached) else None


def _p90(
    seconds: NDArray[np.float64],
    ended: NDArray[np.bool_],
    weights: NDArray[np.float64],
    count: float,
    prior_seconds: float,
) -> tuple[float, str]:
    oldest = float(seconds[~ended].max(initial=0.0))
    if not count:
        why = (
            "no start was seen yet: prior" if oldest <= prior_seconds else "the oldest that starts"
        )
        return max(prior_seconds, oldest), why
    longest = float(seconds[ended].max())
    if count < FEW_STARTS:
        prior = prior_seconds * (1.0 - count / FEW_STARTS)
        few = max(FEW_FACTOR * longest, prior, oldest)
        return few, f"1.3 x the longest of {count:g} starts, with the prior's rest"
    level = min(1.0, SHARE * (count + 1.0) / count)
    times, survival = kaplan_meier(seconds, ended, weights)
    reached = np.flatnonzero(survival <= 1.0 - level + 1e-9)
    if len(reached):
        return float(times[reached[0]]), f"{count:g} starts"
    return max(longest, oldest, prior_seconds), f"{count:g} starts, too many of them unfinished"


def kaplan_meier(
    seconds: NDArray[np.float64], ended: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times [m] at which starts ended, ascending, and the survival S [m] after each.

    S(t) = prod(1 - d_i / n_i) over t_i <= t, with d_i the weight that ended at t_i and n_i the
    weight that had not ended or left before (Kaplan and Meier, 1958).
    """
    times, place = np.unique(seconds[ended], return_inverse=True)
    done = np.bincount(place, weights[ended], len(times))
    order = np.argsort(seconds)
    left = np.cumsum(weights[order][::-1])[::-1]
    risk = left[np.searchsorted(seconds[order], times)]
    return times, np.cumprod(1.0 - done / risk, dtype=np.float64)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
