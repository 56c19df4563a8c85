"""The telemetry: the sidecar's `/metrics`, its own figures and those of the current frame."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as Observed
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sidecar.gpu import GpuRead
from sidecar.gpumetrics import gpu_info, gpu_metrics
from sidecar.modelserver import EngineRead
from sidecar.wire import EngineReading, EngineState, Frame, Histogram, Phases

READ_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HISTOGRAMS = {
    "time_to_first_token_seconds": "Time from a request's arrival to its first token.",
    "queue_time_seconds": "Time a request waited before it was served.",
}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Telemetry:
    """All figures of one process; `frame` returns the current one, None before the first tick.

    `driver` returns the NVIDIA driver's version, None while it is not known; `revision` is that
    of the sources, empty where nobody said it.
    """

    def __init__(
        self,
        version: str,
        frame: Callable[[], Frame | None],
        driver: Callable[[], str | None] = lambda: None,
        revision: str = "",
    ) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(FrameCollector(frame, driver))
        own = "forescale_sidecar_"
        build = ("version", "revision", "python_version")
        info = Gauge(f"{own}build_info", "Always 1.", build, registry=self.registry)
        info.labels(version, revision, platform.python_version()).set(1)
        self.engine_seconds = Observed(
            f"{own}engine_read_seconds",
            "Time to fetch and parse the model server's page.",
            buckets=READ_BUCKETS,
            registry=self.registry,
        )
        self.gpu_seconds = Observed(
            f"{own}nvml_read_seconds",
            "Time of one NVML reading of all GPUs.",
            buckets=READ_BUCKETS,
            registry=self.registry,
        )
        self.engine_failures = Counter(
            f"{own}engine_read_failures",
            "Engine reads that failed.",
            ["reason"],
            registry=self.registry,
        )
        self.unusable_figures = self._counter(
            "engine_unusable_figures",
            "Figures of the model server's page left out: not finite, negative, or unreadable.",
        )
        self.gpu_failures = self._counter("nvml_read_failures", "NVML reads that failed whole.")
        self.nvml_restarts = self._counter("nvml_restarts", "NVML processes that were replaced.")
        self.frames = self._counter("frames", "Frames that were due and published.")
        self.streams_dropped = self._counter(
            "streams_dropped", "Streams cut: a slow reader, or a place another address needed."
        )
        self.streams_refused = self._counter("streams_refused", "Streams beyond the limit.")
        self.streams = Gauge(f"{own}streams", "Streams open now.", registry=self.registry)
        self._nvml_errors = Counter(
            f"{own}nvml_errors",
            "NVML calls that declined.",
            ["call", "error"],
            registry=self.registry,
        )

    def count_engine(self, read: EngineRead) -> None:
        """Count one try to read the model server; the reasons are a fixed few."""
        self.unusable_figures.inc(len(read.problems))
        if read.seconds is not None:
            self.engine_seconds.observe(read.seconds)
        elif read.reading.state is not EngineState.NONE:
            self.engine_failures.labels(read.failure or "unknown").inc()

    def count_gpus(self, read: GpuRead, restarts: int) -> None:
        """Count one try to read the GPUs; calls and error names are NVML's, so they are few."""
        if read.seconds is not None:
            self.gpu_seconds.observe(read.seconds)
        else:
            self.gpu_failures.inc()
        self.nvml_restarts.inc(restarts)
        for problem in read.declined:
            self._nvml_errors.labels(problem.call, problem.name).inc()

    def exposition(self) -> bytes:
        """Return the page in the Prometheus text format."""
        return prometheus_client.generate_latest(self.registry)

    def _counter(self, name: str, said: str) -> Counter:
        return Counter(f"forescale_sidecar_{name}", said, registry=self.registry)


class FrameCollector(Collector):
    """The current frame as series; a figure that is not known has no series."""

    def __init__(self, frame: Callable[[], Frame | None], driver: Callable[[], str | None]) -> None:
        self._frame = frame
        self._driver = driver

    def collect(self) -> Iterator[Metric]:
        frame = self._frame()
        if frame is None:
            return
        yield from gpu_metrics(frame)
        yield from gpu_info(frame, self._driver())
        if frame.engine is not None:
            yield from _engine_metrics(frame.engine)
        if frame.phases is not None:
            yield from _phase_metrics(frame.phases)
        ages = frame.age_seconds
        for source in ("engine", "gpu"):
            age = getattr(ages, source) if ages else None
            yield from _gauge(
                f"forescale_sidecar_{source}_age_seconds", f"Age of the {source} reading.", {}, age
            )


def _engine_metrics(engine: EngineReading) -> Iterator[Metric]:
    dims = engine.dims or {}
    labels = {"engine": engine.kind, "model": dims.get("model", "")}
    ready = None if engine.state is EngineState.NONE else float(engine.state is EngineState.READY)
    yield from _gauge("llm_inference_engine_ready", "1 when its page was read.", labels, ready)
    if engine.state is not EngineState.READY:
        return
    about = {**labels, "lora": dims.get("lora", ""), "role": dims.get("role", "")}
    about["estimated"] = "true" if engine.estimate else "false"
    yield from _gauge("llm_inference_engine_info", "Always 1; what it says of itself.", about, 1.0)
    known = engine.pending is not None and engine.running is not None
    inflight = (engine.pending or 0.0) + (engine.running or 0.0) if known else None
    kv_ratio = None if engine.kv_percent is None else engine.kv_percent / 100.0
    for name, said, value in (
        ("pending_requests", "Requests that wait.", engine.pending),
        ("running_requests", "Requests being served.", engine.running),
        ("inflight_requests", "Requests that wait or are being served.", inflight),
        ("kv_cache_utilization_ratio", "Used share of the KV cache.", kv_ratio),
    ):
        yield from _gauge(f"llm_inference_{name}", said, labels, value)
    for name, said, value in (
        ("finished_requests", "Requests that ended.", engine.finished_total),
        ("output_tokens", "Tokens generated.", engine.output_tokens_total),
        ("preemptions", "Requests put back into the queue.", engine.preemptions_total),
    ):
        yield from _counter(f"llm_inference_{name}", said, labels, value)
    for name, said in HISTOGRAMS.items():
        yield from _histogram(f"llm_inference_{name}", said, labels, (engine.hist or {}).get(name))


def _phase_metrics(phases: Phases) -> Iterator[Metric]:
    """Say how long ago each phase began; what has not begun has no series."""
    family = GaugeMetricFamily(
        "forescale_sidecar_phase_age_seconds",
        "Time since this was first seen in the present life of the process it is about.",
        labels=["phase"],
    )
    for phase, age in (
        ("server_started", phases.server_started_age_seconds),
        ("sidecar_started", phases.sidecar_started_age_seconds),
        ("engine_listening", phases.engine_listening_age_seconds),
        ("engine_loading", phases.engine_loading_age_seconds),
        ("engine_ready", phases.engine_first_ready_age_seconds),
        ("engine_served", phases.engine_first_served_age_seconds),
    ):
        if age is not None:
            family.add_metric([phase], age)
    if family.samples:
        yield family


def _gauge(name: str, said: str, labels: dict[str, str], value: float | None) -> Iterator[Metric]:
    if value is not None:
        family = GaugeMetricFamily(name, said, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        yield family


def _counter(name: str, said: str, labels: dict[str, str], value: float | None) -> Iterator[Metric]:
    if value is not None:
        family = CounterMetricFamily(name, said, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        yield family


def _histogram(
    name: str, said: str, labels: dict[str, str], value: Histogram | None
) -> Iterator[Metric]:
    if value is None:
        return
    bounds = [*(str(bound) for bound in value.bounds), "+Inf"]
    buckets = list(zip(bounds, value.counts, strict=True))
    family = HistogramMetricFamily(name, said, labels=list(labels))
    family.add_metric(list(labels.values()), buckets, value.sum)
    yield family
