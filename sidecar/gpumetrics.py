"""The GPU series of the sidecar's `/metrics`: a family a figure, a series a GPU that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sidecar.wire import Frame, GpuReading

Figure = Callable[[GpuReading], float | None]

THROTTLES = ("power_cap", "hardware", "thermal", "hardware_thermal", "power_brake")


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100.0


def _memory(gpu: GpuReading) -> float | None:
    if gpu.memory_used_bytes is None or not gpu.memory_total_bytes:
        return None
    return gpu.memory_used_bytes / gpu.memory_total_bytes


def _hertz(gpu: GpuReading) -> float | None:
    return None if gpu.sm_clock_mhz is None else gpu.sm_clock_mhz * 1e6


GAUGES: tuple[tuple[str, str, Figure], ...] = (
    ("utilization_ratio", "Share of time in which a kernel ran.", lambda g: _ratio(g.busy_percent)),
    ("memory_utilization_ratio", "Used share of the memory.", _memory),
    ("memory_used_bytes", "Used memory.", lambda g: g.memory_used_bytes),
    ("memory_free_bytes", "Memory that can still be allocated.", lambda g: g.memory_free_bytes),
    ("memory_total_bytes", "All memory.", lambda g: g.memory_total_bytes),
    (
        "memory_growth_bytes_per_second",
        "Growth of the used memory over the last minute.",
        lambda g: g.memory_growth_bytes_per_second,
    ),
    ("power_watts", "Power drawn.", lambda g: g.power_watts),
    ("power_limit_watts", "Power limit in force.", lambda g: g.power_limit_watts),
    (
        "tensor_activity_ratio",
        "Share of time in which the tensor cores worked.",
        lambda g: _ratio(g.tensor_percent),
    ),
    (
        "dram_activity_ratio",
        "Share of the memory bandwidth in use.",
        lambda g: _ratio(g.dram_percent),
    ),
    ("sm_activity_ratio", "Share of busy multiprocessors.", lambda g: _ratio(g.sm_percent)),
    ("sm_clock_hertz", "Clock of the multiprocessors.", _hertz),
    ("remapped_rows", "Rows of the memory that were remapped.", lambda g: g.remapped_rows_total),
    (
        "health",
        "1 when NVML reports no fault, 0 when it does.",
        lambda g: None if g.healthy is None else float(g.healthy),
    ),
    ("shared", "1 when others may use it at the same time.", lambda g: float(g.shared)),
    (
        "utilization_stuck",
        "1 when the driver's utilisation was left out, since the GPU does nothing.",
        lambda g: float(g.stuck),
    ),
)
COUNTERS: tuple[tuple[str, str, Figure], ...] = (
    ("energy_joules", "Energy since the driver was loaded.", lambda g: g.energy_joules_total),
    (
        "ecc_uncorrected_errors",
        "Uncorrected memory errors since the driver was loaded.",
        lambda g: g.ecc_uncorrected_total,
    ),
)


def gpu_metrics(frame: Frame) -> Iterator[Metric]:
    """Yield the families of the pod's GPUs; one without a single figure is left out."""
    gpus = frame.gpus or ()
    for name, said, figure in GAUGES:
        gauge = GaugeMetricFamily(f"nvidia_gpu_{name}", said, labels=["gpu_uuid"])
        yield from _filled(gauge, gpus, figure)
    for name, said, figure in COUNTERS:
        counter = CounterMetricFamily(f"nvidia_gpu_{name}", said, labels=["gpu_uuid"])
        yield from _filled(counter, gpus, figure)
    yield from _throttled(gpus)
    yield from _coverage(frame)
    if frame.oom is not None:
        near = GaugeMetricFamily(
            "llm_inference_oom_near",
            "1 when the KV cache or the GPU's memory is about to be full.",
        )
        near.add_metric([], float(frame.oom.near))
        yield near


def gpu_info(frame: Frame, driver: str | None) -> Iterator[Metric]:
    """Yield what each of the pod's GPUs is; what is not known is an empty label."""
    labels = ["gpu_uuid", "name", "index", "driver_version"]
    family = GaugeMetricFamily(
        "forescale_sidecar_gpu_info", "Always 1; what the GPU is.", labels=labels
    )
    for gpu in frame.gpus or ():
        index = "" if gpu.index is None else str(gpu.index)
        family.add_metric([gpu.uuid, gpu.name or "", index, driver or ""], 1.0)
    if family.samples:
        yield family


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, gpus: tuple[GpuReading, ...], figure: Figure
) -> Iterator[Metric]:
    for gpu in gpus:
        value = figure(gpu)
        if value is not None:
            family.add_metric([gpu.uuid], value)
    if family.samples:
        yield family


def _throttled(gpus: tuple[GpuReading, ...]) -> Iterator[Metric]:
    said = "1 when this slows the clocks now."
    family = GaugeMetricFamily("nvidia_gpu_throttled", said, labels=["gpu_uuid", "reason"])
    for gpu in gpus:
        for reason in THROTTLES if gpu.throttle is not None else ():
            family.add_metric([gpu.uuid, reason], float(reason in (gpu.throttle or ())))
    if family.samples:
        yield family


def _coverage(frame: Frame) -> Iterator[Metric]:
    """Yield of how many of the pod's GPUs the utilisation is known, and its spread over them."""
    gpus = frame.gpus
    if gpus is None:
        return
    known = [gpu.busy_percent / 100.0 for gpu in gpus if gpu.busy_percent is not None]
    for name, said, number in (
        ("expected", "GPUs that are this pod's.", len(gpus)),
        ("answering", "GPUs of this pod whose utilisation is known.", len(known)),
    ):
        yield GaugeMetricFamily(f"forescale_sidecar_gpus_{name}", said, value=number)
    if not known:
        return
    said = "Utilisation over the pod's GPUs that answer: mean, most and least."
    spread = GaugeMetricFamily(
        "forescale_sidecar_gpu_utilization_ratio", said, labels=["over_gpus"]
    )
    for name, ratio in (
        ("mean", sum(known) / len(known)),
        ("max", max(known)),
        ("min", min(known)),
    ):
        spread.add_metric([name], ratio)
    yield spread
