"""Owns what each kind of model server prints on its metrics page, from one queue's figures.

Names, labels and bucket bounds are those of the real servers (vLLM 0.10 and newer, vLLM 0.9 and
older, Triton's core, SGLang, llama.cpp, TensorRT-LLM 1.3); the help texts are not.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# fmt: off
TTFT_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)
REQUEST_BOUNDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
    240.0, 480.0, 960.0, 1920.0, 7680.0,
)
# fmt: on


class Observed:
    """A histogram being filled."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Yield the cumulative buckets, the count and the sum."""
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {float(total)}'
        yield f"{name}_count{{{labels}}} {float(total)}"
        yield f"{name}_sum{{{labels}}} {self.sum}"


@dataclass(slots=True)
class Figures:
    """What one model server counted since its start."""

    model: str
    slots: int
    pending: int = 0
    running: int = 0
    finished: Counter[str] = field(default_factory=Counter)  # by vLLM's finished_reason
    prompt_tokens: int = 0
    output_tokens: int = 0
    first_token: Observed = field(default_factory=lambda: Observed(TTFT_BOUNDS))
    queue_time: Observed = field(default_factory=lambda: Observed(REQUEST_BOUNDS))
    whole_time: Observed = field(default_factory=lambda: Observed(REQUEST_BOUNDS))


def _series(kind: str, name: str, labels: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} A figure of this server."
    yield f"# TYPE {name} {kind}"
    yield f"{name}{{{labels}}} {float(value)}"


def _vllm(figures: Figures, labels: str, kv_name: str) -> Iterator[str]:
    busy = figures.running / figures.slots
    yield from _series("gauge", "vllm:num_requests_running", labels, figures.running)
    yield from _series("gauge", "vllm:num_requests_waiting", labels, figures.pending)
    yield from _series("gauge", kv_name, labels, round(0.9 * busy, 4))
    yield from _series("counter", "vllm:num_preemptions_total", labels, 0)
    yield from _series("counter", "vllm:prompt_tokens_total", labels, figures.prompt_tokens)
    yield from _series("counter", "vllm:generation_tokens_total", labels, figures.output_tokens)
    yield "# TYPE vllm:request_success_total counter"
    for reason in ("stop", "length", "abort"):
        finished = float(figures.finished[reason])
        yield f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {finished}'
    yield from figures.first_token.lines("vllm:time_to_first_token_seconds", labels)
    yield from figures.queue_time.lines("vllm:request_queue_time_seconds", labels)
    yield from figures.whole_time.lines("vllm:e2e_request_latency_seconds", labels)


def vllm(figures: Figures) -> Iterator[str]:
    labels = f'engine="0",model_name="{figures.model}"'
    yield from _vllm(figures, labels, "vllm:kv_cache_usage_perc")
    name = "vllm:num_requests_waiting_by_reason"
    yield f"# TYPE {name} gauge"
    yield f'{name}{{{labels},reason="capacity"}} {float(figures.pending)}'
    yield f'{name}{{{labels},reason="deferred"}} 0.0'


def vllm_old(figures: Figures) -> Iterator[str]:
    labels = f'model_name="{figures.model}"'
    yield from _vllm(figures, labels, "vllm:gpu_cache_usage_perc")


def triton(figures: Figures) -> Iterator[str]:
    labels = f'model="{figures.model}",version="1"'
    good = figures.finished["stop"] + figures.finished["length"]
    microseconds = round(figures.queue_time.sum * 1e6)
    yield "# TYPE nv_inference_request_success counter"
    yield f"nv_inference_request_success{{{labels}}} {good}"
    yield "# TYPE nv_inference_request_failure counter"
    for reason in ("OTHER", "BACKEND", "CANCELED", "REJECTED"):
        failed = figures.finished["abort"] if reason == "CANCELED" else 0
        of = f'model="{figures.model}",reason="{reason}",version="1"'
        yield f"nv_inference_request_failure{{{of}}} {failed}"
    yield "# TYPE nv_inference_count counter"
    yield f"nv_inference_count{{{labels}}} {good}"
    yield "# TYPE nv_inference_queue_duration_us counter"
    yield f"nv_inference_queue_duration_us{{{labels}}} {microseconds}"
    yield "# TYPE nv_inference_pending_request_count gauge"
    yield f"nv_inference_pending_request_count{{{labels}}} {figures.pending}"


def sglang(figures: Figures) -> Iterator[str]:
    labels = f'engine_type="unified",model_name="{figures.model}"'
    ranks = f'{labels},moe_ep_rank="0",pp_rank="0",tp_rank="0"'
    busy = figures.running / figures.slots
    yield from _series("gauge", "sglang:num_running_reqs", ranks, figures.running)
    yield from _series("gauge", "sglang:num_queue_reqs", ranks, figures.pending)
    yield from _series("gauge", "sglang:num_grammar_queue_reqs", ranks, 0)
    yield from _series("gauge", "sglang:token_usage", ranks, round(0.9 * busy, 4))
    yield from _series("counter", "sglang:num_retracted_requests_total", ranks, 0)
    yield from _series("counter", "sglang:generation_tokens_total", labels, figures.output_tokens)
    finished = figures.finished.total()
    yield from _series("counter", "sglang:num_requests_total", labels, finished)
    yield from figures.first_token.lines("sglang:time_to_first_token_seconds", labels)
    yield from figures.queue_time.lines("sglang:queue_time_seconds", ranks)


def llama_cpp(figures: Figures) -> Iterator[str]:
    for kind, name, value in (
        ("counter", "prompt_tokens_total", figures.prompt_tokens),
        ("counter", "tokens_predicted_total", figures.output_tokens),
        ("gauge", "requests_processing", figures.running),
        ("gauge", "requests_deferred", figures.pending),
    ):
        yield f"# TYPE llamacpp:{name} {kind}"
        yield f"llamacpp:{name} {value}"


def trtllm(figures: Figures) -> Iterator[str]:
    labels = f'engine_type="trtllm",model_name="{figures.model}"'
    busy = figures.running / figures.slots
    yield from _series("gauge", "trtllm_num_requests_running", labels, figures.running)
    yield from _series("gauge", "trtllm_num_requests_waiting", labels, figures.pending)
    yield from _series("gauge", "trtllm_kv_cache_utilization", labels, round(0.9 * busy, 4))
    yield from _series("counter", "trtllm_generation_tokens_total", labels, figures.output_tokens)
    yield "# TYPE trtllm_request_success_total counter"
    for reason in ("stop", "length"):
        finished = float(figures.finished[reason])
        yield f'trtllm_request_success_total{{{labels},finished_reason="{reason}"}} {finished}'
    yield from figures.first_token.lines("trtllm_time_to_first_token_seconds", labels)
    yield from figures.queue_time.lines("trtllm_request_queue_time_seconds", labels)


ENGINES: dict[str, Callable[[Figures], Iterator[str]]] = {
    "vllm": vllm,
    "vllm-0.9": vllm_old,
    "triton": triton,
    "sglang": sglang,
    "llama.cpp": llama_cpp,
    "trtllm": trtllm,
}


def page(engine: str, figures: Figures) -> str:
    """Return the whole metrics page of that engine."""
    return "\n".join(ENGINES[engine](figures)) + "\n"
