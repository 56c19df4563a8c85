"""The backlog: what a demand was while nobody looked, from the windows of its pods.

A sidecar tells a replica that has just begun the quarter-hour before, and a Prometheus may: so ten
minutes of every pod are in the window at once, and with them the totals of then.
"""

from __future__ import annotations

import numpy as np

from adapter.model.catalogue import METRICS
from adapter.model.columns import Floats, Integers
from adapter.model.debut import PAGE_DEBUT_SECONDS
from adapter.model.fleet import Pod
from adapter.model.rings import COARSE_SECONDS, COARSE_SLOTS, FINE_SLOTS
from adapter.model.rows import NO_ROW, chosen
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.window import FrozenWindow

STEP_SECONDS = 5  # a demand has its turn as often


def totals(
    seen: Snapshot, key: TotalKey, since: float, below_mean: float
) -> list[tuple[float, float]]:
    """Return the totals after `since`, each with its monotonic time, of the pods that serve now.

    Left out are times of which a pod that served then says nothing, and those at which the pods'
    mean was not below `below_mean`. Of pods that are gone nobody tells any more.
    """
    metric = METRICS[key.metric]
    group = seen.owned(metric, key)
    serves = seen.serving[group.places]
    rows = chosen(seen.window.by_series, metric.series, key.view.over, seen.fleet)[group.places]
    if not serves.any() or (rows[serves] == NO_ROW).any():
        return []
    pods = [pod for pod, one in zip(group.pods, serves.tolist(), strict=True) if one]
    begun = np.array([_begun(pod) for pod in pods]) - (seen.wall - seen.at)
    seconds, values = _by_second(seen.window, rows[serves])
    levels = _means(values, key.view.window_seconds)[:, ::-STEP_SECONDS][:, :0:-1]
    at = seconds[::-STEP_SECONDS][:0:-1] + 1.0  # a second's mean is known at its end
    known = ~np.isnan(levels)
    found = np.where(known, levels, 0.0).sum(axis=0)
    whole = (known | (at < begun[:, np.newaxis])).all(axis=0) & known.any(axis=0)
    below = found / np.maximum(known.sum(axis=0), 1) < below_mean
    usable = whole & (at > since) & below
    return list(zip(at[usable].tolist(), found[usable].tolist(), strict=True))


def begun_at(seen: Snapshot, key: TotalKey) -> float:
    """Return since when the pods that serve now can have told a total, in monotonic seconds."""
    group = seen.owned(METRICS[key.metric], key)
    serves = seen.serving[group.places].tolist()
    first = min(_begun(pod) for pod, one in zip(group.pods, serves, strict=True) if one)
    return first + PAGE_DEBUT_SECONDS - (seen.wall - seen.at)


def _by_second(window: FrozenWindow, rows: Integers) -> tuple[Integers, Floats]:
    """Return the seconds of the ten minutes [n], and what each row was then [rows, n]."""
    steps = window.coarse.of(rows, COARSE_SLOTS).astype(np.float64)
    coarse = steps.repeat(COARSE_SECONDS, axis=1)
    begun = window.second % COARSE_SECONDS + 1  # seconds of the step under way
    values = np.concatenate((coarse, np.full((len(rows), begun), np.nan)), axis=1)
    fine = window.fine.of(rows, FINE_SLOTS)
    np.copyto(values[:, -FINE_SLOTS:], fine, where=~np.isnan(fine))
    return np.arange(window.second + 1 - values.shape[1], window.second + 1), values


def _means(values: Floats, seconds: int) -> Floats:
    """Return [rows, n] the means of so many seconds up to each, of what is known in them."""
    known = ~np.isnan(values)
    total, count = (
        np.cumsum(np.pad(one, ((0, 0), (seconds, 0))), axis=1)
        for one in (np.where(known, values, 0.0), known.astype(np.int64))
    )
    count = count[:, seconds:] - count[:, :-seconds]
    mean = (total[:, seconds:] - total[:, :-seconds]) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def _begun(pod: Pod) -> float:
    """Return since when it can have had requests, in Unix seconds."""
    return max(pod.ready_changed_at or 0.0, pod.model_started_at or 0.0)
