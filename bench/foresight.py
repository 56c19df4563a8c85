"""What nobody can foresee: steps of a trace for which nothing that was seen speaks.

Two definitions, both fixed before any policy was scored; a trace that has such a minute in its
scored part is listed apart. Of the mean of a minute, one cold start ahead:

- `unforeseeable_minutes`, ours: more than twice the highest of the last hour *and* more than twice
  the highest within ten minutes of the same time on every earlier day.
- `unheard_of_minutes`: more than three times anything seen in the week before. Each of them is one
  of the first kind too, so the first sets more traces apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapter.replay.trace import Trace

FACTOR = 2.0
LOOK_BACK_SECONDS = 3_600.0
AROUND_SECONDS = 600.0
UNHEARD_OF_FACTOR = 3.0
WEEK_SECONDS = 604_800.0
DAY_SECONDS = 86_400.0
MINUTE = 60.0


def unforeseeable_minutes(trace: Trace, horizon_seconds: float, first_seconds: float) -> int:
    """Return how many known minutes of the scored part nobody could have foreseen."""
    minutes = _minutes(trace)
    ahead, hour = round(horizon_seconds / MINUTE), round(LOOK_BACK_SECONDS / MINUTE)
    day, around = round(DAY_SECONDS / MINUTE), round(AROUND_SECONDS / MINUTE)
    count = 0
    for at in range(max(round(first_seconds / MINUTE), ahead + 1), len(minutes)):
        now = at - ahead
        seen = [minutes[max(0, now - hour) : now]]
        seen += [
            minutes[max(0, at - back - around) : at - back + around + 1]
            for back in range(day, at + around, day)
        ]
        highest = max((np.nanmax(part) for part in seen if np.isfinite(part).any()), default=np.inf)
        count += bool(minutes[at] > FACTOR * highest)
    return count


def unheard_of_minutes(trace: Trace, horizon_seconds: float, first_seconds: float) -> int:
    """Return how many known minutes of the scored part are beyond all of the week before."""
    minutes = _minutes(trace)
    ahead, week = round(horizon_seconds / MINUTE), round(WEEK_SECONDS / MINUTE)
    count = 0
    for at in range(max(round(first_seconds / MINUTE), ahead + 1), len(minutes)):
        seen = minutes[max(0, at - ahead - week) : at - ahead]
        highest = np.nanmax(seen) if np.isfinite(seen).any() else np.inf
        count += bool(minutes[at] > UNHEARD_OF_FACTOR * highest)
    return count


def _minutes(trace: Trace) -> NDArray[np.float64]:
    """Return the mean rate of each whole minute; NaN where a part of it is not known."""
    steps = round(MINUTE / trace.step_seconds)
    whole = len(trace.arrivals) // steps * steps
    rate = trace.arrivals[:whole].reshape(-1, steps).sum(axis=1) / MINUTE
    known = trace.known[:whole].reshape(-1, steps).all(axis=1)
    return np.where(known, rate, np.nan)
