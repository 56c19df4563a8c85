"""Normalisation: how a wanted number of replicas is stabilised, rate-limited and clamped.

Two sets of rules, as in kube-controller-manager: one for an autoscaler without `behavior`, one for
an autoscaler with it. What the controller keeps in memory is the frozen History here.
"""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from adapter.model.hpa_policy import Behavior, Change, ChangeType, Policy, Rules, SelectPolicy

# Without `behavior` one sync may at most double the replicas, or go to four.
SCALE_UP_FACTOR = 2
SCALE_UP_MINIMUM = 4

Timed = TypeVar("Timed", bound="Recommendation | ScaleEvent")


class Recommendation(msgspec.Struct, frozen=True):
    """What the metrics asked for at one sync, before any limit."""

    at: float
    replicas: int


class ScaleEvent(msgspec.Struct, frozen=True):
    """By how many replicas the object was scaled, in one direction."""

    at: float
    change: int


class History(msgspec.Struct, frozen=True):
    """The controller's memory of one autoscaler; empty after its restart. `ups` and `downs` are
    kept only with `behavior`.

    `scaled_to_zero` is the status' condition ScaledToZero, which outlives a restart: whether the
    last change of replicas took the last pod away; None before any.
    """

    recommendations: tuple[Recommendation, ...] = ()
    ups: tuple[ScaleEvent, ...] = ()
    downs: tuple[ScaleEvent, ...] = ()
    scaled_to_zero: bool | None = None


class Normalised(msgspec.Struct, frozen=True):
    """The replicas after all limits, with the reasons of the conditions AbleToScale and
    ScalingLimited, and one sentence per limit that changed the figure."""

    replicas: int
    history: History
    able: str
    limited: str
    why: tuple[str, ...]


class _Limit(msgspec.Struct, frozen=True):
    replicas: int
    reason: str
    words: str = ""


def normalise(
    policy: Policy,
    history: History,
    *,
    current: int,
    wanted: int,
    downscale_window_seconds: float,
    now: float,
) -> Normalised:
    """Return what becomes of `wanted` replicas; the window is the controller's flag."""
    if policy.behavior is None:
        stable, kept = _stabilise_down(history, wanted, downscale_window_seconds, now)
        limit = _clamp(policy, current, stable.replicas)
    else:
        windows = _windows(policy.behavior, downscale_window_seconds)
        stable, kept = _stabilise(history, current, wanted, windows, now)
        limit = _rate(policy, policy.behavior, kept, current, stable.replicas, now=now)
    why = tuple(words for words in (stable.words, limit.words) if words)
    return Normalised(limit.replicas, kept, stable.reason, limit.reason, why)


def begun(history: History, current: int, now: float) -> History:
    """Return the history with a first recommendation: that of things as they are."""
    if history.recommendations:
        return history
    return msgspec.structs.replace(history, recommendations=(Recommendation(now, current),))


def scaled(policy: Policy, history: History, before: int, after: int, now: float) -> History:
    """Return the history after the object was scaled."""
    if before == after:
        return history
    zero = after == 0 and policy.min_replicas == 0 and policy.wakes
    history = msgspec.structs.replace(history, scaled_to_zero=zero)
    behavior = policy.behavior
    if behavior is None:
        return history
    event = ScaleEvent(now, abs(after - before))
    if after > before:
        return msgspec.structs.replace(history, ups=_stored(history.ups, behavior.up, event))
    return msgspec.structs.replace(history, downs=_stored(history.downs, behavior.down, event))


def _stored(
    events: tuple[ScaleEvent, ...], rules: Rules, event: ScaleEvent
) -> tuple[ScaleEvent, ...]:
    cutoff = event.at - max(change.period_seconds for change in rules.changes)
    return _put(events, event, cutoff)


def _put(entries: tuple[Timed, ...], new: Timed, cutoff: float) -> tuple[Timed, ...]:
    """Return the entries with the new one in the place of the last expired one, else at the end."""
    for index in range(len(entries) - 1, -1, -1):
        if entries[index].at < cutoff:
            return (*entries[:index], new, *entries[index + 1 :])
    return (*entries, new)


def _stabilise_down(
    history: History, wanted: int, window_seconds: float, now: float
) -> tuple[_Limit, History]:
    """The rule without `behavior`: the highest recommendation of the window holds."""
    cutoff = now - window_seconds
    recent = [entry.replicas for entry in history.recommendations if entry.at >= cutoff]
    highest = max([wanted, *recent])
    kept = _remembered(history, Recommendation(now, wanted), cutoff)
    if highest == wanted:
        return _Limit(wanted, "ReadyForNewScale"), kept
    words = f"{highest}, the highest wish of the last {window_seconds:g} s, holds against {wanted}"
    return _Limit(highest, "ScaleDownStabilized", words), kept


def _remembered(history: History, entry: Recommendation, cutoff: float) -> History:
    kept = _put(history.recommendations, entry, cutoff)
    return msgspec.structs.replace(history, recommendations=kept)


def _clamp(policy: Policy, current: int, wanted: int) -> _Limit:
    step = max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM)
    highest = min(policy.max_replicas, step)
    if wanted < policy.min_replicas:
        lowest = policy.min_replicas
        return _Limit(lowest, "TooFewReplicas", f"minReplicas {lowest} holds against {wanted}")
    if wanted <= highest:
        return _Limit(wanted, "DesiredWithinRange")
    if step < policy.max_replicas:
        words = f"{wanted} in one step is too many: at most max(2 x {current}, 4) = {step}"
        return _Limit(highest, "ScaleUpLimit", words)
    words = f"maxReplicas {policy.max_replicas} holds against {wanted}"
    return _Limit(highest, "TooManyReplicas", words)


def _windows(behavior: Behavior, flag_seconds: float) -> tuple[float, float]:
    down = behavior.down.window_seconds
    # The controller keeps its flag in whole seconds here.
    return float(behavior.up.window_seconds or 0), float(
        int(flag_seconds) if down is None else down
    )


def _stabilise(
    history: History, current: int, wanted: int, windows: tuple[float, float], now: float
) -> tuple[_Limit, History]:
    """The rule with `behavior`: move only where the whole window of that direction agrees."""
    up_cutoff, down_cutoff = now - windows[0], now - windows[1]
    entries = history.recommendations
    lowest = min([wanted, *(entry.replicas for entry in entries if entry.at > up_cutoff)])
    highest = max([wanted, *(entry.replicas for entry in entries if entry.at > down_cutoff)])
    held = min(max(current, lowest), highest)
    # An entry at exactly a cutoff still keeps its place, though it no longer counts.
    kept = _remembered(history, Recommendation(now, wanted), min(up_cutoff, down_cutoff))
    if held == wanted:
        return _Limit(held, "ReadyForNewScale"), kept
    if wanted >= current:
        words = f"the lowest wish of the last {windows[0]:g} s holds: {held}, not {wanted}"
        return _Limit(held, "ScaleUpStabilized", words), kept
    words = f"the highest wish of the last {windows[1]:g} s holds: {held}, not {wanted}"
    return _Limit(held, "ScaleDownStabilized", words), kept


def _rate(
    policy: Policy, behavior: Behavior, history: History, current: int, wanted: int, *, now: float
) -> _Limit:
    if wanted > current:
        limit = max(_scale_up_limit(behavior.up, history, current, now), current)
        if wanted > min(policy.max_replicas, limit):
            return _too_many(policy, limit, wanted)
    if wanted < current:
        limit = min(_scale_down_limit(behavior.down, history, current, now), current)
        if wanted < max(policy.min_replicas, limit):
            return _too_few(policy, limit, wanted)
    return _Limit(wanted, "DesiredWithinRange")


def _too_many(policy: Policy, limit: int, wanted: int) -> _Limit:
    if limit < policy.max_replicas:
        words = f"behavior.scaleUp allows {limit} now, not {wanted}"
        return _Limit(limit, "ScaleUpLimit", words)
    words = f"maxReplicas {policy.max_replicas} holds against {wanted}"
    return _Limit(policy.max_replicas, "TooManyReplicas", words)


def _too_few(policy: Policy, limit: int, wanted: int) -> _Limit:
    if limit > policy.min_replicas:
        words = f"behavior.scaleDown allows {limit} now, not {wanted}"
        return _Limit(limit, "ScaleDownLimit", words)
    words = f"minReplicas {policy.min_replicas} holds against {wanted}"
    return _Limit(policy.min_replicas, "TooFewReplicas", words)


def _scale_up_limit(rules: Rules, history: History, current: int, now: float) -> int:
    """Return the most replicas that the policies allow now; Max takes the widest of them."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    bounds = [_upper(change, _at_start(change, history, current, now)) for change in rules.changes]
    return min(bounds) if rules.select is SelectPolicy.MIN else max(bounds)


def _scale_down_limit(rules: Rules, history: History, current: int, now: float) -> int:
    """Return the fewest replicas that the policies allow now; Max takes the widest of them."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    bounds = [_lower(change, _at_start(change, history, current, now)) for change in rules.changes]
    return max(bounds) if rules.select is SelectPolicy.MIN else min(bounds)


def _upper(change: Change, start: int) -> int:
    if change.type is ChangeType.PODS:
        return start + change.value
    return math.ceil(start * (1 + change.value / 100))  # up, so that one replica can grow at all


def _lower(change: Change, start: int) -> int:
    if change.type is ChangeType.PODS:
        return start - change.value
    return int(start * (1 - change.value / 100))


def _at_start(change: Change, history: History, current: int, now: float) -> int:
    """Return how many replicas there were when the policy's period began."""
    cutoff = now - change.period_seconds
    added = sum(event.change for event in history.ups if event.at > cutoff)
    removed = sum(event.change for event in history.downs if event.at > cutoff)
    return current - added + removed
