"""The cold start: how long a workload's pods take from creation until they serve, as learnt.

Each pod is one observation. One that still starts, or was deleted before it served, is known to
take *longer* than it did (censored); the Kaplan-Meier estimate counts both kinds. Pods that are
stuck for a reason say nothing about a start and are named instead. All times are those of one
clock, the API server's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

# A learner keeps this much of a workload: enough for a 90th percentile, and no older than two
# weeks, since images, nodes and caches change.
KEPT_STARTS = 50
KEPT_SECONDS = 14 * 86_400.0
MAX_KEYS = 4_096  # deployments x templates; the one that is longest without a start goes first

# A start that takes longer is stuck: the longest loads in the wild are 15 minutes.
CAP_SECONDS = 1_800.0

# Before anything is known: vLLM's own reports are 60 to 280 s, a new node takes 150 s more
# (log-normal, log-sd 0.5, so the 90th percentile is 1.9 times the median).
PRIOR_P90_SECONDS = {False: 120.0 * math.exp(1.2816 * 0.5), True: 270.0 * math.exp(1.2816 * 0.5)}

# From so few starts no 90th percentile can be read. 1.3 times their longest covers the next start
# in 89 % of the cases with three of them.
FEW_STARTS = 9
FEW_FACTOR = 1.3

SHARE = 0.9
TEMPLATE_BEFORE = 0.5  # weight of a start of another pod template: the model may be another

STUCK_REASONS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


class Key(msgspec.Struct, frozen=True):
    """What starts alike: one workload's pods of one template."""

    namespace: str
    owner: str  # kind/name of the Deployment or other owner at the top
    template: str  # pod-template-hash; empty where there is none


class Sighting(msgspec.Struct, frozen=True):
    """A pod as its status and its sidecar show it; None is what has not happened or is not known.

    `ready` is the *first* time it served. The Ready condition says that only while the container
    has never been restarted, so with restarts it must come from the sidecar. `gone` is when it was
    deleted.
    """

    uid: str
    name: str
    key: Key
    created: float
    scheduled: float | None = None
    started: float | None = None  # the model container
    ready: float | None = None
    gone: float | None = None
    restarts: int = 0
    ready_from_sidecar: bool = False
    new_node: bool = False  # its node is younger than the pod
    waiting_reason: str = ""  # of the model container


class Start(msgspec.Struct, frozen=True):
    """One observation: `seconds` from creation, the whole start if `ended`, else at least that."""

    seconds: float
    ended: bool
    at: float  # when it was known
    new_node: bool = False
    node_seconds: float | None = None  # created -> scheduled
    pull_seconds: float | None = None  # scheduled -> the model container runs
    load_seconds: float | None = None  # -> ready


class Estimate(msgspec.Struct, frozen=True):
    """The 90th percentile of the next start, and what it rests on.

    `starts` counts the whole starts seen (those of other templates by half). The phases are
    medians, None where no start tells them; their sum is not the percentile. `stuck` are pods left
    out, with the reason.
    """

    p90_seconds: float
    starts: float
    why: str
    stuck: tuple[str, ...] = ()
    node_seconds: float | None = None
    pull_seconds: float | None = None
    load_seconds: float | None = None


def stuck(pod: Sighting, now: float) -> str | None:
    """Return why the pod's start says nothing about starts; None where it does."""
    if pod.ready is not None:
        return None
    if pod.waiting_reason in STUCK_REASONS:
        return f"{pod.name}: {pod.waiting_reason}"
    age = (now if pod.gone is None else pod.gone) - pod.created
    if age <= CAP_SECONDS:
        return None
    what = "not scheduled" if pod.scheduled is None else "not ready"
    return f"{pod.name}: {what} after {age:.0f} s"


def observed(pod: Sighting, now: float) -> Start | None:
    """Return the pod's observation so far; None where it would mislead."""
    if stuck(pod, now) is not None:
        return None
    if pod.ready is None:
        age = (now if pod.gone is None else pod.gone) - pod.created
        return Start(age, ended=False, at=now, new_node=pod.new_node) if age > 0 else None
    seconds = pod.ready - pod.created
    if pod.restarts and not pod.ready_from_sidecar:
        return None  # Ready was written anew after the restart
    if not 0 <= seconds <= CAP_SECONDS:
        return None
    return Start(
        seconds,
        ended=True,
        at=pod.ready,
        new_node=pod.new_node,
        node_seconds=_between(pod.created, pod.scheduled),
        pull_seconds=_between(pod.scheduled, pod.started),
        load_seconds=_between(pod.started, pod.ready),
    )


def _between(first: float | None, then: float | None) -> float | None:
    return then - first if first is not None and then is not None and then >= first else None


class ColdStarts:
    """Owns what was learnt; each pod counts once, when it has served or is gone."""

    def __init__(self) -> None:
        self._starts: dict[Key, deque[Start]] = {}

    def learn(self, key: Key, start: Start) -> None:
        """Keep one observation that is final."""
        kept = self._starts.pop(key, None)
        self._starts[key] = kept if kept is not None else deque(maxlen=KEPT_STARTS)
        self._starts[key].append(start)
        if len(self._starts) > MAX_KEYS:
            del self._starts[next(iter(self._starts))]

    def learnt(self) -> dict[Key, tuple[Start, ...]]:
        """Return all that is kept, for a checkpoint; `learn` takes it back."""
        return {key: tuple(starts) for key, starts in self._starts.items()}

    def estimate(
        self, key: Key, pods: Iterable[Sighting], now: float, *, new_node: bool = False
    ) -> Estimate:
        """Return the estimate for the next start of `key`; `pods` are those that start now."""
        starting = [pod for pod in pods if pod.ready is None and pod.gone is None]
        running = [start for pod in starting if (start := observed(pod, now)) is not None]
        own = self._fresh(self._starts.get(key, ()), now, new_node=new_node)
        before = [
            start
            for other, starts in self._starts.items()
            if other != key and (other.namespace, other.owner) == (key.namespace, key.owner)
            for start in self._fresh(starts, now, new_node=new_node)
        ]
        found = estimated(
            [*own, *(start for start in running if start.new_node == new_node)],
            before,
            PRIOR_P90_SECONDS[new_node],
        )
        blocked = tuple(words for pod in starting if (words := stuck(pod, now)) is not None)
        return msgspec.structs.replace(found, stuck=blocked)

    @staticmethod
    def _fresh(starts: Iterable[Start], now: float, *, new_node: bool) -> list[Start]:
        return [s for s in starts if s.new_node == new_node and now - s.at <= KEPT_SECONDS]


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
    )


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
    times = np.unique(seconds[ended])
    done = np.array([weights[ended & (seconds == time)].sum() for time in times])
    risk = np.array([weights[seconds >= time].sum() for time in times])
    return times, np.cumprod(1.0 - done / risk) if len(times) else np.empty(0)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
