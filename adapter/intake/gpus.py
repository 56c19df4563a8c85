"""The GPUs of a pod: how many there are, how many tell each figure, the most and least of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

from msgspec import structs

from adapter.model.batch import Point, Reading
from adapter.model.catalogue import CEILINGS, SPREAD, Over, over
from adapter.model.fleet import Pod
from adapter.model.word import NO_GPUS, Gpus
from sidecar.wire import Frame, GpuReading

Figure = Callable[[GpuReading], float | None]


def _memory(gpu: GpuReading) -> float | None:
    """Return the used share of one GPU's memory, in percent."""
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    return 100.0 * used / total if used is not None and total else None


# What a GPU must tell to have its part in each level of its pod.
_FIGURES: dict[str, Figure] = {
    "gpu_busy_percent": attrgetter("busy_percent"),
    "gpu_memory_percent": _memory,
    "gpu_memory_used_bytes": _memory,
    "gpu_power_watts": attrgetter("power_watts"),
    "gpu_tensor_percent": attrgetter("tensor_percent"),
    "gpu_dram_percent": attrgetter("dram_percent"),
    "gpu_health": attrgetter("healthy"),
}
_ONE = Gpus(1)
MEANS_ALONE = "Prometheus is asked for the mean of its GPUs, not for the most and the least"


def counted(found: tuple[GpuReading, ...] | None) -> Gpus:
    """Return how many GPUs there are, and of how many a figure is missing that others have."""
    if not found:
        return NO_GPUS
    count = len(found)
    if count == 1:  # nearly every pod
        return _ONE
    missing = {
        series: [figure(gpu) for gpu in found].count(None) for series, figure in _FIGURES.items()
    }
    return Gpus(count, {series: n for series, n in missing.items() if 0 < n < count})


def spread(found: tuple[GpuReading, ...] | None, at: float | None) -> Iterator[Point]:
    """Yield the most and the least of each share over several GPUs; one GPU has no spread.

    `at` is when they were read, None where that is not known.
    """
    if not found or len(found) == 1 or at is None:
        return
    for series in SPREAD:
        figures = map(_FIGURES[series], found)
        known = [one for one in figures if one is not None and 0 <= one <= CEILINGS[series]]
        if known:
            yield Point(over(series, Over.MAX), at, max(known))
            yield Point(over(series, Over.MIN), at, min(known))


def of_means(reading: Reading, pod: Pod) -> Reading:
    """Return Prometheus' reading with the words for whoever asks for the most of several GPUs."""
    if not pod.asks_for_several():
        return reading
    shares = (point.series for point in reading.points if point.series in SPREAD)
    return structs.replace(reading, why=dict.fromkeys(shares, MEANS_ALONE) | dict(reading.why))


def beyond(found: tuple[GpuReading, ...], pod: Pod) -> str | None:
    """Return in words that more GPUs are told of the pod than it asks for; None for no more.

    What it asks for is an upper bound where it is a number of `nvidia.com/gpu` alone: not beside a
    resource claim, and of MIG instances only where no whole GPU is told. Replicas of a shared GPU
    are left as they are.
    """
    asked, holding = pod.holding.requested, pod.holding
    whole_ones = sum("/" not in gpu.uuid for gpu in found)
    count = whole_ones or len(found)
    if not asked or count <= asked or holding.claims or holding.sharing or holding.sharing_allowed:
        return None
    return f"lists {count} GPUs for it, which asks for {asked}: which are its own is not known"


def of(frame: Frame, pod: Pod) -> Frame:
    """Return the frame of the pod's own source with all the pod's GPUs; see `whole`."""
    found = frame.gpus
    if not found or len(found) >= sum(pod.gpus.values()):
        return frame
    return structs.replace(frame, gpus=whole(found, pod))


def whole(found: tuple[GpuReading, ...], pod: Pod) -> tuple[GpuReading, ...]:
    """Return the GPUs with a blank for each that the pod asks for and its source does not show.

    So a sum is known to lack a part, and a mean says of how many it is. Replicas of a shared GPU
    are counted like GPUs, so that they are left as they are.
    """
    lacking, holding = sum(pod.gpus.values()) - len(found), pod.holding
    if not found or lacking <= 0 or holding.sharing or holding.sharing_allowed:
        return found
    if any(gpu.shared for gpu in found):
        return found
    return (*found, *(GpuReading(uuid="") for _ in range(lacking)))
