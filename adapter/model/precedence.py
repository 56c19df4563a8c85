"""The precedence: of two sources that know a pod's GPUs one is taken, never a mix of both.

A pod's own source goes before that of its node: it reads more often, and it was proven to be right
for this very pod. The node's word counts as soon as the pod's own falls silent or says that it
cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from adapter.model.batch import Batch, Origin, Reading
from adapter.model.freshness import HELD_PERIODS

Standings = Mapping[str, float]  # pod UID -> until when its own word about GPUs stands

GPU = "gpu"  # what the names of all GPU series begin with


def fold(stands: Standings, batch: Batch, now: float) -> Standings:
    """Return how long each pod's own word about GPUs stands after this batch."""
    out = {uid: until for uid, until in stands.items() if until > now}
    pod = Origin.POD
    for reading in batch.readings:
        if reading.origin is not pod:
            continue
        points = reading.points
        # GPUs stand last in a frame, so that one look is enough for most.
        last = bool(points) and points[-1].series.startswith(GPU)
        if last or any(point.series.startswith(GPU) for point in points):
            out[reading.uid] = reading.at + HELD_PERIODS * reading.period_seconds
        else:
            out.pop(reading.uid, None)
    return out


def chosen(stands: Standings, batch: Batch) -> Batch:
    """Return the batch without what a node said of GPUs that the pod's own source tells of."""
    if all(reading.origin is Origin.POD for reading in batch.readings):
        return batch
    return structs.replace(batch, readings=tuple(r for r in batch.readings if _counts(r, stands)))


def _counts(reading: Reading, stands: Standings) -> bool:
    return reading.origin is not Origin.NODE or reading.uid not in stands
