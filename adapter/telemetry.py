"""Telemetry: one log event per change of state, and the adapter's own metrics.

Events are JSON lines on standard error (plain text on a terminal): a name and fields, no prose.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MAX_FIELD_CHARACTERS = 500
MAX_TRACEBACK_CHARACTERS = 8_000  # what an exception says may be a tenant's
_AGE_BUCKETS = (0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 15, 30, 60)

log = logging.getLogger("forescale.adapter")


def release() -> str:
    """Return the installed version."""
    try:
        return version("forescale")
    except PackageNotFoundError:
        return "source"


def event(name: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one event; field values are cut and their control characters escaped."""
    log.log(level, name, extra={"fields": fields})


def warn(name: str, **fields: object) -> None:
    """Log one event that a person should look at."""
    event(name, level=logging.WARNING, **fields)


class EventFormatter(logging.Formatter):
    """Writes a record as one line, JSON or `time level event key=value …`."""

    def __init__(self, *, plain: bool) -> None:
        super().__init__()
        self._plain = plain

    def format(self, record: logging.LogRecord) -> str:
        return self._line(record).replace("\x7f", "\\u007f")  # the one that JSON leaves as it is

    def _line(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        fields = {k: _cut(v) for k, v in getattr(record, "fields", {}).items()}
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            fields["exception"] = trace[-MAX_TRACEBACK_CHARACTERS:]
        level, name = record.levelname.lower(), str(_cut(record.getMessage()))
        if not self._plain:
            return json.dumps({"ts": stamp, "level": level, "event": name, **fields}, default=str)
        told = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in fields.items())
        shown = name if name.isascii() and name.isprintable() else json.dumps(name)
        return f"{stamp} {level:7} {shown} {told}".rstrip()


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_FIELD_CHARACTERS:
        return value[:MAX_FIELD_CHARACTERS] + "…"
    return value


def start_logging(level: str) -> None:
    """Send events to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(plain=sys.stderr.isatty()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class Once:
    """Lets each (key, text) through when it changes, so that a state is told once, not per tick."""

    def __init__(self, tell: Callable[..., None], limit: int = 10_000) -> None:
        self._tell = tell
        self._limit = limit
        self._last: dict[str, str] = {}

    def __call__(
        self, name: str, key: str, text: str, *, state: str | None = None, **fields: object
    ) -> None:
        """Log the event unless the same text was the last for this key.

        `state` is compared in place of a text that says another figure each time.
        """
        # Cut before it is kept: the text may be a tenant's, and the key is never cleared.
        state = (text if state is None else state)[:MAX_FIELD_CHARACTERS]
        if self._last.get(key) == state:
            return
        if len(self._last) >= self._limit:
            self._last.clear()
        self._last[key] = state
        self._tell(name, why=text, **fields)

    def clear(self, key: str) -> bool:
        """Forget the key; return whether it had been told."""
        return self._last.pop(key, None) is not None


class Metrics:
    """The adapter's own metrics, in a registry of their own. Label sets are fixed.

    `revision` is that of the sources, empty where nobody said it.
    """

    def __init__(self, revision: str = "") -> None:
        self.registry = CollectorRegistry()
        build = Gauge(
            "forescale_adapter_build_info",
            "Always 1.",
            ["version", "revision", "python_version"],
            registry=self.registry,
        )
        build.labels(release(), revision, platform.python_version()).set(1)
        self.settings_applied = Gauge(
            "forescale_adapter_settings_applied",
            "1 while the settings file is the one in effect, 0 after a changed one was refused.",
            registry=self.registry,
        )
        self.tick = Histogram(
            "forescale_adapter_tick_duration_seconds",
            "Time of one tick: append, decide, publish.",
            registry=self.registry,
        )
        self.sample_age = Histogram(
            "forescale_adapter_sample_age_seconds",
            "Age of each pod's reading at the moment it was answered.",
            ["part"],
            buckets=_AGE_BUCKETS,
            registry=self.registry,
        )
        self.frames = Counter(
            "forescale_adapter_frames_total",
            "Frames received from sidecars, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.scrapes = Counter(
            "forescale_adapter_scrapes_total",
            "Scrapes of model servers' pages, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.prometheus_rounds = Counter(
            "forescale_adapter_prometheus_rounds_total",
            "Rounds of questions to Prometheus, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.dropped_values = Counter(
            "forescale_adapter_dropped_values_total",
            "Readings that were no measurement and were left out.",
            ["series"],
            registry=self.registry,
        )
        self.streams = Gauge(
            "forescale_adapter_streams", "Open sidecar streams.", registry=self.registry
        )
        self.pods = Gauge(
            "forescale_adapter_pods", "Pods with a source.", ["standing"], registry=self.registry
        )
        self.readings = Gauge(
            "forescale_adapter_readings",
            "Serving pods by how old the latest reading of each part is.",
            ["part", "freshness"],
            registry=self.registry,
        )
        self.out_of_memory = Counter(
            "forescale_adapter_out_of_memory_exits_total",
            "Containers that ended for want of memory, by workload and by which memory.",
            ["namespace", "kind", "workload", "memory"],
            registry=self.registry,
        )
        self.near_out_of_memory = Gauge(
            "forescale_adapter_pods_near_out_of_memory",
            "Serving pods whose KV cache or GPU memory is about to be full, by workload.",
            ["namespace", "kind", "workload"],
            registry=self.registry,
        )
        self.lacking_gpus = Gauge(
            "forescale_adapter_pods_lacking_gpus",
            "Serving pods of several GPUs whose figures are of a part of these, by workload.",
            ["namespace", "kind", "workload"],
            registry=self.registry,
        )
        of_workload = ["namespace", "kind", "workload"]
        self.workload_replicas, self.workload_desired = (
            Gauge(f"forescale_adapter_workload_{name}", words, of_workload, registry=self.registry)
            for name, words in (
                ("replicas", "Pods of a workload that have not ended."),
                ("desired_replicas", "How many the targets on its pods ask for."),
            )
        )
        self.cold_start = Gauge(
            "forescale_adapter_cold_start_seconds",
            "Time from a pod's creation until it serves, by workload, as learnt.",
            ["namespace", "kind", "workload", "quantile"],
            registry=self.registry,
        )
        labels = ["namespace", "kind", "workload", "metric"]
        self.forecast = Gauge(
            "forescale_adapter_forecast",
            "Demand forecast one cold start ahead, by workload, in the metric's unit.",
            labels,
            registry=self.registry,
        )
        self.forecast_present = Gauge(
            "forescale_adapter_forecast_present",
            "Demand that the forecast was made of, by workload, in the metric's unit.",
            labels,
            registry=self.registry,
        )
        self.forecast_coverage = Gauge(
            "forescale_adapter_forecast_coverage_ratio",
            "Share of the last six hours' demand that was at most its forecast, by workload.",
            labels,
            registry=self.registry,
        )
        self.forecast_weight = Gauge(
            "forescale_adapter_forecast_expert_weight_ratio",
            "Share of the forecast that each of its nine experts has, by workload.",
            [*labels, "expert"],
            registry=self.registry,
        )
        self.forecast_fallback = Gauge(
            "forescale_adapter_forecast_fallback",
            "1 while the present demand is served in place of its forecast, by why.",
            [*labels, "reason"],
            registry=self.registry,
        )
        self.forecast_failures = Counter(
            "forescale_adapter_forecast_failures_total",
            "Forecasts that failed by an error of the adapter's own; each begins anew.",
            registry=self.registry,
        )
        self.forecasts_without_room = Gauge(
            "forescale_adapter_forecasts_without_room",
            "Demands that ask for a forecast and have none: others are forecast already.",
            registry=self.registry,
        )
        self.starting_pods = Gauge(
            "forescale_adapter_starting_pods",
            "Pods on their way to serving, by whether they are stuck.",
            ["stuck"],
            registry=self.registry,
        )
        self.cold_start_checkpoints = Counter(
            "forescale_adapter_cold_start_checkpoints_total",
            "Readings and writings of what was learnt of cold starts, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        self.requests = Counter(
            "forescale_adapter_api_requests_total",
            "Answers of the metrics APIs.",
            ["code"],
            registry=self.registry,
        )
        self.request_time = Histogram(
            "forescale_adapter_api_request_duration_seconds",
            "Time to answer, authorization included.",
            registry=self.registry,
        )

        self.keda_calls = Counter(
            "forescale_adapter_keda_calls_total",
            "Calls of KEDA's external scaler, by gRPC's status; a stream counts when it opens.",
            ["method", "code"],
            registry=self.registry,
        )

    def certificate(self, expires_at: Callable[[], float]) -> None:
        """Show when the certificate that is served expires; without one there is no series."""
        gauge = Gauge(
            "forescale_adapter_certificate_expiry_timestamp_seconds",
            "When the certificate that is served expires, Unix time.",
            registry=self.registry,
        )
        gauge.set_function(expires_at)
