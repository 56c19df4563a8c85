"""The engine: what one pod of a model server carries, from how long its steps take.

A server that batches continuously spends a request's prompt once (prefill) and then one step for
each token of its answer (decode), all sequences of the batch in the same step:

    b    = min(maxSequences, kvTokens / (prompt + output / 2))        sequences that fit
    step = decode + decodePerSequence x b + decodePerToken x b x (prompt + output / 2)
    rate = 1 / (prompt x prefill + output x step / b)                 requests/s of a full pod

since prefill and decode share the GPU's time. A request is then b / rate seconds in service, its
first token comes prompt x prefill + step after its wait. At part load a real server is faster than
that: what is left out makes pods look slower, never faster.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Engine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One model on the GPUs of one pod; times in seconds, memory of the KV cache in tokens.

    `prompt_tokens` and `output_tokens` are a request's mean; None where the trace is to tell.
    """

    prefill_seconds_per_token: float
    decode_seconds: float
    kv_tokens: float
    decode_seconds_per_sequence: float = 0.0
    decode_seconds_per_context_token: float = 0.0
    max_sequences: int = 256  # vLLM's --max-num-seqs
    gpus_per_pod: int = 1
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    source: str = ""

    def problems(self) -> list[str]:
        """Return what is wrong with the figures, one sentence each."""
        above = ("prefillSecondsPerToken", "decodeSeconds", "kvTokens")
        named = {name: getattr(self, field) for name, field in _fields().items()}
        found = [
            f"{name} is {value:g}: write a figure {'above' if name in above else 'of at least'} 0"
            for name, value in named.items()
            if isinstance(value, float) and not (value > 0 if name in above else value >= 0)
        ]
        whole = ("maxSequences", "gpusPerPod")
        return found + [f"{n} is {named[n]}: write at least 1" for n in whole if named[n] < 1]

    def sequences(self, prompt: float, output: float) -> float:
        """Return how many requests are in service in a full pod; at least one."""
        return max(1.0, min(float(self.max_sequences), self.kv_tokens / (prompt + output / 2.0)))

    def step_seconds(self, prompt: float, output: float) -> float:
        """Return how long a step of a full batch takes."""
        batch = self.sequences(prompt, output)
        context = batch * (prompt + output / 2.0)
        by_batch = self.decode_seconds_per_sequence * batch
        return self.decode_seconds + by_batch + self.decode_seconds_per_context_token * context

    def rate(self, prompt: float, output: float) -> float:
        """Return the requests/s that a full pod serves."""
        batch = self.sequences(prompt, output)
        decode = output * self.step_seconds(prompt, output) / batch
        return 1.0 / (prompt * self.prefill_seconds_per_token + decode)

    def first_token_seconds(self, prompt: float, output: float) -> float:
        return prompt * self.prefill_seconds_per_token + self.step_seconds(prompt, output)


def _fields() -> Mapping[str, str]:
    return dict(zip(Engine.__struct_encode_fields__, Engine.__struct_fields__, strict=True))


_SPLITWISE = (
    "fits to Splitwise's measurements (Mutinifni/splitwise-sim, data/perf_model.csv, MIT): old"
    " kernels without chunked prefill, so the shape is right and the scale is cautious"
)
# A token of Llama-2-70B is 2 x 80 layers x 8 heads x 128 x 2 bytes = 320 KiB of KV cache, its
# weights are 140 GB; of a GPU's 80 GB nine tenths are used.
_LLAMA_70B_ON_8, _LLAMA_70B_ON_4 = 1_330_000.0, 450_000.0

PRESETS: Mapping[str, Engine] = {
    "llama2-70b-h100x8": Engine(
        0.000100, 0.0296, _LLAMA_70B_ON_8, 0.000202, 2.2e-7, gpus_per_pod=8, source=_SPLITWISE
    ),
    "llama2-70b-h100x4": Engine(
        0.000111, 0.0286, _LLAMA_70B_ON_4, 0.000281, 1.2e-7, gpus_per_pod=4, source=_SPLITWISE
    ),
    "llama2-70b-a100x8": Engine(
        0.000222, 0.0436, _LLAMA_70B_ON_8, 0.000197, 4.1e-7, gpus_per_pod=8, source=_SPLITWISE
    ),
    "llama2-70b-a100x4": Engine(
        0.000317, 0.0429, _LLAMA_70B_ON_4, 0.000186, 4.8e-7, gpus_per_pod=4, source=_SPLITWISE
    ),
    # 16 GFLOP a token at 45 % of 989 TFLOP/s; 16 GB of weights and 128 KiB of KV cache a token at
    # 60 % of 3.35 TB/s; what the weights leave of nine tenths of 80 GB.
    "llama3.1-8b-h100": Engine(
        0.000036, 0.008, 427_000.0, 0.0, 6.5e-8, source="a roofline of one H100: 45 % and 60 %"
    ),
}
