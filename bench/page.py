"""The page: what a vLLM server prints on /metrics, as long as a real one's."""

from __future__ import annotations

from tests.fakes.expositions import Figures, Observed, page

# Histograms that every vLLM page has and no row of the engine table names: they cost reading only.
_OTHERS = (
    "vllm:inter_token_latency_seconds",
    "vllm:iteration_tokens_total",
    "vllm:request_decode_time_seconds",
    "vllm:request_generation_tokens",
    "vllm:request_inference_time_seconds",
    "vllm:request_max_num_generation_tokens",
    "vllm:request_prefill_time_seconds",
    "vllm:request_prompt_tokens",
    "vllm:request_time_per_output_token_seconds",
)
_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5)
MODEL = "meta-llama/Llama-3.1-70B-Instruct"
SLOTS = 256


def figures(pending: int, running: int, served: int) -> Figures:
    """Return the figures of a server that has served so many requests."""
    found = Figures(MODEL, SLOTS, pending=pending, running=running)
    found.finished["length"] = served
    found.prompt_tokens, found.output_tokens = 700 * served, 250 * served
    for seconds in (0.05, 0.2, 0.8, 3.0):
        for observed in (found.first_token, found.queue_time, found.whole_time):
            observed.observe(seconds)
    return found


def vllm(found: Figures, engines: int = 1) -> bytes:
    """Return the page; with data parallelism a server prints each figure once per engine."""
    one = page("vllm", found) + "".join(f"{line}\n" for line in _other_lines())
    parts = [one.replace('engine="0"', f'engine="{number}"') for number in range(engines)]
    return "".join(parts).encode()


def _other_lines() -> list[str]:
    labels = f'engine="0",model_name="{MODEL}"'
    observed = Observed(_BOUNDS)
    for value in _BOUNDS:
        observed.observe(value)
    return [line for name in _OTHERS for line in observed.lines(name, labels)]
