"""An engine's figures make what a pod carries, by the formula that its page gives."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.replay.engine import PRESETS, Engine

PLAIN = Engine(0.0001, 0.03, 1e9, max_sequences=10)
TOKENS = st.floats(1.0, 32_000.0)


def test_a_full_pod_shares_its_time_between_prompts_and_answers() -> None:
    # Of a request: 1,000 x 0.1 ms of prompt, and a tenth of each of 100 steps of 30 ms.
    assert PLAIN.rate(1000.0, 100.0) == pytest.approx(1.0 / (0.1 + 0.3))
    assert PLAIN.first_token_seconds(1000.0, 100.0) == pytest.approx(0.13)


def test_the_cache_bounds_how_many_requests_run() -> None:
    small = msgspec.structs.replace(PLAIN, kv_tokens=5_250.0)
    assert small.sequences(1000.0, 100.0) == pytest.approx(5.0)
    assert small.sequences(50_000.0, 100.0) == 1.0


def test_each_wrong_figure_is_named_with_its_fix() -> None:
    wrong = Engine(0.0, -1.0, 5.0, -2.0, max_sequences=0)
    assert wrong.problems() == [
        "prefillSecondsPerToken is 0: write a figure above 0",
        "decodeSeconds is -1: write a figure above 0",
        "decodeSecondsPerSequence is -2: write a figure of at least 0",
        "maxSequences is 0: write at least 1",
    ]


@given(st.sampled_from(sorted(PRESETS)), TOKENS, TOKENS)
def test_longer_requests_are_never_served_faster(name: str, prompt: float, output: float) -> None:
    engine = PRESETS[name]
    assert engine.source
    assert not engine.problems()
    base = engine.rate(prompt, output)
    assert 0 < engine.rate(prompt * 1.5, output) <= base
    assert 0 < engine.rate(prompt, output * 1.5) <= base
