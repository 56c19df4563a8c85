"""The hindsight: what an HPA would have cost whose target somebody had tuned on the same trace.

Lower targets cost more and make fewer requests late: a curve. Whoever knows the trace picks the
point of it that is as punctual as the policy that is held against it; between two targets the
GPU-hours are a straight line over the logarithm of the late share.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

TARGETS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
LEAST_LATE = 1e-5  # one of a hundred thousand: below it nobody is seen to be late


class Point(msgspec.Struct, frozen=True):
    """One target's outcome: the share of requests that were late, and what it cost."""

    target: float
    late_ratio: float
    gpu_hours: float


def tuned_gpu_hours(curve: Sequence[Point], late_ratio: float) -> float | None:
    """Return what the curve costs at this share of late requests; None beyond its ends.

    Of targets that are no better than a cheaper one nobody makes use.
    """
    best = _frontier(curve)
    late = np.log([max(point.late_ratio, LEAST_LATE) for point in best])
    wanted = float(np.log(max(late_ratio, LEAST_LATE)))
    if not late[0] - 1e-9 <= wanted <= late[-1] + 1e-9:
        return None
    return float(np.interp(wanted, late, [point.gpu_hours for point in best]))


def _frontier(curve: Sequence[Point]) -> list[Point]:
    """Return the points that nobody undercuts, the most punctual and dearest first."""
    best: list[Point] = []
    for point in sorted(curve, key=lambda one: (one.gpu_hours, one.late_ratio)):
        if not best or point.late_ratio < best[-1].late_ratio:
            best.append(point)
    return best[::-1]


def saved_percent(curve: Sequence[Point], late_ratio: float, gpu_hours: float) -> float | None:
    """Return by how much cheaper than the tuned HPA this is, negative where it is dearer."""
    tuned = tuned_gpu_hours(curve, late_ratio)
    return None if tuned is None else 100.0 * (1.0 - gpu_hours / tuned)
