"""The suggestion: how many requests in flight a pod carries within its latency's objective.

    readings -> the cut that separates those within the objective from those beyond it -> target

A reading is a pod's requests in flight and its latency over the same minute. The cut is the highest
figure in flight that held, with a reading beyond it below the cut as dear as TAU has a pod too few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from adapter.model.forecast import TAU

MINUTE_SECONDS = 60.0  # what a reading is of
ENOUGH_READINGS = 20
ENOUGH_BEYOND = 3  # one may be a long prompt
MOST_CONTRADICTING_RATIO = 0.1
# From the last figure in flight that held to the first one beyond: a target that is too low by so
# much costs half as many pods again.
WIDE_RATIO = 1.5
_DEARER = TAU / (1.0 - TAU)


class Reading(msgspec.Struct, frozen=True):
    """One pod's minute: requests in flight in the mean, and its latency's percentile in seconds.

    `arrival_rate` is requests/s that came in that minute, None where nobody tells.
    """

    pod: str
    inflight: float
    latency_seconds: float
    arrival_rate: float | None = None


class Suggestion(msgspec.Struct, frozen=True, rename="camel"):
    """What one pod is to carry; `target` is None where no reading says so.

    `doubts` are in words; without any the target is well measured. The cut lies between two
    readings: `held_up_to` in flight the objective held, and from the next one, `beyond_from`, it
    did not; `contradicting_ratio` is the share of readings on the wrong side of it. Every reading
    below `held_below` in flight was within the objective, every one above `beyond_above` beyond it.
    `service_seconds` is how long a request was in a pod that carried about the target. None where
    no reading tells.
    """

    target: int | None
    readings: int
    pods: int
    beyond: int
    lowest: float
    highest: float
    contradicting_ratio: float
    doubts: tuple[str, ...]
    held_below: float | None = None
    beyond_above: float | None = None
    service_seconds: float | None = None
    held_up_to: float | None = None
    beyond_from: float | None = None


def suggest(
    readings: Sequence[Reading], objective_seconds: float, watched_seconds: float = math.inf
) -> Suggestion:
    """Return the suggestion; raise ValueError where there is no reading.

    `watched_seconds` is how long the readings were taken for.
    """
    if not readings:
        raise ValueError("no pod had requests in flight and a latency")
    ordered = sorted(readings, key=lambda one: one.inflight)
    late = [one.latency_seconds > objective_seconds for one in ordered]
    held, wrong = _cut(late)
    cut = ordered[held - 1].inflight if held else 0.0
    beyond_from = ordered[held].inflight if held < len(ordered) else None
    ratio = wrong / len(ordered)
    doubts = _doubts(len(ordered), sum(late), math.floor(cut), ratio)
    return Suggestion(
        target=math.floor(cut) or None,
        readings=len(ordered),
        pods=len({one.pod for one in ordered}),
        beyond=sum(late),
        lowest=ordered[0].inflight,
        highest=ordered[-1].inflight,
        contradicting_ratio=ratio,
        doubts=(*_short(watched_seconds), *doubts, *_hole(cut, beyond_from)),
        held_below=ordered[late.index(True)].inflight if any(late) else None,
        beyond_above=ordered[-1 - late[::-1].index(False)].inflight if not all(late) else None,
        service_seconds=_service_seconds(ordered, objective_seconds, math.floor(cut)),
        held_up_to=cut if held else None,
        beyond_from=beyond_from,
    )


def _service_seconds(
    readings: Sequence[Reading], objective_seconds: float, target: int
) -> float | None:
    """Return the mean time in a pod by Little's law, in flight / arrival rate.

    It is of readings within the objective from half the target to it: a batching server answers
    each request slower the more it has, so one that idles tells nothing of the target. What waits
    is in flight, too, for less than the objective mostly.
    """
    near = [
        (one.inflight, one.arrival_rate)
        for one in readings
        if one.arrival_rate is not None
        and target / 2 <= one.inflight < target + 1
        and one.latency_seconds <= objective_seconds
    ]
    carried, came = sum(inflight for inflight, _ in near), sum(rate for _, rate in near)
    return carried / came if target and came > 0 else None


def _cut(late: Sequence[bool]) -> tuple[int, int]:
    """Return how many readings, the lowest first, are below the cheapest cut; how many contradict.

    Of cuts that are as cheap the highest one counts.
    """
    good_above, late_below = late.count(False), 0
    best, found = float(good_above), (0, good_above)
    for number, is_late in enumerate(late, 1):
        late_below += is_late
        good_above -= not is_late
        cost = _DEARER * late_below + good_above
        if cost <= best:
            best, found = cost, (number, late_below + good_above)
    return found


def _short(watched_seconds: float) -> list[str]:
    if watched_seconds >= MINUTE_SECONDS:
        return []
    return [
        f"it looked for {watched_seconds:g} s, and a reading is of a minute: all are of the same"
    ]


def _hole(held_up_to: float, beyond_from: float | None) -> list[str]:
    """Doubt a target with nothing seen for long above it, where a higher one might do."""
    target = math.floor(held_up_to)
    if not target or beyond_from is None or beyond_from <= WIDE_RATIO * held_up_to:
        return []
    highest = math.ceil(beyond_from) - 1
    if highest <= target:
        return []
    between = f"between {held_up_to:.3g} and {beyond_from:.3g} in flight"
    fits = f"each target from {target} to {highest} fits"
    return [f"nothing was seen {between}, so {fits}: look again under a load between them"]


def _doubts(readings: int, beyond: int, target: int, contradicting_ratio: float) -> list[str]:
    found = []
    if readings < ENOUGH_READINGS:
        found.append(f"only {_counted(readings)}: let it look for longer, or at more pods")
    if not beyond:
        found.append("none was beyond the objective: more in flight may hold as well")
    elif beyond < ENOUGH_BEYOND:
        found.append(f"only {beyond} beyond the objective: look again under more load")
    if not target:
        found.append(
            "no load kept the objective: it is shorter than a lone request takes, or the pods were"
            " overloaded all the time"
        )
    if contradicting_ratio > MOST_CONTRADICTING_RATIO:
        found.append(
            f"{contradicting_ratio:.0%} of the readings are on the wrong side of any target:"
            " not only requests in flight decide, but long prompts or a full KV cache, too"
        )
    return found


def _counted(readings: int) -> str:
    return "1 reading" if readings == 1 else f"{readings} readings"
