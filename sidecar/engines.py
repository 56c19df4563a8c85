"""The engine table: what each model server calls its figures, and its page read by that; all pure.

One entry in `ROWS` adds an engine. An absent name is None, never 0; a figure that is not finite, is
negative, or of which a part cannot be read is None too, and the page's `problems` say so.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar import exposition
from sidecar.exposition import Exposition
from sidecar.histograms import merge
from sidecar.wire import EngineReading, EngineState, Histogram

AUTO = "auto"
MAX_MODEL_NAME = 128
MAX_RATIO = 1.01  # a little over 1 is rounding; more is a percentage or nonsense

Names = tuple[tuple[str, ...], ...]


def either(*names: str) -> Names:
    """The first of these names that the page has; the newest stands first."""
    return tuple((name,) for name in names)


def total_of(*names: str) -> Names:
    """The sum of these names, as far as the page has them."""
    return (names,)


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine's own endpoint that answers 200 once the model is loaded, and costs no token."""

    port: int
    path: str
    why: str  # what makes it pass, and what it needs


@dataclass(frozen=True, slots=True)
class Row:
    """One engine: where its page is, what to say when it is not there, and its figures' names."""

    kind: str
    port: int
    path: str
    hint: str
    ready: Ready | str  # a text says why it has no such endpoint
    model_label: str
    pending: Names
    running: Names = ()
    kv_ratio: Names = ()
    finished: Names = ()
    output_tokens: Names = ()
    preemptions: Names = ()
    histograms: Mapping[str, Names] = field(default_factory=dict)

    def names(self) -> frozenset[str]:
        """Every name on a page that belongs to this row."""
        queue = (self.pending, self.running, self.kv_ratio, self.finished)
        lists = (*queue, self.output_tokens, self.preemptions, *self.histograms.values())
        plain = {name for names in lists for parts in names for name in parts}
        stems = {name for names in self.histograms.values() for (name,) in names}
        return frozenset(plain | {f"{stem}_{part}" for stem in stems for part in ("bucket", "sum")})


ROWS: tuple[Row, ...] = (
    Row(
        kind="vllm",
        port=8000,
        path="/metrics",
        hint="vLLM serves /metrics on its API port by default: check --engine-url",
        ready=Ready(8000, "/health", "vLLM listens only once the model is loaded"),
        model_label="model_name",
        pending=either("vllm:num_requests_waiting"),
        running=either("vllm:num_requests_running"),
        kv_ratio=either("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        finished=either("vllm:request_success_total"),
        output_tokens=either("vllm:generation_tokens_total"),
        preemptions=either("vllm:num_preemptions_total"),
        histograms={
            "time_to_first_token_seconds": either("vllm:time_to_first_token_seconds"),
            "queue_time_seconds": either("vllm:request_queue_time_seconds"),
        },
    ),
    Row(
        kind="triton",
        port=8002,
        path="/metrics",
        hint="Triton serves /metrics on port 8002 when started with --allow-metrics=true",
        ready=Ready(8000, "/v2/health/ready", "200 once every model is loaded (strict readiness)"),
        model_label="model",
        pending=either("nv_inference_pending_request_count"),
        finished=total_of("nv_inference_request_success", "nv_inference_request_failure"),
    ),
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page said; `reading` is None when it has no name of the engines looked for."""

    reading: EngineReading | None
    problems: tuple[str, ...] = ()


def rows_of(kind: str) -> tuple[Row, ...]:
    """Return the rows to look for: one engine's, or all with AUTO."""
    return ROWS if kind == AUTO else tuple(row for row in ROWS if row.kind == kind)


def parse(page: bytes, kind: str = AUTO) -> Page:
    """Return the queue as the page tells it."""
    found = exposition.read(page, _names(kind))
    row = next((row for row in rows_of(kind) if row.names() & found.present), None)
    if row is None:
        return Page(None)
    problems = dict(found.bad)
    reading = EngineReading(
        kind=row.kind,
        state=EngineState.READY,
        pending=_sum(found, row.pending),
        running=_sum(found, row.running),
        kv_percent=_kv_percent(found, row.kv_ratio, problems),
        finished_total=_sum(found, row.finished),
        output_tokens_total=_sum(found, row.output_tokens),
        preemptions_total=_sum(found, row.preemptions),
        hist=_histograms(found, row.histograms, problems) or None,
        dims=_dims(found, row),
    )
    return Page(reading, tuple(f"{name}: {why}" for name, why in sorted(problems.items())))


@functools.cache
def _names(kind: str) -> frozenset[str]:
    return frozenset(name for row in rows_of(kind) for name in row.names())


def _chosen(found: Exposition, names: Names) -> tuple[str, ...]:
    """Return the names of the first alternative that the page has a line of, bad or good."""
    for parts in names:
        here = tuple(name for name in parts if name in found.samples or name in found.bad)
        if here:
            return here
    return ()


def _sum(found: Exposition, names: Names) -> float | None:
    values = found.values(_chosen(found, names))
    return sum(values) if values else None


def _kv_percent(found: Exposition, names: Names, problems: dict[str, str]) -> float | None:
    """Return the mean over the engines in the pod, each of which has a cache of its own."""
    chosen = _chosen(found, names)
    values = found.values(chosen)
    if not values:
        return None
    if max(values) > MAX_RATIO:
        problems[chosen[0]] = "over 1, but it is a ratio"
        return None
    return min(100.0, 100.0 * sum(values) / len(values))


def _histograms(
    found: Exposition, table: Mapping[str, Names], problems: dict[str, str]
) -> dict[str, Histogram]:
    merged: dict[str, Histogram] = {}
    for key, names in table.items():
        for name in _chosen(found, tuple((f"{stem}_bucket",) for (stem,) in names)):
            if name in found.bad:
                continue
            sums = found.values((f"{name.removesuffix('_bucket')}_sum",))
            histogram = merge(found.samples[name], sum(sums) if sums else None)
            if histogram is None:
                problems[name] = "buckets that do not add up"
                continue
            merged[key] = histogram
    return merged


def _dims(found: Exposition, row: Row) -> dict[str, str] | None:
    """Return the model's name when the page is about exactly one."""
    samples = [s for name in _chosen(found, row.pending) for s in found.samples.get(name, [])]
    models = {sample.labels.get(row.model_label, "") for sample in samples}
    name = models.pop() if len(models) == 1 else ""
    usable = name.isprintable() and 0 < len(name) <= MAX_MODEL_NAME
    return {"model": name} if usable else None
